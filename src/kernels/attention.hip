// attention.hip: softmax over the cached keys and a sink, times the values; keys are seen once, span by span.
//
// A wave has a unit: one query tile, one KV head and 32 or 64 dims of the result. Its 16 rows are (token of the tile,
// head of the KV head's group), so that keys and values, which the heads of a group share, are read once for all. They
// come from global memory straight into operands: the cache holds packed tiles.
//
// A row's sums depend on that row alone. Keys are summed up in spans of kSpanPositions absolute positions, each by
// itself, and spans are merged in ascending order. A page of which a row sees nothing adds zeros to its sums, and such
// a span leaves them as they are, to the bit: other rows of the tile may need it. With few units of few spans a block
// has a unit and merges its spans (attention_block.h). With few units of many spans a wave does one span, and another
// kernel merges. With many units a wave walks through all spans and keeps the sums in registers.
//
// The cache's values must be finite where nothing was stored yet: they are multiplied by weights of zero.
#include "attention.h"

#include <algorithm>

#include "attention_block.h"
#include "attention_partials.h"
#include "attention_queries.h"
#include "attention_sums.h"
#include "attention_unit.h"
#include "gpu/wave.h"
#include "launch.h"
#include "tuning.h"

namespace {

// Partial results held at once, if one tile does not need more: 69 MB for heads of 64.
constexpr int kMaxPartials = 16384;
constexpr int kWideThreads = 256, kNarrowThreads = 64, kMergeThreads = 256;
constexpr int kMergeBatch = 16;  // spans that a thread asks for at once

using Problem = AttentionProblem;
using Unit = AttentionUnit;

template <int P>
int n_units(const Problem& p) {
    return p.n_tiles * p.n_kv_heads * (P / kDims<P>);
}

// A wave's way through the pages of its unit.
template <int P>
struct Walk {
    const Problem& p;
    const Unit& unit;
    const int lane;
    const Queries<P, kAhead<P>> queries;
    const int first_page, end_page;
    const int* const table;                         // the sequence's pages
    const Run* const pool;                          // page 0 of the KV head
    int pages[kSpanPages], next_pages[kSpanPages];  // of the pool: this span's and the next one's
    Frag held[2][kAhead<P> ? kMostTiles<P> : 1];
    Acc scores[kSpanPages][2];

    __device__ Walk(const Problem& problem, const Unit& of_unit, int of_wave)
        : p(problem),
          unit(of_unit),
          lane(of_wave),
          queries(problem, of_unit, of_wave),
          first_page(of_unit.first_key / kPagePositions),
          end_page((of_unit.end_key + kPagePositions - 1) / kPagePositions),
          table(problem.kv.table + int64_t(of_unit.slot) * problem.kv.table_stride),
          pool(reinterpret_cast<const Run*>(problem.kv.base + int64_t(of_unit.kv_head) * 2 * kPagePositions * P)) {}

    __device__ bool has(int page) const { return page >= first_page && page < end_page; }

    __device__ void look_up(int span) {
#pragma unroll
        for (int i = 0; i < kSpanPages; i++) {
            const int page = min(max(span * kSpanPages + i, first_page), end_page - 1);  // others are not there
            const int of_ring = p.kv.ring_pages ? page % p.kv.ring_pages : page;
            next_pages[i] = table[of_ring];
        }
    }
    __device__ void turn_pages() {
#pragma unroll
        for (int i = 0; i < kSpanPages; i++) pages[i] = next_pages[i];
    }
    // (2, P / 32) of keys, then P / 16 of values.
    __device__ const Run* tiles(int i) const {
        return pool + int64_t(pages[i]) * (p.kv.page_stride / 8);
    }

    template <int kTiles>
    __device__ void load(int buffer, const Run* from) {
#pragma unroll
        for (int t = 0; t < kTiles; t++) held[buffer][t] = load_frag(from + t * kTileRuns, lane);
    }
    __device__ const Run* values_of(int i) const {
        return tiles(i) + (kKeyTiles<P> + unit.dim0 / kTile) * kTileRuns;
    }
    __device__ void load_keys(int buffer, int span, int i) {
        if (has(span * kSpanPages + i)) load<kKeyTiles<P>>(buffer, tiles(i));
    }
    __device__ void load_values(int buffer, int span, int i) {
        if (has(span * kSpanPages + i)) load<kValueTiles<P>>(buffer, values_of(i));
    }

