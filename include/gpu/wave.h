// wave.h: collectives of the lanes of a wave and of the waves of a block. Blocks are one-dimensional, whole waves.
#pragma once
#include "gpu/mma.h"

__device__ inline int lane_id() {
    return int(threadIdx.x) % kWave;
}
// On CDNA it is put into a scalar register, so that what depends on it, above all addresses, is computed once for the
// wave. (On RDNA3, clang 19 would then spill a register of gemm_few.)
__device__ inline int wave_id() {
#if defined(__gfx90a__) || defined(__gfx942__)
    return __builtin_amdgcn_readfirstlane(int(threadIdx.x) / kWave);
#else
    return int(threadIdx.x) / kWave;
#endif
}
__device__ inline int n_waves() {
    return int(blockDim.x) / kWave;
}

// The value of another lane. Every lane of the wave must call this, and all functions below.
template <class T>
__device__ inline T shfl(T v, int lane) {
#if defined(__CUDA_ARCH__)
    return __shfl_sync(~0u, v, lane);
#else
    return __shfl(v, lane);
#endif
}

// Bit l: lane l's predicate.
__device__ inline uint64_t wave_ballot(bool predicate) {
#if defined(__CUDA_ARCH__)
    return __ballot_sync(~0u, predicate);
#else
    return __ballot(predicate);
#endif
}

// A butterfly: every lane gets the same bits.
__device__ inline float wave_sum(float v) {
    for (int mask = kWave / 2; mask > 0; mask /= 2) v += shfl_xor(v, mask);
    return v;
}

// Compilers for AMD move no instruction across it. On these devices a wait for a load is a wait for all loads that the
// wave issued before it, so their order matters.
__device__ inline void fix_order() {
#if defined(__AMDGCN__)
    __builtin_amdgcn_sched_barrier(0);
#endif
}

// Blocks of a kernel that GPU_LAUNCH_CHAINED launches may start while the kernel before it still runs. They must call
// wait_for_previous() before they touch what that kernel may write or read. let_next_begin() lets the next kernel's
// blocks start. On devices that cannot do this, a kernel starts when the one before is done.
__device__ inline void let_next_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}
__device__ inline void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Brings the 128 bytes that p is in into the nearest cache that all units share, if the device can; does not wait.
__device__ inline void prefetch([[maybe_unused]] const void* p) {
#if defined(__CUDA_ARCH__)
    asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
#endif
}

__device__ inline void block_sync() {
    __syncthreads();
}

// The sum over the block, with the same bits in every thread. scratch: (n_waves()) in LDS, free again when the last
// thread returns.
__device__ inline float block_sum(float v, float* scratch) {
    v = wave_sum(v);
    block_sync();
    if (lane_id() == 0) scratch[wave_id()] = v;
    block_sync();
    float sum = 0;
    for (int w = 0; w < n_waves(); w++) sum += scratch[w];
    return sum;
}
