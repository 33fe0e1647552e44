// cpu_limits.h: the most that this CPU can do, measured for bench_cpu.cpp: the speed of memory, and of the instructions
// that multiply.
#pragma once
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/random.h"
#include "cpu/kernels.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Median seconds of one call; calls get the number of the repetition, to work on memory that no cache holds.
double time_s(const std::function<void(int)>& work) {
    work(0);
    std::vector<double> times;
    const double start = now_s();
    for (int r = 1; times.size() < 5 || (times.size() < 100 && now_s() - start < 0.4); r++) {
        const double t = now_s();
        work(r);
        times.push_back(now_s() - t);
    }
    std::nth_element(times.begin(), times.begin() + long(times.size() / 2), times.end());
    return times[times.size() / 2];
}

// Bytes a second that all cores together read when they do nothing else: a word of every cache line. The better of two
// ways: with fetches into L2, which on some CPUs has more fill buffers than L1; and without, where the hardware's
// prefetching is better.
double read_bandwidth(const void* data, int64_t n_bytes) {
    constexpr int64_t kBlockWords = 512, kLineWords = 8;
    const auto* words = static_cast<const volatile uint64_t*>(data);
    const auto read = [&](bool fetch) {
        return time_s([&](int) {
#pragma omp parallel for schedule(static)
            for (int64_t block = 0; block < n_bytes / 8 / kBlockWords; block++) {
                const volatile uint64_t* p = words + block * kBlockWords;
                for (int64_t i = 0; i < kBlockWords; i += kLineWords) {
                    if (fetch) __builtin_prefetch(const_cast<const uint64_t*>(p + i + 1024), 0, 2);
                    (void)p[i];
                }
            }
        });
    };
    return double(n_bytes) / std::min(read(true), read(false));
}

// The same for 1 GB of memory allocated here.
double read_bandwidth() {
    const std::vector<uint64_t> data(size_t(1) << 27, 1);
    return read_bandwidth(data.data(), int64_t(data.size()) * 8);
}

// Operations a second that a set's products could do, by what the weights are; 0: not known.
struct Limits {
    double bf16 = 0, mxfp4 = 0;
};

#if defined(__x86_64__)
__attribute__((target("amx-tile,amx-bf16"))) void multiply_tiles(int rounds) {
    struct alignas(64) {
        uint8_t palette = 1, start_row = 0, reserved[14] = {};
        uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    alignas(64) uint16_t numbers[512];  // not zeros: with them cores take less power and run at a higher clock
    for (int i = 0; i < 512; i++) numbers[i] = uint16_t((mix64(uint64_t(i)) & 0x81ff) | 0x3e00);
    asm volatile("" ::"r"(&config), "r"(numbers) : "memory");  // GCC 12 believes that only 8 bytes are read
    _tile_loadconfig(&config);
    _tile_loadd(4, numbers, 64);
    _tile_loadd(5, numbers, 64);
    _tile_loadd(6, numbers, 64);
    _tile_loadd(7, numbers, 64);
    for (int i = 0; i < rounds; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
}

// Operations a second of AMX on tiles that stay in their registers, on all cores. Must be called before the first of
// our products, which rely on the tile shapes that they have set.
double amx_peak() {
    constexpr int kRounds = 200000;
    const double s = time_s([&](int) {
#pragma omp parallel
        multiply_tiles(kRounds);
    });
    return 4.0 * kRounds * 2 * 16 * 16 * 32 * omp_get_max_threads() / s;
}

constexpr int kSums = 12, kProductRounds = 500000;  // chains enough for two products a cycle, of latency 6

// Keeps sums in their registers, and the compiler from working them out.
template <class V>
inline void keep(V (&sum)[kSums]) {
#pragma GCC unroll 12
    for (V& s : sum) asm volatile("" : "+v"(s));
}

__attribute__((target("avx512f,avx512bf16"))) void multiply_bf16() {
    const auto numbers = __m512bh(_mm512_set1_epi32(0x3f813f82));
    __m512 sum[kSums] = {};
    for (int i = 0; i < kProductRounds; i++) {
#pragma GCC unroll 12
        for (__m512& s : sum) s = _mm512_dpbf16_ps(s, numbers, numbers);
        keep(sum);
    }
}
__attribute__((target("avx512f,avx512vnni"))) void multiply_bytes() {
    const __m512i numbers = _mm512_set1_epi8(3);
    __m512i sum[kSums] = {};
    for (int i = 0; i < kProductRounds; i++) {
#pragma GCC unroll 12
        for (__m512i& s : sum) s = _mm512_dpbusd_epi32(s, numbers, numbers);
        keep(sum);
    }
}
__attribute__((target("avx2"))) void multiply_words() {
    const __m256i numbers = _mm256_set1_epi16(3);
    __m256i sum[kSums] = {};
    for (int i = 0; i < kProductRounds; i++) {
#pragma GCC unroll 12
        for (__m256i& s : sum) {
            __m256i product = _mm256_madd_epi16(numbers, numbers);
            asm volatile("" : "+x"(product));
            s = _mm256_add_epi32(s, product);
        }
        keep(sum);
    }
}

// Operations a second on all cores, of `products` multiplications an instruction.
double product_peak(void (*multiply)(), int products) {
    const double s = time_s([&](int) {
#pragma omp parallel
        multiply();
    });
    return double(kSums) * kProductRounds * 2 * products * omp_get_max_threads() / s;
}

Limits limits_of(const PackedKernels* products) {
    Limits limits;
    if (products == &kAmxProducts) limits.bf16 = limits.mxfp4 = amx_peak();
    if (products == &kAvx512Bf16Products) limits.bf16 = product_peak(multiply_bf16, 32);
    if (products == &kAvx512Bf16Products || products == &kAvx512VnniProducts)
        limits.mxfp4 = product_peak(multiply_bytes, 64) / 2;  // tokens are two planes of bytes
    if (products == &kAvx2Products) limits.mxfp4 = product_peak(multiply_words, 16);
    return limits;
}
#else
Limits limits_of(const PackedKernels*) {
    return {};
}
#endif

}  // namespace
