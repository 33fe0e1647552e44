// attention.hip: softmax over the cached keys and a sink, times the values; keys are seen once, page by page.
//
// A wave has a unit: one query tile, one KV head and 32 or 64 dims of the result. Its 16 rows are (token of the tile,
// head of the KV head's group), so that keys and values, which the heads of a group share, are read once for all. They
// come from global memory straight into operands: the cache holds packed tiles.
//
// A row's sums depend on that row alone. Keys are taken a page (32 absolute positions) at a time; pages are summed up
// in spans of kSpanPositions, each from nothing, and spans are merged in ascending order. A page or span of which a row
// sees nothing leaves its sums as they are, to the bit: other rows of the tile may need it. With few units a wave does
// one span, and the waves of a block merge theirs, or another kernel does if they are more than a block has; with many
// units a wave walks through all spans and keeps the sums in registers.
//
// The cache's values must be finite where nothing was stored yet: they are multiplied by weights of zero.
#include "attention.h"

#include "attention_sums.h"
#include "gpu/wave.h"
#include "launch.h"
#include "quad.h"
#include "tuning.h"

namespace {

// Partial results held at once, if one tile does not need more: 69 MB for heads of 64.
constexpr int kMaxPartials = 16384;
constexpr int kWideThreads = 256, kNarrowThreads = 64, kMergeThreads = 256;
constexpr int kMergeBatch = 16;  // spans that a thread asks for at once

constexpr int kSpanPages = kSpanPositions / kPagePositions;

struct Problem {
    bf16* att;      // (T, H·P rounded up to kDepthStep)
    bool grouped;   // its rows
    const bf16* q;  // (T, H·P)
    KvLayer kv;
    const float* sinks;      // (H) or nullptr
    const QueryTile* tiles;  // (n_tiles)
    int n_tiles;
    const int *pos, *slot;  // (T)
    int n_heads, n_kv_heads;

    __device__ float sink(int head) const { return sinks ? sinks[head] : kNothing; }
};

template <int P>
int n_units(const Problem& p) {
    return p.n_tiles * p.n_kv_heads * (P / kDims<P>);
}

struct Unit {
    QueryTile tile;
    int kv_head, dim0;
    int group, n_rows;
    int slot;
    int first_key, end_key;        // what any row sees; for padding end_key is 0
    int first_common, end_common;  // what all rows see

    // Neighbours have the same KV head: waves of a block then read the same pages.
    __device__ Unit(const Problem& p, int idx, int dims) {
        const int part = idx / p.n_tiles;
        tile = p.tiles[idx % p.n_tiles];
        kv_head = part % p.n_kv_heads;
        dim0 = part / p.n_kv_heads * dims;
        group = p.n_heads / p.n_kv_heads;
        n_rows = tile.n_tok * group;
        slot = p.slot[tile.first_token];
        const int first_pos = p.pos[tile.first_token], last_pos = p.pos[tile.first_token + tile.n_tok - 1];
        first_key = first_seen(first_pos, p.kv.window);
        end_key = slot < 0 ? 0 : last_pos + 1;
        first_common = first_seen(last_pos, p.kv.window);
        end_common = first_pos + 1;
    }
    __device__ static int first_seen(int pos, int window) { return window > 0 && pos >= window ? pos - window + 1 : 0; }

    __device__ int first_span() const { return first_key / kSpanPositions; }
    __device__ int end_span() const { return (end_key + kSpanPositions - 1) / kSpanPositions; }
    __device__ int token(int row) const { return tile.first_token + row / group; }
    __device__ int head(int row) const { return kv_head * group + row % group; }
};

// What a wave keeps of its queries.
template <int P>
struct Queries {
    static constexpr int kDepthTiles = P / kTileDepth;
    Frag q[kDepthTiles];
    int first_key[kAccRows], end_key[kAccRows];  // that a lane's row sees

