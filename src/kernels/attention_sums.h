// attention_sums.h: a row's sums over some of its keys, how a page of keys adds to them, and how the sums of two parts
// are merged. fmaf is written wherever a compiler might fuse a product and a sum in one kernel and not in another.
#pragma once
#include "gpu/wave.h"

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
        return {m, exp2f(m_old - m), exp2f(m_other - m)};
    }
    // If the other part is nothing, add is 0, or NaN if both are. Adding a zero would still turn -0 into 0.
    __device__ float operator()(float old, float other) const { return add > 0 ? fmaf(old, keep, other * add) : old; }
};

// The factor of o in the end; 0 for a row that sees nothing, not even a sink. sink: kNothing if there is none.
__device__ inline float final_scale(float m, float l, float sink) {
    const float base = fmaxf(m, sink * kLog2e), scale = exp2f(m - base);
    if (base == kNothing) return 0;
    return scale / fmaf(l, scale, exp2f(fmaf(sink, kLog2e, -base)));
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

// Adds a page to the sums. l is each lane's own part until the span is done. A row that sees nothing of the page may
// compute NaN but keeps its sums.
template <int P, class ValueTile>
__device__ inline void add_page(Sums<P>& sums, Acc (&scores)[2], ValueTile&& value_tile) {
    const float scale = kLog2e / sqrtf(float(P));
    float keep[kAccRows], part[kAccRows];
    bool seen[kAccRows];
#pragma unroll
    for (int r = 0; r < kAccRows; r++) {
        float largest = kNothing;
#pragma unroll
        for (int i = 0; i < kAcc; i++)
            if (acc_row(i) == r) largest = fmaxf(largest, fmaxf(scores[0].v[i], scores[1].v[i]));
        largest = row_max(largest);
        seen[r] = largest != kNothing;
        const float m = fmaxf(sums.m[r], largest * scale);
        keep[r] = exp2f(sums.m[r] - m);
        sums.m[r] = m;
        part[r] = 0;
    }
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < kAcc; i++) {
            const float p = exp2f(fmaf(scores[n].v[i], scale, -sums.m[acc_row(i)]));
            part[acc_row(i)] += p;
            scores[n].v[i] = p;
        }
#pragma unroll
    for (int r = 0; r < kAccRows; r++)
        if (seen[r]) sums.l[r] = fmaf(sums.l[r], keep[r], part[r]);
    const Frag p = frag_of(scores[0], scores[1]);
#pragma unroll
    for (int t = 0; t < kValueTiles<P>; t++) {
        Acc page_o = {};
        mma(page_o, p, value_tile(t));
#pragma unroll
        for (int i = 0; i < kAcc; i++) {
            const int r = acc_row(i);
            if (seen[r]) sums.o[t].v[i] = fmaf(sums.o[t].v[i], keep[r], page_o.v[i]);
        }
    }
}
