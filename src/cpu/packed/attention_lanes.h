// attention_lanes.h: attention of up to 16 queries over one sequence's pages, around its two products, which
// amx_attention.cpp and avx512_attention.cpp compute. A query is a lane; no sum crosses lanes.
//
// Pages come in ascending order, and each updates the running maximum once. A page of which a query sees nothing
// changes no bit of that query's result, so queries at different positions can share a tile.
//
// For the anonymous namespace see scratch.h.
#pragma once
#include <algorithm>

#include "cpu/packed/avx512_weights.h"
#include "kv_page.h"

namespace {

constexpr int kKeys = kPagePositions;
static_assert(kLanes == kPanelRows, "a lane for each query of a tile");

struct Queries {
    __m512i first, last;   // positions that each query sees
    __m512 largest, sum;   // the largest score so far; the sum of the weights relative to it
    int all_from, all_to;  // positions that every query sees: [all_from, all_to]
};

inline Queries begin(const AttentionTile& tile) {
    alignas(64) int first[kLanes], last[kLanes];
    alignas(64) float sink[kLanes];
    Queries q;
    q.all_from = 0;
    q.all_to = tile.last[0];
    for (int i = 0; i < kLanes; i++) {  // lanes without a query repeat the first one
        const int from = i < tile.n ? i : 0;
        first[i] = tile.first[from];
        last[i] = tile.last[from];
        sink[i] = tile.sink[from];
        q.all_from = std::max(q.all_from, first[i]);
        q.all_to = std::min(q.all_to, last[i]);
    }
    q.first = _mm512_load_si512(first);
    q.last = _mm512_load_si512(last);
    q.largest = _mm512_load_ps(sink);
    q.sum = _mm512_set1_ps(1.0f);  // the sink's own weight
    return q;
}

// The queries as the right-hand operand: (P / 2 pairs, 16 lanes, 2).
inline void pack_queries(int32_t* pairs, const AttentionTile& tile) {
    for (int64_t k = 0; k < tile.head_dim; k += kStep) {
        __m512i row[16];
        for (int i = 0; i < 16; i++) row[i] = round_pairs(tile.q[i < tile.n ? i : 0], k, tile.head_dim);
        transpose(row);
        for (int i = 0; i < 16; i++) _mm512_store_si512(pairs + (k / 2 + i) * kLanes, row[i]);
    }
}

// Prefetches one line in four of the next page; the hardware prefetcher brings the rest. Prefetching all lines would
// exhaust the fill buffers.
struct NextPage {
    const bf16 *keys, *values;
    void fetch(int key, int64_t dim) const {
        if (key % 2 != 0) return;
        _mm_prefetch(keys + key * dim, _MM_HINT_T1);
        _mm_prefetch(values + key * dim, _MM_HINT_T1);
    }
};

// Turns the scores of the page at position `pos` into weights, (16 pairs of keys, lanes, 2) bf16, relative to the
// largest score so far. Returns the factor for the sums of earlier pages. Prefetches the next page.
inline __m512 weigh(int32_t* weights, const float* scores, Queries& q, int pos, __m512 scale, const NextPage& next,
                    int64_t dim) {
    __m512 score[kKeys];
    __mmask16 seen[kKeys];
    const bool all = pos >= q.all_from && pos + kKeys - 1 <= q.all_to;
    __m512 largest = q.largest;
    for (int j = 0; j < kKeys; j++) {
        const __m512i at = _mm512_set1_epi32(pos + j);
        seen[j] = all ? __mmask16(0xffff) : _mm512_cmple_epi32_mask(q.first, at) & _mm512_cmple_epi32_mask(at, q.last);
        score[j] = _mm512_mul_ps(_mm512_load_ps(scores + j * kLanes), scale);
        largest = _mm512_mask_max_ps(largest, seen[j], largest, score[j]);
        next.fetch(j, dim);
    }
    const __m512 factor = exp16(_mm512_sub_ps(q.largest, largest));
    __m512 sum = _mm512_setzero_ps();
    for (int j = 0; j < kKeys; j += 2) {
        const __m512 even = _mm512_maskz_mov_ps(seen[j], exp16(_mm512_sub_ps(score[j], largest)));
        const __m512 odd = _mm512_maskz_mov_ps(seen[j + 1], exp16(_mm512_sub_ps(score[j + 1], largest)));
        sum = _mm512_add_ps(_mm512_add_ps(sum, even), odd);
        const __m512i low = _mm512_cvtepu16_epi32(__m256i(_mm512_cvtneps_pbh(even)));
        const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(__m256i(_mm512_cvtneps_pbh(odd))), 16);
        _mm512_store_si512(weights + j / 2 * kLanes, _mm512_or_si512(low, high));
    }
    q.sum = _mm512_fmadd_ps(q.sum, factor, sum);
    q.largest = largest;
    return factor;
}

// out = sums (P, lanes) / the sums of their weights.
inline void write_queries(const AttentionTile& tile, const float* sums, const Queries& q) {
    const __m512 inverse = _mm512_div_ps(_mm512_set1_ps(1.0f), q.sum);
    for (int64_t d = 0; d < tile.head_dim; d += 16) {
        __m512i row[16];
        for (int i = 0; i < 16; i++)
            row[i] = _mm512_castps_si512(_mm512_mul_ps(_mm512_load_ps(sums + (d + i) * kLanes), inverse));
        transpose(row);
        for (int i = 0; i < tile.n; i++)
            _mm512_mask_storeu_epi32(tile.out[i] + d, first_lanes(tile.head_dim - d), row[i]);
    }
}

// PackedKernels::attend of a set that has these products:
//   multiply_keys(scores, keys, queries, dim): scores (32 keys, lanes) = keys (32, P) · queries
//   add_values(sums, values, weights, factor, dim): sums (P, lanes) = sums · factor + values (P, 32) · weights
template <auto multiply_keys, auto add_values>
void attend(const AttentionTile& tile) {
    static thread_local Scratch<int32_t> query_memory;
    static thread_local Scratch<float> sum_memory;
    alignas(64) float scores[kKeys * kLanes];
    alignas(64) int32_t weights[kKeys / 2 * kLanes];
    const int64_t dim = padded(tile.head_dim);
    int32_t* queries = query_memory.get(dim / 2 * kLanes);
    float* sums = sum_memory.get(dim * kLanes);
    std::fill(sums, sums + dim * kLanes, 0.0f);
    pack_queries(queries, tile);
    Queries q = begin(tile);
    const __m512 scale = _mm512_set1_ps(1.0f / std::sqrt(float(tile.head_dim)));
    for (size_t page = 0; page < tile.keys.size(); page++) {
        multiply_keys(scores, tile.keys[page], queries, dim);
        const bool last = page + 1 == tile.keys.size();
        const NextPage next{last ? tile.next_keys : tile.keys[page + 1],
                            last ? tile.next_values : tile.values[page + 1]};
        const __m512 factor = weigh(weights, scores, q, tile.first_pos + int(page) * kKeys, scale, next, dim);
        add_values(sums, tile.values[page], weights, factor, dim);
    }
    write_queries(tile, sums, q);
}

}  // namespace
