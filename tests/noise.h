// noise.h: test data that is the same on every machine.
#pragma once
#include <cstdint>

// Uniform in [-1, 1), a pure function of (seed, i). The mixing is splitmix64's.
inline float noise(uint64_t seed, uint64_t i) {
    uint64_t z = (seed << 32) + i + 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return float(z >> 40) / float(1 << 23) - 1;
}
