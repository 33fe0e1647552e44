// mma_registers.h: a lane's registers of operands and results, and an exchange between lanes. Each mma_<target>.h
// includes it after its constants.
#pragma once

struct Frag {
    Run run[kRuns];
};
struct Acc {
    float v[kAcc];
};

template <class T>
__device__ inline T shfl_xor(T v, int mask) {
#if defined(__CUDA_ARCH__)
    return __shfl_xor_sync(~0u, v, mask);
#else
    return __shfl_xor(v, mask);
#endif
}
