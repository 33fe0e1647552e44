// gemm_dense.hip: the products with bf16 matrices: q, k and v with rotation and cache write; the attention's output;
// logits.
#include "gemm.h"
#include "gpu/platform.h"
#include "tuning.h"

namespace {

// Spans of k, by matrix: as many waves as keep the memory busy with one token. Part of every result's bits.
constexpr int kQkvSplits = 8, kOutSplits = 8, kLogitSplits = 1;

// Rows are tokens, in order.
struct DenseRows {
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
    static constexpr bool kMxfp4 = false, kFixedTiles = true;
    DenseMatrix w_q, w_k, w_v;
    int q_slabs, k_slabs;
    bf16* q;
    KvLayer kv;
    const float* cos_sin;
    const int *pos, *slot;
    int head_dim;

    __device__ const Run* tiles(const Rows&, int slab) const {
        if (slab < q_slabs) return w_q.slab(slab);
        return slab < q_slabs + k_slabs ? w_k.slab(slab - q_slabs) : w_v.slab(slab - q_slabs - k_slabs);
    }
    __device__ const uint32_t* scales(const Rows&, int) const { return nullptr; }

    // What a slab's rows are: made once, since it divides.
    struct Place {
        enum { kQ, kK, kV } what;
        int head;   // q, k
        int first;  // q, k: dim of its first row; v: first row
    };
    __device__ Place place(int slab) const {
        if (slab >= q_slabs + k_slabs) return {Place::kV, 0, kSlabRows * (slab - q_slabs - k_slabs)};
        const bool is_q = slab < q_slabs;
        const int s = is_q ? slab : slab - q_slabs, slabs_per_head = head_dim / kSlabRows;
        return {is_q ? Place::kQ : Place::kK, s / slabs_per_head, s % slabs_per_head * kTile};
    }

    __device__ float bias(const Rows&, int slab, int tile, int col) const {
        const Place at = place(slab);
        if (at.what == Place::kV) return w_v.bias_at(at.first + kTile * tile + col);
        return (at.what == Place::kQ ? w_q : w_k).bias_at(at.head * head_dim + at.first + tile * (head_dim / 2) + col);
    }

    // Where this layer holds the keys of KV head 0 at a token's position.
    __device__ bf16* kv_page(int t) const {
        const int page = pos[t] / kPagePositions;
        const int at = slot[t] * kv.table_stride + (kv.ring_pages ? page % kv.ring_pages : page);
        return kv.base + int64_t(kv.table[at]) * kv.page_stride;
    }
    __device__ void store_key(bf16* page, int p, int g, int i, float v) const {
        const int tile = p / kTile * (head_dim / kTileDepth) + i / kTileDepth;
        const int run = run_index(p % kTile, i % kTileDepth / 8 * 8);
        page[(2 * g * head_dim * kPagePositions) + (tile * kTileRuns + run) * 8 + i % 8] = narrow(v);
    }
    __device__ void store_value(bf16* page, int p, int row, float v) const {
        const int g = row / head_dim, i = row - g * head_dim, k = k_slot(p), run = run_index(i % kTile, k / 8 * 8);
        page[(2 * g + 1) * head_dim * kPagePositions + (i / kTile * kTileRuns + run) * 8 + k % 8] = narrow(v);
    }

    __device__ void store(const Rows& rows, const Place& place, int m, int col, float first, float second) const {
        const int t = rows.first + m, i = place.first + col;
        if (place.what == Place::kV) {
            if (slot[t] < 0) return;
            bf16* const page = kv_page(t);
            const int p = pos[t] % kPagePositions;
            if (i < w_v.n_out) store_value(page, p, i, first);
            if (i + kTile < w_v.n_out) store_value(page, p, i + kTile, second);
            return;
        }
        const int half = head_dim / 2, row = place.head * head_dim + i;
        const float* turn = cos_sin + (int64_t(pos[t]) * half + i) * 2;
        const float low = first * turn[0] - second * turn[1], high = second * turn[0] + first * turn[1];
        if (place.what == Place::kQ) {
            bf16* const out = q + int64_t(t) * w_q.n_out + row;
            out[0] = narrow(low);
            out[half] = narrow(high);
        } else if (slot[t] >= 0) {
            bf16* const page = kv_page(t);
            const int p = pos[t] % kPagePositions;
            store_key(page, p, place.head, i, low);
            store_key(page, p, place.head, i + half, high);
        }
    }
};

// One matrix, f32 results.
struct DenseProduct : DenseRows {
    static constexpr bool kMxfp4 = false, kFixedTiles = true;
    DenseMatrix w;
    float* out;

