// avx512_attention.cpp: the products of attention with AVX-512's bf16 instruction. A register holds two numbers of each
// of 16 queries, and is multiplied by two numbers of a key or a value that all lanes share.
#include "cpu/packed/attention_lanes.h"
#include "cpu/packed/avx512_rows.h"

namespace {

constexpr int kSums = 16;  // at a time

// sum[i] += rows (kSums, n), `stride` apart, times pairs (n / 2, lanes, 2).
inline void add_products(__m512 (&sum)[kSums], const bf16* rows, int64_t stride, const int32_t* pairs, int64_t n) {
    for (int64_t k = 0; k < n; k += 2) {
        const auto pair = __m512bh(_mm512_load_si512(pairs + k / 2 * kLanes));
#pragma GCC unroll 16
        for (int i = 0; i < kSums; i++)
            sum[i] = _mm512_dpbf16_ps(sum[i], pair, __m512bh(broadcast_four(rows + i * stride + k)));
    }
}

// scores (32 keys, lanes) = keys (32, P) · queries.
void multiply_keys(float* scores, const bf16* keys, const int32_t* queries, int64_t dim) {
    for (int key = 0; key < kKeys; key += kSums) {
        __m512 sum[kSums];
#pragma GCC unroll 16
        for (int i = 0; i < kSums; i++) sum[i] = _mm512_setzero_ps();
        add_products(sum, keys + key * dim, dim, queries, dim);
#pragma GCC unroll 16
        for (int i = 0; i < kSums; i++) _mm512_store_ps(scores + (key + i) * kLanes, sum[i]);
    }
}

// sums (P, lanes) = sums · factor + values (P, 32) · weights.
void add_values(float* sums, const bf16* values, const int32_t* weights, __m512 factor, int64_t dim) {
    for (int64_t d = 0; d < dim; d += kSums) {
        __m512 sum[kSums];
#pragma GCC unroll 16
        for (int i = 0; i < kSums; i++) sum[i] = _mm512_mul_ps(_mm512_load_ps(sums + (d + i) * kLanes), factor);
        add_products(sum, values + d * kKeys, kKeys, weights, kKeys);
#pragma GCC unroll 16
        for (int i = 0; i < kSums; i++) _mm512_store_ps(sums + (d + i) * kLanes, sum[i]);
    }
}

}  // namespace

void attend_avx512(const AttentionTile& tile) {
    attend<multiply_keys, add_values>(tile);
}
