// mma_cdna.h: v_mfma_f32_16x16x16_bf16_1k twice, wave 64 (gfx90a, gfx942). Layout: CDNA2 ISA guide. The instruction's
// rows are our columns, and its columns our rows, so that a lane's results are side by side in one row.
#pragma once

constexpr int kWave = 64, kHolders = 64, kRuns = 1, kAcc = 4, kAccRows = 1, kFragRows = 1;
constexpr bool kAskedInOrder = true;

#include "gpu/mma_registers.h"

__device__ constexpr At frag_at(int lane, int /*r*/) {
    return {lane % 16, 8 * (lane / 16)};
}
__device__ constexpr int run_index(int row, int k) {
    return k / 8 * 16 + row;
}
__device__ constexpr At acc_at(int lane, int i) {
    return {lane % 16, 4 * (lane / 16) + i};
}
__device__ constexpr int acc_row(int /*i*/) {
    return 0;
}
// Each instruction takes 16 k, 4 from each lane. Any k will do, as long as both operands have the same: the first
// instruction takes elements 0–3 of every lane's run, the second 4–7.
__device__ constexpr int k_slot(int col) {
    return 8 * (col % 16 / 4) + 4 * (col / 16) + col % 4;
}

__device__ inline float row_max(float v) {
    v = fmaxf(v, shfl_xor(v, 16));
    return fmaxf(v, shfl_xor(v, 32));
}
__device__ inline float row_sum(float v) {
    v += shfl_xor(v, 16);
    return v + shfl_xor(v, 32);
}

__device__ inline void mma(Acc& acc, const Frag& a, const Frag& b) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const uint32_t *rows = b.run[0].pair + 2 * half, *cols = a.run[0].pair + 2 * half;
#ifdef GPU_EMULATE
        emu::mfma_f32_16x16x16_bf16_1k(acc.v, rows, cols);
#else
        using s4 = __attribute__((ext_vector_type(4))) short;
        using f4 = __attribute__((ext_vector_type(4))) float;
        s4 x, y;
        f4 d;
        __builtin_memcpy(&x, rows, sizeof x);
        __builtin_memcpy(&y, cols, sizeof y);
        __builtin_memcpy(&d, acc.v, sizeof d);
        d = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(x, y, d, 0, 0, 0);
        __builtin_memcpy(acc.v, &d, sizeof d);
#endif
    }
}

__device__ inline Frag frag_of(const Acc& c0, const Acc& c1) {
    Frag f;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        f.run[0].pair[i] = narrow_pair(c0.v[2 * i], c0.v[2 * i + 1]);
        f.run[0].pair[2 + i] = narrow_pair(c1.v[2 * i], c1.v[2 * i + 1]);
    }
    return f;
}

#include "gpu/mma_plain_weights.h"
