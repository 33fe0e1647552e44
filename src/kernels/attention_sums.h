// attention_sums.h: a row's sums over a span of keys, and how the sums of two parts are merged. fmaf is written where a
// compiler might fuse a product and a sum in one kernel and not in another.
#pragma once
#include "gpu/wave.h"
#include "kv_page.h"

constexpr float kLog2e = 1.44269504f;
constexpr float kNothing = -INFINITY;  // the largest of no scores

// Dims of the result in one unit. Heads of 128 are taken in four parts, each of which computes the scores again: their
// queries leave a lane registers for no more.
template <int P>
constexpr int kDims = P < 128 ? P : 32;
template <int P>
constexpr int kValueTiles = kDims<P> / kTile;

// ---- sums of a row: m the largest score, l = Σ p, o = Σ p · value, where p = 2^(score - m) ----
// Scores are times log2(e) / sqrt(P), so that their exponentials are powers of two.

// How the sums of two parts of a row's keys are merged.
struct Blend {
    float m, keep, add;

    __device__ static Blend of(float m_old, float m_other) {
        const float m = fmaxf(m_old, m_other);
        return {m, exp2_flushed(m_old - m), exp2_flushed(m_other - m)};
    }
    // If the other part is nothing, add is 0, or NaN if both are. Adding a zero would still turn -0 into 0.
    __device__ float operator()(float old, float other) const { return add > 0 ? fmaf(old, keep, other * add) : old; }
};

// The factor of o in the end; 0 for a row that sees nothing, not even a sink. sink: kNothing if there is none.
__device__ inline float final_scale(float m, float l, float sink) {
    const float base = fmaxf(m, sink * kLog2e), scale = exp2_flushed(m - base);
    if (base == kNothing) return 0;
    return scale / fmaf(l, scale, exp2_flushed(fmaf(sink, kLog2e, -base)));
}

template <int P>
struct Sums {
    float m[kAccRows], l[kAccRows];
    Acc o[kValueTiles<P>];

    __device__ Sums() : l{}, o{} {
#pragma unroll
        for (int r = 0; r < kAccRows; r++) m[r] = kNothing;
    }
    __device__ void merge(const Sums& other) {
        Blend blend[kAccRows];
#pragma unroll
        for (int r = 0; r < kAccRows; r++) {
            blend[r] = Blend::of(m[r], other.m[r]);
            m[r] = blend[r].m;
            l[r] = blend[r](l[r], other.l[r]);
        }
#pragma unroll
        for (int t = 0; t < kValueTiles<P>; t++)
#pragma unroll
            for (int i = 0; i < kAcc; i++) o[t].v[i] = blend[acc_row(i)](o[t].v[i], other.o[t].v[i]);
    }
};

// The row of the tile that is a lane's r-th.
__device__ inline int own_row(int lane, int r) {
    int row = 0;
#pragma unroll
    for (int i = 0; i < kAcc; i++)
        if (acc_row(i) == r) row = acc_at(lane, i).row;
    return row;
}

constexpr int kSpanPages = kSpanPositions / kPagePositions;

// Scores of a page, not yet scaled, become weights relative to m; sums: this lane's, of each row.
__device__ inline void weigh_page(float (&sums)[kAccRows], Acc (&scores)[2], const float (&m)[kAccRows], float scale) {
#pragma unroll
    for (int r = 0; r < kAccRows; r++) sums[r] = 0;
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < kAcc; i++) {
            float& score = scores[n].v[i];
            score = exp2_flushed(fmaf(score, scale, -m[acc_row(i)]));
            sums[acc_row(i)] += score;
        }
}

// Scores of a span, 16 positions in each and kNothing where a row does not see, become weights, and m and l are set.
// What is left is to add the values, each times its weight. A row that sees nothing of the span gets m = kNothing, and
// NaN for the rest, which no merge() takes. Calls page_done(page) when a page's weights are there.
template <int P, class F>
__device__ inline void weigh_span(Sums<P>& sums, Acc (&scores)[kSpanPages][2], F&& page_done) {
    const float scale = kLog2e / sqrtf(float(P));
#pragma unroll
    for (int r = 0; r < kAccRows; r++) {
        float largest = kNothing;
#pragma unroll
        for (int page = 0; page < kSpanPages; page++)
#pragma unroll
            for (int i = 0; i < kAcc; i++)
                if (acc_row(i) == r) largest = fmaxf(largest, fmaxf(scores[page][0].v[i], scores[page][1].v[i]));
        sums.m[r] = row_max(largest) * scale;
    }
#pragma unroll
    for (int page = 0; page < kSpanPages; page++) {
        float part[kAccRows];
        weigh_page(part, scores[page], sums.m, scale);
#pragma unroll
        for (int r = 0; r < kAccRows; r++) sums.l[r] = page == 0 ? part[r] : sums.l[r] + part[r];
        page_done(page);
    }
#pragma unroll
    for (int r = 0; r < kAccRows; r++) sums.l[r] = row_sum(sums.l[r]);
}
