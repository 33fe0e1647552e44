// mma_host_pass.h: names with which the host pass of hipcc and nvcc can parse kernels that it never runs. Launchers get
// the size of a wave from gpu::device_info.
#pragma once

constexpr int kWave = 1, kHolders = 1, kRuns = 1, kAcc = 1, kAccRows = 1, kFragRows = 1;
constexpr bool kAskedInOrder = false;

#include "gpu/mma_registers.h"

__device__ constexpr At frag_at(int, int) {
    return {0, 0};
}
__device__ constexpr int run_index(int row, int k) {
    return row + k;
}
__device__ constexpr At acc_at(int, int) {
    return {0, 0};
}
__device__ constexpr int acc_row(int) {
    return 0;
}
__device__ constexpr int k_slot(int col) {
    return col;
}
__device__ inline float row_max(float v) {
    return v;
}
__device__ inline float row_sum(float v) {
    return v;
}
__device__ inline void mma(Acc&, const Frag&, const Frag&) {}
__device__ inline Frag frag_of(const Acc&, const Acc&) {
    return {};
}

#include "gpu/mma_plain_weights.h"
