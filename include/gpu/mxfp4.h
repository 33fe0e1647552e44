// mxfp4.h: E2M1 codes to bf16. A run's 8 codes stand in one word in the order that decodes cheapest (code_shift): two codes
// at a time come to lie where a bf16 pair has its signs and the low three bits above its mantissa's rest. Read as bf16 that
// is the code's value times 2^-126, subnormal for the code 0.5; one exact multiplication brings scale and normal form, so
// that no subnormal reaches a matrix core.
#pragma once
#include "gpu/mma.h"

// Where element i of a run has its code.
constexpr int code_shift(int i) {
    return 12 - 4 * (i / 2) + 16 * (i % 2);
}

// Pair j of a run's codes, times 2^-126.
__device__ inline uint32_t tiny_pair(uint32_t codes, int j) {
    const uint32_t c = codes << (4 * j);
    return (c & 0x80008000u) | ((c >> 6) & 0x01c001c0u);
}

#if defined(__CUDA_ARCH__)

__device__ inline uint32_t multiply_pair(uint32_t a, uint32_t b) {
    uint32_t product;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(product) : "r"(a), "r"(b), "r"(0x80008000u));  // + -0: keeps signs
    return product;
}

// scale: E8M0, 0 to 254. Times 2^(scale - 1), the exponent field of which fits a bf16 up to scale 128.
__device__ inline Run decode_mxfp4(uint32_t codes, uint32_t scale) {
    const uint32_t factor = (scale <= 128 ? scale + 126 : 254) * 0x00800080u;
    Run run;
#pragma unroll
    for (int j = 0; j < 4; j++) run.pair[j] = multiply_pair(tiny_pair(codes, j), factor);
    if (scale > 128)
#pragma unroll
        for (int j = 0; j < 4; j++) run.pair[j] = multiply_pair(run.pair[j], (scale - 1) * 0x00800080u);
    return run;
}

#else

__device__ inline Run decode_mxfp4(uint32_t codes, uint32_t scale) {
    Run run;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const uint32_t tiny = tiny_pair(codes, j);
        const float low = ldexpf(widen_low(tiny), int(scale) - 1), high = ldexpf(widen_high(tiny), int(scale) - 1);
        run.pair[j] = (f32_to_bits(low) >> 16) | (f32_to_bits(high) & 0xffff0000u);
    }
    return run;
}

#endif