    // Tile t of a page's keys or values, which stand at `from`.
    __device__ Frag tile(const Run* from, int i, int t) const {
        return kAhead<P> ? held[i % 2][kAhead<P> ? t : 0] : load_frag(from + t * kTileRuns, lane);
    }
    // Not yet scaled; kNothing where a row does not see.
    __device__ void score(int span, int i) {
        constexpr int kDepthTiles = P / kTileDepth;
        const int page = span * kSpanPages + i;
#pragma unroll
        for (int n = 0; n < 2; n++) {
            Acc& acc = scores[i][n];
            acc = {};
            if (has(page))
#pragma unroll
                for (int t = 0; t < kDepthTiles; t++) mma(acc, queries.tile(t), tile(tiles(i), i, n * kDepthTiles + t));
            if (!kAhead<P>) fix_order();  // registers have no room for more tiles at once
        }
        queries.hide_unseen(scores[i], page);
    }
    __device__ Frag weights(int i) const {
        return frag_of(scores[i][0], scores[i][1]);
    }
    __device__ void add_values(Sums<P>& sums, const Frag& weights, int span, int i) {
        if (!has(span * kSpanPages + i)) return;
#pragma unroll
        for (int t = 0; t < kValueTiles<P>; t++) {
            mma(sums.o[t], weights, tile(values_of(i), i, t));
            if (!kAhead<P> && t % 2 == 1) fix_order();
        }
    }