    __device__ const Run* tiles(const Rows&, int slab) const { return w.slab(slab); }
    __device__ const uint32_t* scales(const Rows&, int) const { return nullptr; }
    using Place = int;  // the slab
    __device__ Place place(int slab) const { return slab; }
};

struct Residual : DenseProduct {
    __device__ float bias(const Rows&, int slab, int tile, int col) const {
        return w.bias_at(kSlabRows * slab + kTile * tile + col);
    }
    __device__ void store(const Rows& rows, Place slab, int m, int col, float first, float second) const {
        const int row = kSlabRows * slab + col;
        float* const y = out + int64_t(rows.first + m) * w.n_out + row;
        if (row < w.n_out) y[0] += first;
        if (row + kTile < w.n_out) y[kTile] += second;
    }
};

struct Logits : DenseProduct {
    __device__ float bias(const Rows&, int, int, int) const { return 0; }
    __device__ void store(const Rows& rows, Place slab, int m, int col, float first, float second) const {
        const int row = kSlabRows * slab + col;
        float* const y = out + int64_t(rows.first + m) * w.n_out + row;
        if (row < w.n_out) y[0] = first;
        if (row + kTile < w.n_out) y[kTile] = second;
    }
};

// Rows a block takes: the fewest that hold all, while k is spread over waves.
int tile_rows_for(int n_rows, int n_slabs) {
    if (n_rows <= 32) return n_rows <= 16 ? 16 : 32;
    const Tuning& tuned = tuning();
    const bool few_slabs = n_slabs <= tuned.dense_few_slabs;
    if (n_rows <= (few_slabs ? tuned.dense_spread_rows_of_few_slabs : tuned.dense_spread_rows)) return 64;
    return device_has_groups() ? kGroupRows : 128;
}

template <class Problem>
void launch_dense(const Problem& problem, const GemmShape& shape, int n_rows, gpu::Stream stream) {
    GPU_REQUIRE(n_rows >= 1);
    const int tile_rows = tile_rows_for(n_rows, shape.n_slabs);
    launch_gemm(problem, shape, tile_rows, (n_rows + tile_rows - 1) / tile_rows, stream);
}

}  // namespace

void qkv(bf16* q, const KvLayer& kv, const bf16* h, const QkvWeights& w, const float* cos_sin, const Tokens& tokens,
         int head_dim, gpu::Stream stream) {
    GPU_REQUIRE(head_dim == 32 || head_dim == 64 || head_dim == 128);
    GPU_REQUIRE(w.q.n_out % head_dim == 0 && w.k.n_out % head_dim == 0 && w.k.n_out == w.v.n_out);
    GPU_REQUIRE(w.q.n_in == w.k.n_in && w.q.n_in == w.v.n_in);
    Qkv problem = {};
    problem.h = h;
    problem.stride = round_up(w.q.n_in, kDepthStep);
    problem.n_rows = tokens.n;
    problem.w_q = dense_matrix(w.q);
    problem.w_k = dense_matrix(w.k);
    problem.w_v = dense_matrix(w.v);
    problem.q_slabs = n_slabs(w.q);
    problem.k_slabs = n_slabs(w.k);
    problem.q = q;
    problem.kv = kv;
    problem.cos_sin = cos_sin;
    problem.pos = tokens.pos;
    problem.slot = tokens.slot;
    problem.head_dim = head_dim;
    GemmShape shape = gemm_shape(w.q, kQkvSplits);
    shape.n_slabs += n_slabs(w.k) + n_slabs(w.v);
    launch_dense(problem, shape, tokens.n, stream);
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
