// attention_partials.h: spans that were summed apart: how their sums are kept, and how a thread merges one element.
#pragma once
#include "attention_sums.h"
#include "attention_unit.h"

// Partial results: a unit's spans, each o (kDims / 16, kAcc, kWave), m (16), l (16).
template <int P>
constexpr int kElements = kTile* kDims<P>;
template <int P>
constexpr int kPartialFloats = kElements<P> + 2 * kTile;

// partials: of the unit's spans, kStride floats apart. A thread asks for kBatch of them at once.
template <int P, int kStride, int kBatch>
__device__ inline void merge_element(const AttentionProblem& p, const AttentionUnit& unit, const float* partials,
                                     int element) {
    const At at = acc_at(element % kWave, element / kWave % kAcc);
    if (at.row >= unit.n_rows) return;
    float m = kNothing, l = 0, o = 0;
    const int n_spans = unit.end_span() - unit.first_span();
    for (int s0 = 0; s0 < n_spans; s0 += kBatch) {
        float ms[kBatch], ls[kBatch], os[kBatch];
#pragma unroll
        for (int i = 0; i < kBatch; i++) {
            const float* const span = partials + int64_t(min(s0 + i, n_spans - 1)) * kStride;
            ms[i] = span[kElements<P> + at.row];
            ls[i] = span[kElements<P> + kTile + at.row];
            os[i] = span[element];
        }
#pragma unroll
        for (int i = 0; i < kBatch; i++) {
            const Blend blend = Blend::of(m, s0 + i < n_spans ? ms[i] : kNothing);
            m = blend.m;
            l = blend(l, ls[i]);
            o = blend(o, os[i]);
        }
    }
    const float scale = final_scale(m, l, p.sink(unit.head(at.row)));
    const int d = unit.dim0 + element / (kWave * kAcc) * kTile + at.col;
    store_attended<P>(p, unit.token(at.row), unit.head(at.row), d, o * scale);
}
