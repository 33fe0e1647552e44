// gemm_dense.hip: the products with bf16 matrices: q, k and v with rotation and cache write; the attention's output;
// logits; GPT-2's, which norm their rows first.
#include <type_traits>

#include "gemm.h"
#include "gemm_group.h"
#include "gpu/platform.h"
#include "quad.h"
#include "tuning.h"

namespace {

// Spans of k for each matrix: as many as it takes waves to keep the memory busy with one token. Every result's bits
// depend on them.
constexpr int kQkvSplits = 8, kOutSplits = 8, kLogitSplits = 1, kGeluSplits = 8;

// For products whose rows are tokens, in order.
struct DenseRows {
    static constexpr bool kMxfp4 = false, kFixedTiles = true, kNorms = false;
    const bf16* h;  // (n_rows, stride)
    int stride, n_rows;

    __device__ bool tile(int index, int max_rows, Rows& rows) const {
        rows.first = index * max_rows;
        rows.n = n_rows - rows.first < max_rows ? n_rows - rows.first : max_rows;
        return rows.n > 0;
    }
    __device__ const bf16* x(const Rows& rows, int m) const { return h + int64_t(rows.first + m) * stride; }
};

struct DenseMatrix {
    const Run* data;
    const float* bias;
    int n_out, n_steps;

    __device__ const Run* slab(int s) const { return data + s * slab_runs<false>(n_steps); }
    __device__ float bias_at(int row) const { return bias && row < n_out ? bias[row] : 0.0f; }
};

DenseMatrix dense_matrix(const PackedMatrix& w) {
    GPU_REQUIRE(!w.mxfp4 && w.n_experts == 1 && w.n_in % 32 == 0);
    return {static_cast<const Run*>(w.tiles), w.bias, w.n_out, round_up(w.n_in, kDepthStep) / kDepthStep};
}

struct Qkv : DenseRows {
    static constexpr bool kSpans = true;
    DenseMatrix w_q, w_k, w_v;
    int q_slabs, k_slabs;
    bf16* q;
    KvLayer kv;
    const Pair* cos_sin;  // nullptr: q and k are not rotated
    const int *pos, *slot;
    int head_dim;

    enum What { kQ, kK, kV };
    struct Slab {
        What what;
        int of_matrix;
    };
    __device__ Slab slab_at(int slab) const {
        if (slab < q_slabs) return {kQ, slab};
        return slab < q_slabs + k_slabs ? Slab{kK, slab - q_slabs} : Slab{kV, slab - q_slabs - k_slabs};
    }
    __device__ const Run* tiles(const Rows&, int slab) const {
        // Three pointers, not a pointer to one of three matrices: of that, compilers would not know that it leads to
        // global memory.
        const Slab at = slab_at(slab);
        if (at.what == kQ) return w_q.slab(at.of_matrix);
        return at.what == kK ? w_k.slab(at.of_matrix) : w_v.slab(at.of_matrix);
    }
    __device__ const uint32_t* scales(const Rows&, int) const { return nullptr; }

    // What a row of a slab's two tiles is: both are of one head.
    struct Place {
        What what;
        int token;  // of row 0
        int head, i;
        bool turns;
    };
    __device__ Place place(const Rows& rows, int slab, int col) const {
        const Slab at = slab_at(slab);
        const int slabs_per_head = head_dim / kSlabRows, of_head = at.of_matrix % slabs_per_head;
        const bool turns = at.what != kV && cos_sin;
        return {at.what, rows.first, at.of_matrix / slabs_per_head, (turns ? kTile : kSlabRows) * of_head + col, turns};
    }
    // The distance from the first tile's row to the second's.
    __device__ int step(const Place& place) const { return place.turns ? head_dim / 2 : kTile; }

    __device__ float bias(const Rows& rows, int slab, int tile, int col) const {
        const Place at = place(rows, slab, col);
        const int row = at.head * head_dim + at.i + tile * step(at);
        if (at.what == kV) return w_v.bias_at(row);
        return (at.what == kQ ? w_q : w_k).bias_at(row);
    }