    // Rows past the last repeat it; nobody stores them.
    __device__ Queries(const Problem& p, const Unit& unit, int lane) {
        const auto clamped = [&](int row) { return row < unit.n_rows ? row : unit.n_rows - 1; };
#pragma unroll
        for (int r = 0; r < kRuns; r++) {
            const At at = frag_at(lane, r);
            const int row = clamped(at.row);
            const bf16* const from = p.q + (int64_t(unit.token(row)) * p.n_heads + unit.head(row)) * P + at.col;
#pragma unroll
            for (int t = 0; t < kDepthTiles; t++) q[t].run[r] = *reinterpret_cast<const Run*>(from + t * kTileDepth);
        }
#pragma unroll
        for (int r = 0; r < kAccRows; r++) {
            const int pos = p.pos[unit.token(clamped(own_row(lane, r)))];
            first_key[r] = Unit::first_seen(pos, p.kv.window);
            end_key[r] = pos + 1;
        }
    }
};

// A page's tiles of one KV head: (2, P / 32) of keys, then P / 16 of values.
template <int P>
__device__ inline const Run* page_tiles(const KvLayer& kv, const Unit& unit, int page) {
    const int at = unit.slot * kv.table_stride + (kv.ring_pages ? page % kv.ring_pages : page);
    return reinterpret_cast<const Run*>(kv.base + int64_t(kv.table[at]) * kv.page_stride +
                                        int64_t(unit.kv_head) * 2 * kPagePositions * P);
}

template <int kTiles>
__device__ inline void load_frags(Frag (&to)[kTiles], const Run* tiles, int lane) {
#pragma unroll
    for (int t = 0; t < kTiles; t++) to[t] = load_frag(tiles + t * kTileRuns, lane);
}

template <int P>
constexpr int kKeyTiles = kPagePositions / kTile* P / kTileDepth;
// What a lane's registers have room for: the keys, then the values of a page; all of them, so that the next page's keys
// can be on their way while this one is summed.
template <int P>
constexpr int kPageRegisters = (kKeyTiles<P> + kValueTiles<P>)*kRuns * 4;
template <int P>
constexpr bool kHold = kPageRegisters<P> <= 128;
template <int P>
constexpr bool kAhead = kPageRegisters<P> <= 64;

// Scores of a page, 16 positions each, not yet scaled; kNothing where a row does not see.
template <int P, class KeyTile>
__device__ inline void page_scores(Acc (&scores)[2], const Queries<P>& queries, const Unit& unit, int page, int lane,
                                   KeyTile&& key_tile) {
    constexpr int kDepthTiles = Queries<P>::kDepthTiles;
    const int page_key = page * kPagePositions;
    const bool all_see = page_key >= unit.first_common && page_key + kPagePositions <= unit.end_common;
#pragma unroll
    for (int n = 0; n < 2; n++) {
        scores[n] = {};
#pragma unroll
        for (int t = 0; t < kDepthTiles; t++) mma(scores[n], queries.q[t], key_tile(n * kDepthTiles + t));
        if (all_see) continue;
#pragma unroll
        for (int i = 0; i < kAcc; i++) {
            const int key = page_key + n * kTile + acc_at(lane, i).col, r = acc_row(i);
            if (key < queries.first_key[r] || key >= queries.end_key[r]) scores[n].v[i] = kNothing;
        }
    }
}

// Calls span_done(sums) for each of the spans, in order. Loads are asked for as early as registers allow.
template <int P, class F>
__device__ inline void each_span(const Problem& p, const Unit& unit, int span0, int n_spans, int lane, F&& span_done) {
    const Queries<P> queries(p, unit, lane);
    const int first_page = unit.first_key / kPagePositions;
    const int end_page = (unit.end_key + kPagePositions - 1) / kPagePositions;
    const int begin = max(span0 * kSpanPages, first_page), end = min((span0 + n_spans) * kSpanPages, end_page);

    const int value_run0 = (kKeyTiles<P> + unit.dim0 / kTile) * kTileRuns;
    Frag keys[kKeyTiles<P>] = {}, values[kValueTiles<P>] = {};
    const Run *key_tiles = page_tiles<P>(p.kv, unit, begin), *value_tiles = nullptr;
    const auto key = [&](int t) { return kHold<P> ? keys[t] : load_frag(key_tiles + t * kTileRuns, lane); };
    const auto value = [&](int t) { return kHold<P> ? values[t] : load_frag(value_tiles + t * kTileRuns, lane); };
    if (kAhead<P>) load_frags(keys, key_tiles, lane);
    Sums<P> sums;
#pragma unroll 1
    for (int page = begin; page < end; page++) {
        const Run* const next_tiles = page + 1 < end ? page_tiles<P>(p.kv, unit, page + 1) : key_tiles;
        value_tiles = key_tiles + value_run0;
        if (kAhead<P>)
            load_frags(values, value_tiles, lane);
        else if (kHold<P>)
            load_frags(keys, key_tiles, lane);
        Acc scores[2];
        page_scores(scores, queries, unit, page, lane, key);
        if (kAhead<P> && page + 1 < end)
            load_frags(keys, next_tiles, lane);
        else if (kHold<P> && !kAhead<P>)
            load_frags(values, value_tiles, lane);
        add_page(sums, scores, value);
        key_tiles = next_tiles;
        if (page + 1 == end || (page + 1) % kSpanPages == 0) {
#pragma unroll
            for (int r = 0; r < kAccRows; r++) sums.l[r] = row_sum(sums.l[r]);
            span_done(sums);
            sums = {};
        }
    }
}

// If H·P is an odd multiple of 32, a row of att ends with 32 zeros, which the last head writes along.
template <int P>
__device__ inline void store(const Problem& p, int token, int head, int d, float v) {
    bf16* const row = p.att + int64_t(token) * round_up(p.n_heads * P, kDepthStep);
    row[place_of(head * P + d, p.grouped)] = narrow(v);
    if (P % kDepthStep != 0 && head + 1 == p.n_heads && p.n_heads % 2 != 0) row[p.n_heads * P + d] = {};
}

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
        each_span<P>(p, unit, unit.first_span(), unit.end_span() - unit.first_span(), lane,
                     [&](const Sums<P>& span) { sums.merge(span); });

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
                store<P>(p, unit.token(at.row), unit.head(at.row), unit.dim0 + t * kTile + at.col,
                         sums.o[t].v[i] * scale[acc_row(i)]);
        }
}

