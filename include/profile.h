// profile.h: where a run's time went, for --profile 1.
#pragma once
#include "engine.h"

// A table on stderr: each operation's seconds, share and bandwidth. Nothing if the replicas keep no account.
void print_profile(const EngineStats& stats);
