// attention_block.h: attention for few units of few spans, above all for the step of one sequence. A block has a unit.
//
// One wave alone would do thousands of instructions one after the other, with no other wave at work meanwhile. So a
// span has four waves: each scores the keys of one page, and after that adds up 16 dims of the span's values. In
// between they exchange their largest scores and their weights through LDS. Sums have the order, and so the bits, of
// attention.hip's.
#pragma once
#include "attention_partials.h"
#include "attention_queries.h"
#include "gpu/wave.h"

constexpr int kBlockThreads = 512;
constexpr int kBlockMergeBatch = 2;

// LDS of a span: its pages' weights as operands; in their place, in the end, its partial results.
template <int P>
constexpr int kSpanFloats =
    kPartialFloats<P> > kSpanPages* kTileRuns * 4 ? kPartialFloats<P> : kSpanPages* kTileRuns * 4;
// LDS of a span that is at work: of each page, each row's largest score, and each lane's sums of weights.
constexpr int kMostRowSums = 256;  // of a page, on any target
static_assert(kAccRows * kWave <= kMostRowSums);
constexpr int kBusySpanFloats = kSpanPages * (kTile + kMostRowSums);

// While the kernel ahead still runs. A page's number may be an old one: page tables may be changing.
template <int P>
__device__ inline void prefetch_page(const AttentionProblem& p, const AttentionUnit& unit, int page, int lane) {
    constexpr int kLineBytes = 128, kLines = 2 * kPagePositions * P * int(sizeof(bf16)) / kLineBytes;
    const auto* const from = reinterpret_cast<const char*>(page_tiles<P>(p, unit, page));
    for (int line = lane; line < kLines; line += kWave) prefetch(from + kLineBytes * line);
}

// A wave's part of a span; all waves of the block call do_span().
template <int P>
struct PageWave {
    static constexpr int kDepthTiles = P / kTileDepth;
    const AttentionProblem& p;
    const AttentionUnit& unit;
    const int lane, part;               // which page, and which 16 dims
    float *const largest, *const sums;  // of the span at work
    const Queries<P, kAhead<P>> queries;

    __device__ void score(Acc (&scores)[2], int page) const {
        if (unit.has_page(page)) {
            const Run* const keys = page_tiles<P>(p, unit, page);
#pragma unroll
            for (int n = 0; n < 2; n++)
#pragma unroll
                for (int t = 0; t < kDepthTiles; t++)
                    mma(scores[n], queries.tile(t), load_frag(keys + (n * kDepthTiles + t) * kTileRuns, lane));
        }
        queries.hide_unseen(scores, page);
#pragma unroll
        for (int r = 0; r < kAccRows; r++) {
            float most = kNothing;
#pragma unroll
            for (int i = 0; i < kAcc; i++)
                if (acc_row(i) == r) most = fmaxf(most, fmaxf(scores[0].v[i], scores[1].v[i]));
            largest[part * kTile + own_row(lane, r)] = row_max(most);
        }
    }
    // m, of the whole span; weights to LDS.
    __device__ void weigh(float (&m)[kAccRows], Acc (&scores)[2], Run* weights) const {
        const float scale = kLog2e / sqrtf(float(P));
        float mine[kAccRows];
#pragma unroll
        for (int r = 0; r < kAccRows; r++) {
            float most = largest[own_row(lane, r)];
#pragma unroll
            for (int page = 1; page < kSpanPages; page++) most = fmaxf(most, largest[page * kTile + own_row(lane, r)]);
            m[r] = most * scale;
        }
        weigh_page(mine, scores, m, scale);
#pragma unroll
        for (int r = 0; r < kAccRows; r++) sums[(part * kAccRows + r) * kWave + lane] = mine[r];
        const Frag packed = frag_of(scores[0], scores[1]);
#pragma unroll
        for (int r = 0; r < kRuns; r++) weights[part * kTileRuns + r * kHolders + lane % kHolders] = packed.run[r];
    }
    // The sums over the span: of values, and of weights.
    __device__ void add_up(Acc& o, float (&l)[kAccRows], int first_page, const Run* weights) const {
        if (part < kValueTiles<P>)
#pragma unroll
            for (int i = 0; i < kSpanPages; i++) {
                if (!unit.has_page(first_page + i)) continue;
                const Run* const values =
                    page_tiles<P>(p, unit, first_page + i) + (kKeyTiles<P> + unit.dim0 / kTile + part) * kTileRuns;
                mma(o, load_frag(weights + i * kTileRuns, lane), load_frag(values, lane));
            }
#pragma unroll
        for (int r = 0; r < kAccRows; r++) {
            l[r] = sums[r * kWave + lane];
#pragma unroll
            for (int page = 1; page < kSpanPages; page++) l[r] += sums[(page * kAccRows + r) * kWave + lane];
            l[r] = row_sum(l[r]);
        }
    }
    __device__ void store(float* partial, const Acc& o, const float (&m)[kAccRows], const float (&l)[kAccRows]) const {
        if (part < kValueTiles<P>)
#pragma unroll
            for (int i = 0; i < kAcc; i++) partial[(part * kAcc + i) * kWave + lane] = o.v[i];
        if (part > 0) return;
#pragma unroll
        for (int r = 0; r < kAccRows; r++) {
            partial[kElements<P> + own_row(lane, r)] = m[r];
            partial[kElements<P> + kTile + own_row(lane, r)] = l[r];
        }
    }
    // span_lds: kSpanFloats; nullptr if this wave has no span.
    __device__ void do_span(int span, float* span_lds) const {
        Acc scores[2] = {}, o = {};
        float m[kAccRows] = {}, l[kAccRows] = {};
        auto* const weights = reinterpret_cast<Run*>(span_lds);
        if (span_lds) score(scores, span * kSpanPages + part);
        block_sync();
        if (span_lds) weigh(m, scores, weights);
        block_sync();
        if (span_lds) add_up(o, l, span * kSpanPages, weights);
        block_sync();
        if (span_lds) store(span_lds, o, m, l);
    }
};

template <int P>
__global__ __launch_bounds__(kBlockThreads) void attention_block_kernel(AttentionProblem p) {
    GPU_LDS(lds);
    let_next_begin();
    const AttentionUnit unit(p, int(blockIdx.x), kDims<P>);
    const int lane = lane_id(), part = wave_id() % kSpanPages, mine = wave_id() / kSpanPages;
    const int at_once = n_waves() / kSpanPages, n_spans = unit.end_span() - unit.first_span();
    for (int s = mine; s < n_spans; s += at_once) {
        const int page = (unit.first_span() + s) * kSpanPages + part;
        if (unit.has_page(page)) prefetch_page<P>(p, unit, page, lane);
    }
    wait_for_previous();
    auto* const busy = reinterpret_cast<float*>(lds) + mine * kBusySpanFloats;
    auto* const spans = reinterpret_cast<float*>(lds) + at_once * kBusySpanFloats;
    if (n_spans > 0) {  // else it is padding
        const PageWave<P> wave = {p, unit, lane, part, busy, busy + kSpanPages * kTile, {p, unit, lane}};
        for (int s0 = 0; s0 < n_spans; s0 += at_once) {
            const int s = s0 + mine;
            wave.do_span(unit.first_span() + s, s < n_spans ? spans + s * kSpanFloats<P> : nullptr);
        }
    }
    block_sync();
    for (int element = int(threadIdx.x); element < kElements<P>; element += int(blockDim.x))
        merge_element<P, kSpanFloats<P>, kBlockMergeBatch>(p, unit, spans, element);
}
