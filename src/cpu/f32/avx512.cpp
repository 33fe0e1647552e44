// avx512.cpp: the inner loops with AVX-512 F, BW, VL and DQ: 16 floats in one register, 32 registers.

// GCC 12 warns of the undefined registers that its own intrinsics pass on purpose (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include "cpu/f32/loops.h"

namespace {

struct Avx512 {
    static constexpr int kLanes = 16;
    static constexpr const uint8_t (&kMxfp4Column)[32] = kEvenThenOdd.column;
    static constexpr int kRows = 4, kToks = 4;  // 16 sums and two weight vectors leave room for x
    __m512 v;

    static Avx512 zero() { return {_mm512_setzero_ps()}; }
    static Avx512 set1(float f) { return {_mm512_set1_ps(f)}; }
    static Avx512 load(const float* p) { return {_mm512_loadu_ps(p)}; }
    static Avx512 load_bf16(const bf16* p) {
        const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
    }
    static Avx512 load_f16(const f16* p) {
        return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
    }
    static void store(float* p, Avx512 a) { _mm512_storeu_ps(p, a.v); }
    static Avx512 fma(Avx512 a, Avx512 b, Avx512 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }

    static float sum(Avx512 a) {
        const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
        const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }

    // One look-up for 16 elements: the permute reads only the low 4 bits of each index.
    static void mxfp4(const uint8_t* codes, uint8_t scale, Avx512 (&part)[2]) {
        const __m512 values = _mm512_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f,  //
                                             -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f);
        const __m512 scaled = _mm512_mul_ps(values, _mm512_set1_ps(kScale.value[scale]));
        const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
        part[0].v = _mm512_permutexvar_ps(bytes, scaled);
        part[1].v = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), scaled);
    }
};

}  // namespace

const Kernels kAvx512Kernels{
    "AVX-512", "avx512", MakeKernels<Avx512>::arrange, MakeKernels<Avx512>::dot, MakeKernels<Avx512>::accumulate,
    nullptr};
