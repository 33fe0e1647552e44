// memory.h: what the machine has free, and what of a mapped file is in it.
#pragma once
#include <cstdint>

// What the system can still give, page cache counted as free; the container's limit if it is lower.
int64_t available_memory_bytes();

// Of `n_bytes` mapped from a file at `data`, those that a first use would have to read.
int64_t missing_bytes(const uint8_t* data, int64_t n_bytes);
