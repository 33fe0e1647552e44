// profile.h: where a run's time went, for --profile 1.
#pragma once
#include "engine.h"

// A table on stderr: each operation's seconds, share, bandwidth by the weights and keys and values it reads, and how
// near it came to its roof, where that is known (on GPUs). Before it, how long host and devices were at work. Nothing
// if the replicas keep no account.
void print_profile(const EngineStats& stats);
