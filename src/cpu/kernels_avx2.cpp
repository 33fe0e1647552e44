// kernels_avx2.cpp: the inner loops with AVX2 and FMA: 8 floats in one register, 16 registers.
#include <immintrin.h>

#include "cpu/kernels_impl.h"

namespace {

struct Avx2 {
    static constexpr int kLanes = 8;
    static constexpr int kRows = 4, kToks = 3;  // 12 sums, three tokens and a weight: every register
    __m256 v;

    static Avx2 zero() { return {_mm256_setzero_ps()}; }
    static Avx2 set1(float f) { return {_mm256_set1_ps(f)}; }
    static Avx2 load(const float* p) { return {_mm256_loadu_ps(p)}; }
    static Avx2 load_bf16(const bf16* p) {
        const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
    }
    static Avx2 load_n(const float* p, int64_t n) {
        float part[kLanes];
        copy_n(part, p, n);
        return load(part);
    }
    static Avx2 load_bf16_n(const bf16* p, int64_t n) {
        bf16 part[kLanes];
        copy_n(part, p, n);
        return load_bf16(part);
    }
    static void store(float* p, Avx2 a) { _mm256_storeu_ps(p, a.v); }
    static void store_n(float* p, Avx2 a, int64_t n) {
        float part[kLanes];
        store(part, a);
        std::memcpy(p, part, size_t(n) * sizeof(float));
    }
    static Avx2 fma(Avx2 a, Avx2 b, Avx2 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }

    static float sum(Avx2 a) {
        const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }

    // The permute reads the low 3 bits of each index, the magnitude; bit 3 becomes the sign.
    static __m256 decode(__m256i codes, __m256 magnitudes) {
        const __m256i sign = _mm256_and_si256(_mm256_slli_epi32(codes, 28), _mm256_set1_epi32(int(0x80000000u)));
        return _mm256_xor_ps(_mm256_permutevar8x32_ps(magnitudes, codes), _mm256_castsi256_ps(sign));
    }
    static void mxfp4(const uint8_t* codes, float scale, Avx2 (&part)[4]) {
        const __m256 magnitudes =
            _mm256_mul_ps(_mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f), _mm256_set1_ps(scale));
        const auto bytes = [&](int i) {
            return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + i)));
        };
        const __m256i first = bytes(0), second = bytes(8);
        part[0].v = decode(first, magnitudes);
        part[1].v = decode(second, magnitudes);
        part[2].v = decode(_mm256_srli_epi32(first, 4), magnitudes);
        part[3].v = decode(_mm256_srli_epi32(second, 4), magnitudes);
    }
};

}  // namespace

const Kernels kAvx2Kernels{"AVX2", "avx2", MakeKernels<Avx2>::dot, MakeKernels<Avx2>::accumulate, nullptr};
