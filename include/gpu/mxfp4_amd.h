// mxfp4_amd.h: E2M1 codes to bf16 by table, on devices that permute bytes (AMD: v_perm_b32). A permute looks up
// four codes in a table of 8 bytes: one table for the lower bytes of the 8 magnitudes, one for the upper ones, made for
// the scale at hand. No arithmetic is done on the weights, so zero and 0.5 are entries like any other.
#pragma once

// Byte i of the result is byte s of {high, low}, where s is byte i of the selector and low has bytes 0 to 3. s = 12
// gives zero.
__device__ inline uint32_t permute_bytes(uint32_t high, uint32_t low, uint32_t selector) {
#ifdef GPU_EMULATE
    return emu::v_perm_b32(high, low, selector);
#else
    return __builtin_amdgcn_perm(high, low, selector);
#endif
}

constexpr bool kWordsShareRuns = false;

// The low three bits of the word's bytes are the magnitudes of elements 0 to 3; after a rotation by four bits, those of
// elements 4 to 7. The bytes' highest bits are the signs of 4 to 7; after the rotation, those of 0 to 3.
constexpr uint32_t placed_code(int /*word*/, int /*r*/, int i, uint32_t code) {
    const int byte = i % 4, sign_bit = i < 4 ? (8 * byte + 11) % 32 : 8 * byte + 7;
    return (code >> 3) << sign_bit | (code & 7) << (8 * byte + i / 4 * 4);
}

// A packed scale is the exponent field of 1 times the scale. Up to 128 all weights are finite; larger ones are not
// packed.
constexpr int kScaleToPacked = 0;

// The bytes that permutes look up for a scale: the lower bytes of the magnitudes 0 to 1.5 and 2 to 6, then the upper
// ones.
struct alignas(16) ScaleTable {
    uint32_t lower03, lower47, upper03, upper47;
};
__device__ inline ScaleTable scale_table(uint32_t packed_scale) {
    // 1 and 2, scaled; then, computed from their bytes, the lower byte of 1.5, the upper of 4, the lower of 3, the
    // upper of 0.5. Every other byte equals one of these, since a factor of 4 does not change the lower byte.
    const uint32_t one_two = packed_scale * 0x00800080u + 0x00800000u, others = one_two + 0xff400140u;
    return {permute_bytes(others, one_two, 0x0400020cu),  // 0, 0.5, 1, 1.5
            permute_bytes(others, one_two, 0x04000602u),  // 2, 3, 4, 6
            permute_bytes(others, one_two, 0x0101070cu), permute_bytes(others, one_two, 0x05050303u)};
}

// One table for each packed scale. To look one up takes a load from LDS and two vector instructions; to make one takes
// eight.
constexpr int kScaleTables = 129, kDecodeTableBytes = kScaleTables * int(sizeof(ScaleTable));
__device__ inline void make_decode_tables(char* lds) {
    for (int scale = int(threadIdx.x); scale < kScaleTables; scale += int(blockDim.x))
        reinterpret_cast<ScaleTable*>(lds)[scale] = scale_table(uint32_t(scale));
}

__device__ inline Run decode_run(uint32_t codes, const ScaleTable& table) {
    const uint32_t rotated = codes >> 4 | codes << 28;
    Run run;
#pragma unroll
    for (int half = 0; half < 2; half++) {  // elements 0 to 3, 4 to 7
        const uint32_t which = (half == 0 ? codes : rotated) & 0x07070707u;
        const uint32_t signs = (half == 0 ? rotated : codes) & 0x80808080u;
        const uint32_t lower = permute_bytes(table.lower47, table.lower03, which);
        const uint32_t upper = permute_bytes(table.upper47, table.upper03, which) | signs;
        run.pair[2 * half] = permute_bytes(upper, lower, 0x05010400u);
        run.pair[2 * half + 1] = permute_bytes(upper, lower, 0x07030602u);
    }
    return run;
}

template <bool kFromTables>
__device__ inline Frag decode_mxfp4(const uint32_t (&words)[kRuns], const uint32_t (&packed_scales)[kRuns],
                                    const char* tables) {
    Frag f;
#pragma unroll
    for (int r = 0; r < kRuns; r++)
        f.run[r] = decode_run(words[r], kFromTables ? reinterpret_cast<const ScaleTable*>(tables)[packed_scales[r]]
                                                    : scale_table(packed_scales[r]));
    return f;
}
