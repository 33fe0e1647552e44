// mix.h: the finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit. For seeds,
// random streams and hashes that need no secrecy.
#pragma once
#include <cstdint>

constexpr uint64_t mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}
