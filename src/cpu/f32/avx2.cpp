// avx2.cpp: the inner loops with AVX2 and FMA: 8 floats in one register, 16 registers.
#include <immintrin.h>

#include "cpu/f32/loops.h"
#include "cpu/mxfp4_bf16.h"

namespace {

struct Avx2 {
    static constexpr int kLanes = 8;
    static constexpr int kRows = 4, kToks = 3;  // 12 sums, three tokens and a weight take all registers
    __m256 v;

    static Avx2 zero() { return {_mm256_setzero_ps()}; }
    static Avx2 set1(float f) { return {_mm256_set1_ps(f)}; }
    static Avx2 load(const float* p) { return {_mm256_loadu_ps(p)}; }
    static Avx2 load_bf16(const bf16* p) {
        const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
    }
    static Avx2 load_f16(const f16* p) {
        return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
    }
    static void store(float* p, Avx2 a) { _mm256_storeu_ps(p, a.v); }
    static Avx2 fma(Avx2 a, Avx2 b, Avx2 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }

    static float sum(Avx2 a) {
        const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }

    // One half of the register has the even codes, the other the odd ones. Two look-ups give the two bytes of a bf16,
    // the upper half of a float.
    static constexpr uint8_t kMxfp4Column[32] = {0,  4,  8,  12, 1,  5,  9,  13, 2,  6,  10, 14, 3,  7,  11, 15,
                                                 16, 20, 24, 28, 17, 21, 25, 29, 18, 22, 26, 30, 19, 23, 27, 31};
    static void mxfp4(const uint8_t* codes, uint8_t scale, Avx2 (&part)[4]) {
        const auto twice = [](const uint8_t* p) {
            return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
        };
        const __m256i shifted = _mm256_srlv_epi32(twice(codes), _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4));
        const __m256i code = _mm256_and_si256(shifted, _mm256_set1_epi8(15));
        const __m256i low = _mm256_shuffle_epi8(twice(kMxfp4Bytes.of[scale].low), code);
        const __m256i high = _mm256_shuffle_epi8(twice(kMxfp4Bytes.of[scale].high), code);
        const __m256i first = _mm256_unpacklo_epi8(low, high), second = _mm256_unpackhi_epi8(low, high);
        const __m256i upper = _mm256_set1_epi32(int(0xffff0000u));
        part[0].v = _mm256_castsi256_ps(_mm256_slli_epi32(first, 16));
        part[1].v = _mm256_castsi256_ps(_mm256_and_si256(first, upper));
        part[2].v = _mm256_castsi256_ps(_mm256_slli_epi32(second, 16));
        part[3].v = _mm256_castsi256_ps(_mm256_and_si256(second, upper));
    }
};

}  // namespace

const Kernels kAvx2Kernels{
    "AVX2", "avx2", MakeKernels<Avx2>::arrange, MakeKernels<Avx2>::dot, MakeKernels<Avx2>::accumulate, &kAvx2Products};