    // Calls span_done(sums) for each of the spans, in order. Where there is room, keys and values are asked for two
    // pages before they are needed: the keys of a span's four, then their values, then the next span's keys.
    template <class F>
    __device__ void spans(int begin, int end, F&& span_done) {
        static_assert(kSpanPages == 4);
        if (end_page == 0) return;  // padding
        look_up(begin);
        turn_pages();
        for (int i = 0; kAhead<P> && i < 2; i++) load_keys(i, begin, i);
#pragma unroll 1
        for (int span = begin; span < end; span++) {
            const bool more = span + 1 < end;
            if (more) look_up(span + 1);
#pragma unroll
            for (int i = 0; i < kSpanPages; i++) {
                score(span, i);
                if (kAhead<P> && i < 2) load_keys(i, span, i + 2);
                if (kAhead<P> && i >= 2) load_values(i - 2, span, i - 2);
            }
            Sums<P> sums;
            Frag packed[kAhead<P> ? kSpanPages : 1];  // half the registers of scores, for what is asked for next
            weigh_span(sums, scores, [&](int i) {
                if (kAhead<P>) packed[kAhead<P> ? i : 0] = weights(i);
            });
            if (!kAhead<P>) fix_order();
#pragma unroll
            for (int i = 0; i < kSpanPages; i++) {
                add_values(sums, kAhead<P> ? packed[kAhead<P> ? i : 0] : weights(i), span, i);
                if (!kAhead<P>) fix_order();
                if (kAhead<P> && i < 2) load_values(i, span, i + 2);
                if (i == (kAhead<P> ? 1 : kSpanPages - 1) && more) turn_pages();  // this span's are asked for
                if (kAhead<P> && i >= 2 && more) load_keys(i - 2, span + 1, i - 2);
            }
            span_done(sums);
        }
    }
};

// ---- many units: a wave walks through all spans of its unit ----

template <int P>
__global__ __launch_bounds__(kWideThreads) void attention_kernel(Problem p, int n_units) {
    let_next_begin();
    wait_for_previous();
    const int lane = lane_id(), idx = int(blockIdx.x) * n_waves() + wave_id();
    if (idx >= n_units) return;
    const Unit unit(p, idx, kDims<P>);
    Sums<P> sums;
    if (unit.slot >= 0)
        Walk<P>(p, unit, lane).spans(unit.first_span(), unit.end_span(), [&](const Sums<P>& span) {
            sums.merge(span);
        });

    float scale[kAccRows];
#pragma unroll
    for (int r = 0; r < kAccRows; r++) {
        const int row = own_row(lane, r);
        scale[r] = final_scale(sums.m[r], sums.l[r], p.sink(unit.head(row < unit.n_rows ? row : 0)));
    }
#pragma unroll
    for (int t = 0; t < kValueTiles<P>; t++)
#pragma unroll
        for (int i = 0; i < kAcc; i++) {
            const At at = acc_at(lane, i);
            if (at.row < unit.n_rows)
                store_attended<P>(p, unit.token(at.row), unit.head(at.row), unit.dim0 + t * kTile + at.col,
                                  sums.o[t].v[i] * scale[acc_row(i)]);
        }
}

// ---- few units, many spans: a wave does a span, a thread merges the spans of one element ----

template <int P>
__device__ inline void sum_span(float* partial, const Problem& p, const Unit& unit, int span, int lane) {
    float *const o = partial, *const m = o + kElements<P>, *const l = m + kTile;
    Walk<P>(p, unit, lane).spans(span, span + 1, [&](const Sums<P>& sums) {
#pragma unroll
        for (int t = 0; t < kValueTiles<P>; t++)
#pragma unroll
            for (int i = 0; i < kAcc; i++) o[(t * kAcc + i) * kWave + lane] = sums.o[t].v[i];
#pragma unroll
        for (int r = 0; r < kAccRows; r++) {  // the same from all lanes of a row
            m[own_row(lane, r)] = sums.m[r];
            l[own_row(lane, r)] = sums.l[r];
        }
    });
}

template <int P>
__global__ __launch_bounds__(kNarrowThreads) void attention_span_kernel(Problem p, float* partials, int n_units,
                                                                        int max_spans) {
    let_next_begin();
    wait_for_previous();
    const int lane = lane_id(), idx = int(blockIdx.x) * n_waves() + wave_id();
    if (idx >= n_units * max_spans) return;
    const Unit unit(p, idx / max_spans, kDims<P>);
    const int span = unit.first_span() + idx % max_spans;
    if (span < unit.end_span()) sum_span<P>(partials + int64_t(idx) * kPartialFloats<P>, p, unit, span, lane);
}

template <int P>
__global__ __launch_bounds__(kMergeThreads) void attention_merge_kernel(Problem p, const float* partials, int n_units,
                                                                        int max_spans) {
    let_next_begin();
    wait_for_previous();
    const int idx = int(blockIdx.x * blockDim.x + threadIdx.x);
    const int unit_idx = idx / kElements<P>;
    if (unit_idx >= n_units) return;
    const Unit unit(p, unit_idx, kDims<P>);
    merge_element<P, kPartialFloats<P>, kMergeBatch>(
        p, unit, partials + int64_t(unit_idx) * max_spans * kPartialFloats<P>, idx % kElements<P>);
}

// ---- launchers ----

constexpr unsigned blocks(int64_t n, int per_block) {
    return unsigned((n + per_block - 1) / per_block);
}

// Of one span of a tile and a KV head.
template <int P>
constexpr int64_t kPartialBytes = int64_t(P / kDims<P>) * kPartialFloats<P>* int64_t(sizeof(float));

// Of how many tiles the partial results are held at once.
int tiles_at_once(int n_tiles, int max_spans, int n_kv_heads) {
    const int64_t fit = kMaxPartials / (int64_t(max_spans) * n_kv_heads);
    return int(fit < 1 ? 1 : fit < n_tiles ? fit : n_tiles);
}

template <int P>
void launch(SpanWork work, Problem p, int max_spans, void* scratch, gpu::Stream stream) {
    if (work == SpanWork::kWalked) {
        const int n = n_units<P>(p), n_threads = n < tuning().attention_wide_units ? kNarrowThreads : kWideThreads;
        const auto kernel = attention_kernel<P>;
        GPU_LAUNCH_CHAINED(kernel, dim3(blocks(n, n_threads / device_wave())), dim3(unsigned(n_threads)), 0, stream, p,
                           n);
        return;
    }
    if (work == SpanWork::kInBlock) {
        const auto kernel = attention_block_kernel<P>;
        const int wave = device_wave(), at_once = std::min(max_spans, kBlockThreads / (kSpanPages * wave));
        const int lds_floats = at_once * kBusySpanFloats + max_spans * kSpanFloats<P>;
        GPU_LAUNCH_CHAINED(kernel, dim3(unsigned(n_units<P>(p))), dim3(unsigned(at_once * kSpanPages * wave)),
                           size_t(lds_floats) * sizeof(float), stream, p);
        return;
    }
    const auto span_kernel = attention_span_kernel<P>;
    const auto merge_kernel = attention_merge_kernel<P>;
    auto* const partials = static_cast<float*>(scratch);
    const int n_tiles = p.n_tiles, most = tiles_at_once(n_tiles, max_spans, p.n_kv_heads);
    const QueryTile* const tiles = p.tiles;
    for (int t0 = 0; t0 < n_tiles; t0 += most) {
        p.tiles = tiles + t0;
        p.n_tiles = n_tiles - t0 < most ? n_tiles - t0 : most;
        const int n = n_units<P>(p);
        const unsigned span_blocks = blocks(int64_t(n) * max_spans, kNarrowThreads / device_wave());
        const unsigned merge_blocks = blocks(int64_t(n) * kElements<P>, kMergeThreads);
        GPU_LAUNCH_CHAINED(span_kernel, dim3(span_blocks), dim3(kNarrowThreads), 0, stream, p, partials, n, max_spans);
        GPU_LAUNCH_CHAINED(merge_kernel, dim3(merge_blocks), dim3(kMergeThreads), 0, stream, p, partials, n, max_spans);
    }
}

}  // namespace

