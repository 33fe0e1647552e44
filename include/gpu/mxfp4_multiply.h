// mxfp4_multiply.h: E2M1 codes to bf16 with one multiplication for two codes, on devices that multiply bf16 pairs
// (NVIDIA). A shift and a mask put each code's sign in the sign bit and its magnitude in the low exponent bits and the
// top mantissa bit. Read as bf16 that is the code's value times 2^-126, subnormal for the code 0.5; one exact
// multiplication applies the scale and makes it normal.
#pragma once

// Element 2j goes to the lower half, 2j + 1 to the upper half, in the same way. Pair 0 is stored in place, pairs 1 and
// 2 are 3 and 6 bits to the right of it, and pair 3 takes the bits that are left.
constexpr uint32_t placed_code(int i, uint32_t code) {
    const uint32_t sign = code >> 3, magnitude = code & 7;
    const int pair = i / 2;
    const uint32_t half = pair < 3 ? sign << (15 - 3 * pair) | magnitude << (6 - 3 * pair)
                                   : sign << 14 | (magnitude >> 2) << 13 | (magnitude & 3) << 10;
    return half << (16 * (i % 2));
}

// Pair j of a run's codes, times 2^-126.
__device__ inline uint32_t tiny_pair(uint32_t codes, int j) {
    if (j < 3) return codes << (3 * j) & 0x81c081c0u;
    return (codes << 1 & 0x80008000u) | (codes >> 5 & 0x01000100u) | (codes >> 4 & 0x00c000c0u);
}

// A packed scale is the exponent field of the factor 2^(scale - 1) as bf16. Scales above 128 (weights of 4 and more)
// have none: matrices with such scales are packed as bf16.
constexpr int kScaleToPacked = 126;

#if defined(__CUDA_ARCH__)

__device__ inline Run decode_mxfp4(uint32_t codes, uint32_t packed_scale) {
    const uint32_t factor = packed_scale * 0x00800080u;
    Run run;
#pragma unroll
    for (int j = 0; j < 4; j++)
        asm("fma.rn.bf16x2 %0, %1, %2, %3;"  // + -0 keeps signs
            : "=r"(run.pair[j])
            : "r"(tiny_pair(codes, j)), "r"(factor), "r"(0x80008000u));
    return run;
}

#else

__device__ inline Run decode_mxfp4(uint32_t codes, uint32_t packed_scale) {
    const int exponent = int(packed_scale) - 127;
    Run run;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const uint32_t tiny = tiny_pair(codes, j);
        const float low = ldexpf(widen_low(tiny), exponent), high = ldexpf(widen_high(tiny), exponent);
        run.pair[j] = (f32_to_bits(low) >> 16) | (f32_to_bits(high) & 0xffff0000u);
    }
    return run;
}

#endif
