// mma_rdna3.h: v_wmma_f32_16x16x16_bf16 twice, wave 32 (gfx11xx). Lanes 16–31 repeat the operands of lanes 0–15. Rows
// and columns are swapped as in mma_cdna.h.
#pragma once

constexpr int kWave = 32, kHolders = 16, kRuns = 4, kAcc = 8, kAccRows = 1, kFragRows = 1;
constexpr bool kAskedInOrder = false;

#include "gpu/mma_registers.h"

__device__ constexpr At frag_at(int lane, int r) {
    return {lane % 16, 8 * r};
}
__device__ constexpr int run_index(int row, int k) {
    return k / 8 * 16 + row;
}
__device__ constexpr At acc_at(int lane, int i) {
    return {lane % 16, 2 * i + lane / 16};
}
__device__ constexpr int acc_row(int /*i*/) {
    return 0;
}
__device__ constexpr int k_slot(int col) {
    return col;
}

__device__ inline float row_max(float v) {
    return fmaxf(v, shfl_xor(v, 16));
}
__device__ inline float row_sum(float v) {
    return v + shfl_xor(v, 16);
}

__device__ inline void mma(Acc& acc, const Frag& a, const Frag& b) {
#pragma unroll
    for (int half = 0; half < 2; half++) {  // k 0–15, then 16–31
        const Run *rows = b.run + 2 * half, *cols = a.run + 2 * half;
#ifdef GPU_EMULATE
        emu::wmma_f32_16x16x16_bf16_w32(acc.v, rows->pair, cols->pair);
#else
        using s16 = __attribute__((ext_vector_type(16))) short;
        using f8 = __attribute__((ext_vector_type(8))) float;
        s16 x, y;
        f8 d;
        __builtin_memcpy(&x, rows, sizeof x);
        __builtin_memcpy(&y, cols, sizeof y);
        __builtin_memcpy(&d, acc.v, sizeof d);
        d = __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32(x, y, d);
        __builtin_memcpy(acc.v, &d, sizeof d);
#endif
    }
}

// A lane has every second column; the other sixteen lanes have the others.
__device__ inline Frag frag_of(const Acc& c0, const Acc& c1) {
    Frag f;
    const bool odd = threadIdx.x % 32 >= 16;
#pragma unroll
    for (int t = 0; t < 2; t++)
#pragma unroll
        for (int i = 0; i < kAcc; i++) {
            const float mine = t == 0 ? c0.v[i] : c1.v[i], other = shfl_xor(mine, 16);
            f.run[2 * t + i / 4].pair[i % 4] = narrow_pair(odd ? other : mine, odd ? mine : other);
        }
    return f;
}

#include "gpu/mma_plain_weights.h"
