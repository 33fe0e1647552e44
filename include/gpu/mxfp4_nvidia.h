// mxfp4_nvidia.h: E2M1 codes to bf16 with one multiplication for two codes, on devices that multiply bf16 pairs
// (NVIDIA). A shift and a mask put each code's sign in the sign bit and its magnitude in the low exponent bits and the
// top mantissa bit. Read as bf16 that is the code's value times 2^-126, subnormal for the code 0.5; one exact
// multiplication applies the scale and makes it normal.
//
// A pair of codes needs 8 bits in the places of the mask. So a word has room for three pairs, each of which a shift or
// a rotation brings into place. The bits that are left in two words make two more pairs: 16 operations for 16 codes.
#pragma once

constexpr bool kWordsShareRuns = true;

constexpr uint32_t kPairMask = 0x81c081c0u;   // the signs of a pair of bf16, and the three bits that a code needs
constexpr uint32_t kFromFirst = 0x06030603u;  // the bits of word 0 that the shared pairs take

// The place, 0 to 63 in two words, of bit `bit` (3: the sign, 2 to 0: the magnitude) of half `half` of pair `pair` of
// run r.
constexpr int code_bit_place(int r, int pair, int half, int bit) {
    const int here = 16 * half, other = 16 * (1 - half);
    if (pair == 0) return 32 * r + here + (bit == 3 ? 15 : 6 + bit);
    if (pair == 1) return 32 * r + here + (bit == 3 ? 11 : 2 + bit);
    if (pair == 2) return 32 * r + (bit == 3 ? other + 5 : here + 12 + bit);
    if (r == 0) return bit == 3 ? here + 9 : bit == 2 ? 32 + here : here + bit;
    return bit == 3 ? 32 + other + 1 : bit == 0 ? here + 10 : 32 + here + 8 + bit;
}
constexpr uint32_t placed_code(int word, int r, int i, uint32_t code) {
    uint32_t bits = 0;
    for (int bit = 0; bit < 4; bit++) {
        const int place = code_bit_place(r, i / 2, i % 2, bit);
        if (place / 32 == word) bits |= (code >> bit & 1) << place % 32;
    }
    return bits;
}

// A packed scale is the exponent field of the factor 2^(scale - 1) in bf16. Scales above 128 (weights of 4 and more)
// have no such factor: matrices with such scales are packed as bf16.
constexpr int kScaleToPacked = 126;

__device__ inline uint32_t rotated_right(uint32_t word, int n) {
    return word >> n | word << (32 - n);
}

// A pair, times 2^-126, by the factor.
__device__ inline uint32_t scaled_pair(uint32_t tiny, uint32_t packed_scale) {
#if defined(__CUDA_ARCH__)
    uint32_t pair;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;"  // + -0 keeps signs
        : "=r"(pair)
        : "r"(tiny), "r"(packed_scale * 0x00800080u), "r"(0x80008000u));
    return pair;
#else
    const int exponent = int(packed_scale) - 127;
    const float low = ldexpf(widen_low(tiny), exponent), high = ldexpf(widen_high(tiny), exponent);
    return (f32_to_bits(low) >> 16) | (f32_to_bits(high) & 0xffff0000u);
#endif
}

// No tables are needed, as a scale is only one factor.
constexpr int kDecodeTableBytes = 0;
__device__ inline void make_decode_tables(char*) {}

// kRuns is 2; the host's pass of the compiler, where it is 1, only reads this.
template <bool>
__device__ inline Frag decode_mxfp4(const uint32_t (&words)[kRuns], const uint32_t (&packed_scales)[kRuns],
                                    const char* /*tables*/) {
    const uint32_t shared = (words[0] & kFromFirst) | (words[kRuns - 1] << 2 & ~kFromFirst);
    Frag f;
#pragma unroll
    for (int r = 0; r < kRuns; r++) {
        const uint32_t last = r == 0 ? shared << 6 : rotated_right(shared, 4);
        const uint32_t tiny[4] = {words[r], words[r] << 4, rotated_right(words[r], 6), last};
#pragma unroll
        for (int j = 0; j < 4; j++) f.run[r].pair[j] = scaled_pair(tiny[j] & kPairMask, packed_scales[r]);
    }
    return f;
}
