// f16.h: IEEE's 16-bit float, in which some fine-tunes are saved. All its values are floats.
#pragma once
#include <cstdint>
#include <cstring>

struct f16 {
    uint16_t bits;  // 1 sign, 5 exponent, 10 fraction
};

// Exact, subnormals included. A NaN becomes a quiet one, as the CPUs' own instructions have it.
inline float to_f32(f16 h) {
    const uint32_t sign = uint32_t(h.bits & 0x8000) << 16, magnitude = h.bits & 0x7fff;
    uint32_t u = (magnitude << 13) + (112u << 23);  // the exponents' biases are 15 and 127
    if (magnitude > 0x7c00) {
        u = 0x7fc00000 | (magnitude << 13);
    } else if (magnitude == 0x7c00) {
        u = 0x7f800000;
    } else if (magnitude < 0x0400) {
        const float small = float(magnitude) * 0x1p-24f;
        std::memcpy(&u, &small, sizeof u);
    }
    u |= sign;
    float f;
    std::memcpy(&f, &u, sizeof f);
    return f;
}
