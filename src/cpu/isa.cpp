// isa.cpp: which instruction sets this CPU has.
#include "cpu/isa.h"

const std::vector<const Kernels*>& available_kernels() {
    static const std::vector<const Kernels*> kernels = [] {
        std::vector<const Kernels*> found;
#if defined(__x86_64__)
        const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
        if (avx512) found.push_back(&kAvx512Kernels);
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&kAvx2Kernels);
#endif
        found.push_back(&kPortableKernels);
        return found;
    }();
    return kernels;
}

void deinterleave(float* out, const float* x, int64_t n) {
    for (int64_t b = 0; b < n; b += 32)
        for (int64_t i = 0; i < 16; i++) {
            out[b + i] = x[b + 2 * i];
            out[b + 16 + i] = x[b + 2 * i + 1];
        }
}
