// mma_sm80.h: four mma.sync.m16n8k16 make the 16 × 16 × 32 tile, wave of 32 (NVIDIA Ampere and later). Layout: PTX ISA,
// "Matrix fragments for mma.m16n8k16".
#pragma once

constexpr int kWave = 32, kHolders = 32, kRuns = 2, kAcc = 8, kAccRows = 2, kFragRows = 2;
constexpr bool kAskedInOrder = false;

#include "gpu/mma_registers.h"

__device__ constexpr At frag_at(int lane, int r) {
    return {lane / 4 + 8 * r, 8 * (lane % 4)};
}
__device__ constexpr int run_index(int row, int k) {
    return row / 8 * 32 + row % 8 * 4 + k / 8;
}
__device__ constexpr At acc_at(int lane, int i) {
    return {lane / 4 + 8 * (i / 2 % 2), 2 * (lane % 4) + i % 2 + 8 * (i / 4)};
}
__device__ constexpr int acc_row(int i) {
    return i / 2 % 2;
}
// The instruction takes k 2q, 2q+1, 2q+8, 2q+9 from lane q of four. Any k of ours will do, as long as both operands
// have the same: the first instruction takes elements 0–3 of every lane's run, the second 4–7.
__device__ constexpr int k_slot(int col) {
    return 8 * (col % 8 / 2) + 4 * (col / 16) + 2 * (col % 16 / 8) + col % 2;
}

__device__ inline float row_max(float v) {
    v = fmaxf(v, shfl_xor(v, 1));
    return fmaxf(v, shfl_xor(v, 2));
}
__device__ inline float row_sum(float v) {
    v += shfl_xor(v, 1);
    return v + shfl_xor(v, 2);
}

__device__ inline void m16n8k16(float* d, const uint32_t* a, const uint32_t* b) {
#ifdef GPU_EMULATE
    emu::mma_m16n8k16_f32_bf16(d, a, b);
#else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

__device__ inline void mma(Acc& acc, const Frag& a, const Frag& b) {
#pragma unroll
    for (int half = 0; half < 2; half++) {  // which 16 of the 32 k
        const uint32_t* lo = a.run[0].pair + 2 * half;
        const uint32_t* hi = a.run[1].pair + 2 * half;
#pragma unroll
        for (int n = 0; n < 2; n++) {  // columns 0–7, then 8–15
            float* d = acc.v + 4 * n;
            const uint32_t rows[4] = {lo[0], hi[0], lo[1], hi[1]};
            m16n8k16(d, rows, b.run[n].pair + 2 * half);
        }
    }
}

__device__ inline Frag frag_of(const Acc& c0, const Acc& c1) {
    Frag f;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        f.run[r].pair[0] = narrow_pair(c0.v[2 * r], c0.v[2 * r + 1]);
        f.run[r].pair[1] = narrow_pair(c0.v[4 + 2 * r], c0.v[4 + 2 * r + 1]);
        f.run[r].pair[2] = narrow_pair(c1.v[2 * r], c1.v[2 * r + 1]);
        f.run[r].pair[3] = narrow_pair(c1.v[4 + 2 * r], c1.v[4 + 2 * r + 1]);
    }
    return f;
}

// Weights are the 16-row operand, which alternates rows r and r + 8 over four registers. Packed weights have that
// order; activations would need moves. Row r is from a slab's first tile and row r + 8 from its second, so that a lane
// gets both results of a pair.
struct WeightFrag {
    Run run[kRuns];  // for each half of the k, pairs at (first tile, k), (second, k), (first, k + 2), (second, k + 2)
};
__device__ constexpr SlabRun slab_run(int part, int r) {
    return {r, part};
}
__device__ constexpr InSlab weight_pair_at(int lane, int part, int r, int j) {
    return {j % 2, lane / 4 + 8 * part, 8 * (lane % 4) + 4 * r + 2 * (j / 2)};
}
__device__ constexpr At product_at(int lane, int i) {
    return {2 * (lane % 4) + i % 2 + 8 * (i / 2 % 2), lane / 4 + 8 * (i / 4)};
}
__device__ inline float pair_sum(const Acc (&acc)[2], int i, int tile) {
    return acc[i / 4].v[4 * (i / 2 % 2) + 2 * tile + i % 2];
}
__device__ inline WeightFrag weight_frag_of(const Frag& f) {
    return {{{{f.run[0].pair[0], f.run[1].pair[0], f.run[0].pair[1], f.run[1].pair[1]}},
             {{f.run[0].pair[2], f.run[1].pair[2], f.run[0].pair[3], f.run[1].pair[3]}}}};
}
// n_rows: rows of x that matter, 8 or 16.
template <int n_rows = 16>
__device__ inline void mma_weights(Acc& acc, const Frag& x, const WeightFrag& w) {
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
        for (int n = 0; n < n_rows / 8; n++) m16n8k16(acc.v + 4 * n, w.run[half].pair, x.run[n].pair + 2 * half);
}