    __device__ void store_key(int64_t page, int p, int g, int i, float v) const {
        const int tile = p / kTile * (head_dim / kTileDepth) + i / kTileDepth;
        const int run = run_index(p % kTile, i % kTileDepth / 8 * 8);
        kv.base[page + 2 * g * head_dim * kPagePositions + (tile * kTileRuns + run) * 8 + i % 8] = narrow(v);
    }
    __device__ void store_value(int64_t page, int p, int g, int i, float v) const {
        const int k = k_slot(p), run = run_index(i % kTile, k / 8 * 8);
        kv.base[page + (2 * g + 1) * head_dim * kPagePositions + (i / kTile * kTileRuns + run) * 8 + k % 8] = narrow(v);
    }

    struct Prior {
        int64_t page;  // k, v: where this layer holds the keys of KV head 0, in kv.base
        int p;         // the token's position there
        bool writes;   // whether it writes any
        bool turns;
        float cos, sin;
    };
    // The branches are around the loops, so that what is read for several rows is under way at the same time.
    template <int n>
    __device__ void ask(Prior (&prior)[n], const Place& place, const int (&m)[n]) const {
        int position[n];
#pragma unroll
        for (int i = 0; i < n; i++) position[i] = pos[place.token + m[i]];
#pragma unroll
        for (int i = 0; i < n; i++) prior[i] = {0, 0, false, place.turns, 1, 0};
        if (place.turns) {
#pragma unroll
            for (int i = 0; i < n; i++) {
                const Pair turn = cos_sin[int64_t(position[i]) * (head_dim / 2) + place.i];
                prior[i].cos = turn.first;
                prior[i].sin = turn.second;
            }
        }
        if (place.what == kQ) return;
        const int ring = kv.ring_pages ? kv.ring_pages : 1 << 30;
#pragma unroll
        for (int i = 0; i < n; i++) {
            const int own_slot = slot[place.token + m[i]], row = own_slot < 0 ? 0 : own_slot;
            const int page = kv.table[row * kv.table_stride + position[i] / kPagePositions % ring];
            prior[i].page = int64_t(page) * kv.page_stride;
            prior[i].p = position[i] % kPagePositions;
            prior[i].writes = own_slot >= 0;
        }
    }
    __device__ Pair value(float first, float second, const Prior& by) const {
        const Pair turned = {first * by.cos - second * by.sin, second * by.cos + first * by.sin};
        return by.turns ? turned : Pair{first, second};
    }
    __device__ void put(const Place& place, int m, const Pair& value, const Prior& to) const {
        const int g = place.head, i = place.i, j = i + step(place);
        if (place.what == kQ) {
            bf16* const out = q + int64_t(place.token + m) * w_q.n_out + g * head_dim;
            out[i] = narrow(value.first);
            out[j] = narrow(value.second);
        } else if (to.writes && place.what == kK) {
            store_key(to.page, to.p, g, i, value.first);
            store_key(to.page, to.p, g, j, value.second);
        } else if (to.writes) {
            store_value(to.page, to.p, g, i, value.first);
            store_value(to.page, to.p, g, j, value.second);
        }
    }
};

struct OneMatrix : DenseRows {
    DenseMatrix w;

    __device__ const Run* tiles(const Rows&, int slab) const { return w.slab(slab); }
    __device__ const uint32_t* scales(const Rows&, int) const { return nullptr; }
    __device__ float bias(const Rows&, int slab, int tile, int col) const {
        return w.bias_at(kSlabRows * slab + kTile * tile + col);
    }
};

// Products with f32 results.
struct DenseProduct : OneMatrix {
    float* out;

    struct Place {
        float* to;  // of row 0
        bool first, second;
    };
    __device__ Place place(const Rows& rows, int slab, int col) const {
        const int row = kSlabRows * slab + col;
        return {out + int64_t(rows.first) * w.n_out + row, row < w.n_out, row + kTile < w.n_out};
    }
    __device__ void write(const Place& place, int m, const Pair& value) const {
        float* const y = place.to + int64_t(m) * w.n_out;
        if (place.first) y[0] = value.first;
        if (place.second) y[kTile] = value.second;
    }
};

struct Residual : DenseProduct {
    static constexpr bool kSpans = true;
    using Prior = Pair;  // what the results are added to
    template <int n>
    __device__ void ask(Prior (&prior)[n], const Place& place, const int (&m)[n]) const {
#pragma unroll
        for (int i = 0; i < n; i++) {
            const float* const y = place.to + int64_t(m[i]) * w.n_out;
            prior[i] = {place.first ? y[0] : 0, place.second ? y[kTile] : 0};
        }
    }
    __device__ Pair value(float first, float second, const Pair& before) const {
        return {before.first + first, before.second + second};
    }
    __device__ void put(const Place& place, int m, const Pair& value, const Pair&) const {
        write(place, m, value);
    }
};

struct Logits : DenseProduct {
    static constexpr bool kSpans = false;
    __device__ float bias(const Rows&, int, int, int) const { return 0; }
    using Prior = Nothing;
    template <int n>
    __device__ void ask(Prior (&)[n], const Place&, const int (&)[n]) const {}
    __device__ Pair value(float first, float second, Nothing) const { return {first, second}; }
    __device__ void put(const Place& place, int m, const Pair& value, Nothing) const { write(place, m, value); }
};

struct Gelu : OneMatrix {
    static constexpr bool kSpans = true;
    bf16* act;
    int act_stride;
    bool grouped;  // the rows of act

