// memory.h: how much memory is free, and how much of a mapped file is in memory.
#pragma once
#include <cstdint>
#include <string>

// Bytes that the system, or a stricter container, can still give. Page cache counts as free, and so do a model's mapped
// files, in memory or not. `root` stands before /proc and /sys.
int64_t available_memory_bytes(const std::string& root = "");

// How many more bytes ulimit -v and -d let this process map, beside all that it has mapped; INT64_MAX: no limit.
int64_t address_space_left_bytes();

// How many of the `n_bytes` mapped at `data` are not in memory.
int64_t missing_bytes(const uint8_t* data, int64_t n_bytes);
