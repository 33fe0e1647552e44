// profile.h: where a run's time went, for --profile 1.
#pragma once
#include "engine.h"

// Prints to stderr how long host and devices worked, then a table of each operation's seconds, share, bandwidth
// (weights, keys and values read) and, on GPUs, share of its roof. Nothing if the replicas do not measure.
void print_profile(const EngineStats& stats);