// ---- few units: a wave does a span, a thread merges the spans of one element ----

// Partial results: a unit's spans, each o (kDims / 16, kAcc, kWave), m (16), l (16).
template <int P>
constexpr int kElements = kTile* kDims<P>;
template <int P>
constexpr int kPartialFloats = kElements<P> + 2 * kTile;

template <int P>
__device__ inline void sum_span(float* partial, const Problem& p, const Unit& unit, int span, int lane) {
    float *const o = partial, *const m = o + kElements<P>, *const l = m + kTile;
    each_span<P>(p, unit, span, 1, lane, [&](const Sums<P>& sums) {
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

// partials: of the unit's spans.
template <int P>
__device__ inline void merge_element(const Problem& p, const Unit& unit, const float* partials, int element) {
    const At at = acc_at(element % kWave, element / kWave % kAcc);
    if (at.row >= unit.n_rows) return;
    float m = kNothing, l = 0, o = 0;
    const int n_spans = unit.end_span() - unit.first_span();
    for (int s0 = 0; s0 < n_spans; s0 += kMergeBatch) {
        float ms[kMergeBatch], ls[kMergeBatch], os[kMergeBatch];
#pragma unroll
        for (int i = 0; i < kMergeBatch; i++) {
            const float* const span = partials + int64_t(min(s0 + i, n_spans - 1)) * kPartialFloats<P>;
            ms[i] = span[kElements<P> + at.row];
            ls[i] = span[kElements<P> + kTile + at.row];
            os[i] = span[element];
        }
#pragma unroll
        for (int i = 0; i < kMergeBatch; i++) {
            const Blend blend = Blend::of(m, s0 + i < n_spans ? ms[i] : kNothing);
            m = blend.m;
            l = blend(l, ls[i]);
            o = blend(o, os[i]);
        }
    }
    const float scale = final_scale(m, l, p.sink(unit.head(at.row)));
    const int d = unit.dim0 + element / (kWave * kAcc) * kTile + at.col;
    store<P>(p, unit.token(at.row), unit.head(at.row), d, o * scale);
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
    merge_element<P>(p, unit, partials + int64_t(unit_idx) * max_spans * kPartialFloats<P>, idx % kElements<P>);
}

// A block has a unit, each of its waves a span, and the partial results stay in LDS.
template <int P>
__global__ __launch_bounds__(kBlockSpans* kWave) void attention_block_kernel(Problem p) {
    GPU_LDS(lds);
    let_next_begin();
    wait_for_previous();
    auto* const partials = reinterpret_cast<float*>(lds);
    const Unit unit(p, int(blockIdx.x), kDims<P>);
    const int span = unit.first_span() + wave_id();
    if (span < unit.end_span()) sum_span<P>(partials + wave_id() * kPartialFloats<P>, p, unit, span, lane_id());
    block_sync();
    for (int element = int(threadIdx.x); element < kElements<P>; element += int(blockDim.x))
        merge_element<P>(p, unit, partials, element);
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
        GPU_LAUNCH_CHAINED(kernel, dim3(unsigned(n_units<P>(p))), dim3(unsigned(max_spans * device_wave())),
                           size_t(max_spans) * kPartialFloats<P> * sizeof(float), stream, p);
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