    struct Place {
        bf16 *first, *second;  // of row 0; nullptr past the matrix
    };
    __device__ Place place(const Rows& rows, int slab, int col) const {
        const int row = kSlabRows * slab + col;
        bf16* const to = act + int64_t(rows.first) * act_stride;
        return {row < w.n_out ? to + place_of(row, grouped) : nullptr,
                row + kTile < w.n_out ? to + place_of(row + kTile, grouped) : nullptr};
    }
    using Prior = Nothing;
    template <int n>
    __device__ void ask(Prior (&)[n], const Place&, const int (&)[n]) const {}
    // u (1 + tanh z) / 2 = u / (1 + exp(-2z)), z = sqrt(2 / pi) (u + 0.044715 u³).
    __device__ static float gelu(float u) {
        constexpr float kTwoRootTwoOverPi = 1.5957691216057308f;
        return quotient(u, 1.0f + expf(-kTwoRootTwoOverPi * fmaf(0.044715f * u * u, u, u)));
    }
    __device__ Pair value(float first, float second, Nothing) const { return {gelu(first), gelu(second)}; }
    __device__ void put(const Place& place, int m, const Pair& value, Nothing) const {
        if (place.first) place.first[int64_t(m) * act_stride] = narrow(value.first);
        if (place.second) place.second[int64_t(m) * act_stride] = narrow(value.second);
    }
};

// A product whose blocks norm their rows.
template <class Product>
struct Normed : Product {
    static constexpr bool kNorms = true;
    RowsToNorm input;
};

// How many rows the fastest tiles have. All blocks take about as many tiles; the beginning and end of a tile cost as
// much as some rows.
int group_tile_rows(int n_rows, int n_slabs, int most_rows) {
    const int slab_blocks = (n_slabs + kGroupBlockSlabs - 1) / kGroupBlockSlabs;
    int best = 0, best_cost = 0;
    for (int rows = kTileRowStep; rows <= most_rows; rows += kTileRowStep) {
        const int n_tiles = (n_rows + rows - 1) / rows * slab_blocks;
        const int cost = (n_tiles + device_units() - 1) / device_units() * (rows + tuning().group_rows_a_tile_costs);
        if (best == 0 || cost < best_cost) best = rows, best_cost = cost;
    }
    return best;
}

// How many rows a block takes: while k is spread over waves, the smallest number that holds all rows.
int wave_tile_rows(int n_rows, int n_slabs) {
    if (n_rows <= 32) return n_rows <= 16 ? 16 : 32;
    const Tuning& tuned = tuning();
    const bool few_slabs = n_slabs <= tuned.dense_few_slabs;
    return n_rows <= (few_slabs ? tuned.dense_spread_rows_of_few_slabs : tuned.dense_spread_rows) ? 64 : 128;
}

template <class Problem>
void launch_dense(const Problem& problem, const GemmShape& shape, int n_rows, gpu::Stream stream) {
    GPU_REQUIRE(n_rows >= 1);
    using Groups = std::conditional_t<Problem::kSpans, WideGroups, WidestGroups>;
    const bool grouped = dense_order(n_rows) == KOrder::kGrouped;
    const int tile_rows =
        grouped ? group_tile_rows(n_rows, shape.n_slabs, Groups::kMostRows) : wave_tile_rows(n_rows, shape.n_slabs);
    const int n_tiles = (n_rows + tile_rows - 1) / tile_rows;
    if constexpr (kBuiltForGroups)
        if (grouped) return launch_group<Groups>(problem, shape, tile_rows, n_tiles, stream);
    launch_waves(problem, shape, tile_rows, n_tiles, stream);
}

template <class Product>
void launch_normed(Product product, const RowsToNorm& in, const GemmShape& shape, int n_rows, gpu::Stream stream) {
    if (n_rows <= kTile && normed_bytes(in.norm.hidden_dim) <= kUnitLdsBytes)
        return launch_few<Normed<Product>, 1>({product, in}, shape, 1, stream);
    layernorm({in.h, dense_order(n_rows)}, in.x, nullptr, in.norm, n_rows, stream);
    product.h = in.h;
    launch_dense(product, shape, n_rows, stream);
}

Qkv qkv_problem(bf16* q, const KvLayer& kv, const QkvWeights& w, const Tokens& tokens, int head_dim) {
    GPU_REQUIRE(head_dim == 32 || head_dim == 64 || head_dim == 128);
    GPU_REQUIRE(w.q.n_out % head_dim == 0 && w.k.n_out % head_dim == 0 && w.k.n_out == w.v.n_out);
    GPU_REQUIRE(w.q.n_in == w.k.n_in && w.q.n_in == w.v.n_in);
    Qkv problem = {};
    problem.stride = round_up(w.q.n_in, kDepthStep);
    problem.n_rows = tokens.n;
    problem.w_q = dense_matrix(w.q);
    problem.w_k = dense_matrix(w.k);
    problem.w_v = dense_matrix(w.v);
    problem.q_slabs = n_slabs(w.q);
    problem.k_slabs = n_slabs(w.k);
    problem.q = q;
    problem.kv = kv;
    problem.pos = tokens.pos;
    problem.slot = tokens.slot;
    problem.head_dim = head_dim;
    return problem;
}

GemmShape qkv_shape(const QkvWeights& w) {
    GemmShape shape = gemm_shape(w.q, kQkvSplits);
    shape.n_slabs += n_slabs(w.k) + n_slabs(w.v);
    return shape;
}

}  // namespace

