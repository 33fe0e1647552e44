// memory.h: what the machine has free, and what of a mapped file is in it.
#pragma once
#include <cstdint>
#include <string>

// What the system can still give, page cache counted as free; what the container's limit leaves if that is less. A
// model's mapped files are page cache, so they are not missing from it, in memory or not. `root` stands before /proc
// and /sys.
int64_t available_memory_bytes(const std::string& root = "");

// What ulimit -v and -d let this process still map; INT64_MAX: no limit. Files mapped already are no part of it.
int64_t address_space_left_bytes();

// Of `n_bytes` mapped from a file at `data`, those that a first use would have to read.
int64_t missing_bytes(const uint8_t* data, int64_t n_bytes);
