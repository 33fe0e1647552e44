// random.h: numbers that are a function of a seed and a position, the same on every device.
#pragma once
#include <cstdint>

// The finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit. For seeds, random
// streams and hashes that need no secrecy.
constexpr uint64_t mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// In [0, 1).
constexpr double random_uniform(uint64_t seed, uint64_t pos) {
    const uint64_t bits = mix64(mix64(seed + 0x9e3779b97f4a7c15) ^ (pos + 1) * 0xd1342543de82ef95);
    return double(bits >> 11) * 0x1p-53;
}