KOrder dense_order(int n_rows) {
    return device_has_groups() && n_rows >= tuning().dense_group_rows ? KOrder::kGrouped : KOrder::kPlain;
}

void qkv(bf16* q, const KvLayer& kv, const bf16* h, const QkvWeights& w, const float* cos_sin, const Tokens& tokens,
         int head_dim, gpu::Stream stream) {
    Qkv problem = qkv_problem(q, kv, w, tokens, head_dim);
    problem.h = h;
    problem.cos_sin = reinterpret_cast<const Pair*>(cos_sin);
    launch_dense(problem, qkv_shape(w), tokens.n, stream);
}

void norm_qkv(bf16* q, const KvLayer& kv, const RowsToNorm& in, const QkvWeights& w, const Tokens& tokens, int head_dim,
              gpu::Stream stream) {
    GPU_REQUIRE(in.norm.hidden_dim == w.q.n_in);
    launch_normed(qkv_problem(q, kv, w, tokens, head_dim), in, qkv_shape(w), tokens.n, stream);
}

void norm_gelu(RowsOut act, const RowsToNorm& in, const PackedMatrix& w, int n_tok, gpu::Stream stream) {
    GPU_REQUIRE(in.norm.hidden_dim == w.n_in);
    Gelu problem = {};
    problem.stride = round_up(w.n_in, kDepthStep);
    problem.n_rows = n_tok;
    problem.w = dense_matrix(w);
    problem.act = act.data;
    problem.act_stride = round_up(w.n_out, kDepthStep);
    problem.grouped = act.order == KOrder::kGrouped;
    launch_normed(problem, in, gemm_shape(w, kGeluSplits), n_tok, stream);
}

void gemm_residual(float* x, const bf16* att, const PackedMatrix& w, int n_tok, gpu::Stream stream) {
    Residual problem = {};
    problem.h = att;
    problem.stride = round_up(w.n_in, kDepthStep);
    problem.n_rows = n_tok;
    problem.w = dense_matrix(w);
    problem.out = x;
    launch_dense(problem, gemm_shape(w, kOutSplits), n_tok, stream);
}

void gemm_logits(float* logits, const bf16* h, const PackedMatrix& w, int n_rows, gpu::Stream stream) {
    Logits problem = {};
    problem.h = h;
    problem.stride = round_up(w.n_in, kDepthStep);
    problem.n_rows = n_rows;
    problem.w = dense_matrix(w);
    problem.out = logits;
    launch_dense(problem, gemm_shape(w, kLogitSplits), n_rows, stream);
}
