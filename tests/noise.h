// noise.h: test data that is the same on every machine.
#pragma once
#include <cstdint>

#include "base/random.h"

// Uniform in [-1, 1), a pure function of (seed, i).
inline float noise(uint64_t seed, uint64_t i) {
    return float(mix64((seed << 32) + i + 0x9e3779b97f4a7c15) >> 40) / float(1 << 23) - 1;
}
