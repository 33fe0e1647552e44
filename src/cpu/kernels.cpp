// kernels.cpp: which instruction sets this CPU has.
#include "cpu/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "error.h"

namespace {

#if defined(__x86_64__)
// AMX registers are 8 KB a thread: Linux hands them out only to processes that ask.
bool allowed_to_use_tiles() {
    constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// Asks CPUID itself: not every compiler's __builtin_cpu_supports knows these names.
bool has_f16c() {
    unsigned eax, ebx, ecx = 0, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}
bool has_amx() {
    constexpr unsigned kTile = 1u << 24, kBf16 = 1u << 22;
    unsigned eax, ebx, ecx, edx = 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & kTile) && (edx & kBf16);
}

const Kernels& with_products(const char* name, const char* flag, const PackedKernels& products, Kernels& storage) {
    storage = kAvx512Kernels;
    storage.name = name;
    storage.flag = flag;
    storage.packed = &products;
    return storage;
}
#endif

}  // namespace

const std::vector<const Kernels*>& available_kernels() {
    static const std::vector<const Kernels*> kernels = [] {
        std::vector<const Kernels*> found;
#if defined(__x86_64__)
        static Kernels amx, avx512_bf16, avx512_vnni;
        const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
        const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
        const bool bf16 = vnni && __builtin_cpu_supports("avx512bf16");
        if (bf16 && has_amx() && allowed_to_use_tiles())
            found.push_back(&with_products("AMX", "amx", kAmxProducts, amx));
        if (bf16)
            found.push_back(&with_products("AVX-512 VNNI and BF16", "avx512-bf16", kAvx512Bf16Products, avx512_bf16));
        if (vnni) found.push_back(&with_products("AVX-512 VNNI", "avx512-vnni", kAvx512VnniProducts, avx512_vnni));
        if (avx512) found.push_back(&kAvx512Kernels);
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
            found.push_back(&kAvx2Kernels);
#elif defined(__aarch64__)
        found.push_back(&kNeonKernels);
#endif
        found.push_back(&kPortableKernels);
        return found;
    }();
    return kernels;
}

const Kernels& kernels_for(const std::string& flag) {
    std::string flags;
    for (const Kernels* kernels : available_kernels()) {
        if (flag.empty() || flag == kernels->flag) return *kernels;
        flags += (flags.empty() ? "" : ", ") + std::string(kernels->flag);
    }
    fail("--cpu-isa {}: expected what this CPU has: {}", flag, flags);
}