int64_t attention_scratch_bytes(int n_tiles, int max_spans, int n_kv_heads, int head_dim) {
    const int64_t a_tile = int64_t(max_spans) * n_kv_heads, all = n_tiles * a_tile;
    const int64_t at_once = a_tile < kMaxPartials ? kMaxPartials : a_tile;
    const int64_t bytes = head_dim == 32 ? kPartialBytes<32> : head_dim == 64 ? kPartialBytes<64> : kPartialBytes<128>;
    return (all < at_once ? all : at_once) * bytes;
}

void attention_with(SpanWork work, RowsOut att, const bf16* q, const KvLayer& kv, const float* sinks,
                    const QueryTile* tiles, int n_tiles, int max_spans, const Tokens& tokens, int n_heads,
                    int n_kv_heads, int head_dim, void* scratch, gpu::Stream stream) {
    GPU_REQUIRE(head_dim == 32 || head_dim == 64 || head_dim == 128);
    GPU_REQUIRE(n_kv_heads > 0 && n_heads % n_kv_heads == 0 && n_heads / n_kv_heads <= kTile);
    GPU_REQUIRE(n_tiles > 0 && max_spans > 0 && (work != SpanWork::kInBlock || max_spans <= kBlockSpans));
    const Problem problem = {
        att.data,  att.order == KOrder::kGrouped, q, kv, sinks, tiles, n_tiles, tokens.pos, tokens.slot, n_heads,
        n_kv_heads};
    const auto run = head_dim == 32 ? launch<32> : head_dim == 64 ? launch<64> : launch<128>;
    run(work, problem, max_spans, scratch, stream);
}

void attention(RowsOut att, const bf16* q, const KvLayer& kv, const float* sinks, const QueryTile* tiles, int n_tiles,
               int max_spans, const Tokens& tokens, int n_heads, int n_kv_heads, int head_dim, void* scratch,
               gpu::Stream stream) {
    const Tuning& tuned = tuning();
    SpanWork work = SpanWork::kWalked;
    if (int64_t(n_tiles) * n_kv_heads < tuned.attention_busy_units && max_spans >= tuned.attention_spread_spans)
        work = max_spans <= kBlockSpans ? SpanWork::kInBlock : SpanWork::kSpread;
    attention_with(work, att, q, kv, sinks, tiles, n_tiles, max_spans, tokens, n_heads, n_kv_heads, head_dim, scratch,
                   stream);
}
