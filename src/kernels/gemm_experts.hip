// gemm_experts.hip: the experts' two products, with SwiGLU. Each tile of rows belongs to one expert (moe_sort.hip).
#include "gemm.h"
#include "gemm_group.h"
#include "gpu/platform.h"
#include "quad.h"
#include "tuning.h"

namespace {

// Spans of k, on which every result's bits depend. See gemm_dense.hip.
constexpr int kUpSplits = 4, kDownSplits = 8;

struct ExpertRows {
    ExpertTiles sorted;
    const void* data;  // of all experts
    const uint32_t* scale_data;
    const float* all_bias;  // (E, n_out) or null
    int64_t expert_runs, expert_scales;
    int n_out, n_steps;

    // max_rows is not needed: moe_sort has cut tiles of so many rows.
    __device__ bool tile(int index, int /*max_rows*/, Rows& rows) const {
        if (index >= *sorted.n_tiles) return false;
        rows.first = sorted.first[index];
        rows.n = sorted.n_rows[index];
        rows.expert = sorted.expert[index];
        return true;
    }
    __device__ float bias_at(const Rows& rows, int row) const {
        return all_bias && row < n_out ? all_bias[int64_t(rows.expert) * n_out + row] : 0.0f;
    }
};

template <bool kIsMxfp4>
struct ExpertWeights : ExpertRows {
    static constexpr bool kMxfp4 = kIsMxfp4, kFixedTiles = false, kSpans = true, kNorms = false;
    __device__ const Run* tiles(const Rows& rows, int slab) const {
        return static_cast<const Run*>(data) + rows.expert * expert_runs + slab * slab_runs<kMxfp4>(n_steps);
    }
    __device__ const uint32_t* scales(const Rows& rows, int slab) const {
        return kMxfp4 ? scale_data + rows.expert * expert_scales + slab * slab_scales(n_steps) : nullptr;
    }
};

template <bool kIsMxfp4>
struct Up : ExpertWeights<kIsMxfp4> {
    const bf16* h;
    bf16* act;
    int h_stride, act_stride, experts_per_token;
    float limit, alpha;
    bool grouped;  // the rows of act

    __device__ const bf16* x(const Rows& rows, int m) const {
        return h + int64_t(this->sorted.slot[rows.first + m] / experts_per_token) * h_stride;
    }
    __device__ float bias(const Rows& rows, int slab, int tile, int col) const {
        return this->bias_at(rows, 2 * (kTile * slab + col) + tile);
    }
    struct Place {
        bf16* to;  // of row 0
        bool inside;
    };
    __device__ Place place(const Rows& rows, int slab, int col) const {
        const int f = kTile * slab + col;
        return {act + int64_t(rows.first) * act_stride + place_of(f, grouped), 2 * f < this->n_out};
    }
    using Prior = Nothing;
    template <int n>
    __device__ void ask(Prior (&)[n], const Place&, const int (&)[n]) const {}
    __device__ bf16 value(float gate, float linear, Nothing) const {
        // Not by fminf and fmaxf, which would turn a NaN into a number.
        gate = gate > limit ? limit : gate;
        linear = linear > limit ? limit : linear;
        linear = linear < -limit ? -limit : linear;
        return narrow(quotient(gate, 1.0f + expf(-alpha * gate)) * (linear + 1.0f));
    }
    __device__ void put(const Place& place, int m, bf16 value, Nothing) const {
        if (place.inside) place.to[int64_t(m) * act_stride] = value;
    }
};

template <bool kIsMxfp4>
struct Down : ExpertWeights<kIsMxfp4> {
    const bf16* act;
    float* down;
    int act_stride;

    __device__ const bf16* x(const Rows& rows, int m) const { return act + int64_t(rows.first + m) * act_stride; }
    __device__ float bias(const Rows& rows, int slab, int tile, int col) const {
        return this->bias_at(rows, kSlabRows * slab + kTile * tile + col);
    }
    struct Place {
        const int* slot;  // of row 0
        float* to;        // of slot 0
        bool first, second;
    };
    __device__ Place place(const Rows& rows, int slab, int col) const {
        const int row = kSlabRows * slab + col;
        return {this->sorted.slot + rows.first, down + row, row < this->n_out, row + kTile < this->n_out};
    }
    using Prior = int;  // the slot
    template <int n>
    __device__ void ask(Prior (&prior)[n], const Place& place, const int (&m)[n]) const {
#pragma unroll
        for (int i = 0; i < n; i++) prior[i] = place.slot[m[i]];
    }
    __device__ Pair value(float first, float second, int) const {
        return {first, second};
    }
    __device__ void put(const Place& place, int, const Pair& value, int slot) const {
        float* const y = place.to + int64_t(slot) * this->n_out;
        if (place.first) y[0] = value.first;
        if (place.second) y[kTile] = value.second;
    }
};

template <class Problem>
void launch_experts(Problem& problem, const PackedMatrix& w, const ExpertTiles& tiles, int n_splits, int n_slots,
                    int tile_rows, gpu::Stream stream) {
    GPU_REQUIRE(w.n_in % 32 == 0 && n_slots >= 1);
    problem.sorted = tiles;
    problem.data = w.tiles;
    problem.scale_data = w.scales;
    problem.all_bias = w.bias;
    problem.expert_runs = packed_tile_bytes(w.mxfp4, w.n_out, w.n_in) / int64_t(sizeof(Run));
    problem.expert_scales = packed_scale_bytes(w.n_out, w.n_in) / int64_t(sizeof(uint32_t));
    problem.n_out = w.n_out;
    problem.n_steps = round_up(w.n_in, kDepthStep) / kDepthStep;
    const GemmShape shape = gemm_shape(w, n_splits);
    const int n_tiles = max_expert_tiles(n_slots, w.n_experts, tile_rows);
    if constexpr (kBuiltForGroups)
        if (expert_order(tile_rows) == KOrder::kGrouped)
            return tile_rows <= kSmallGroupRows ? launch_group<SmallGroups>(problem, shape, tile_rows, n_tiles, stream)
                                                : launch_group<WideGroups>(problem, shape, tile_rows, n_tiles, stream);
    launch_waves(problem, shape, tile_rows, n_tiles, stream);
}

template <bool kIsMxfp4>
void up(bf16* act, const bf16* h, const PackedMatrix& w, const ExpertTiles& tiles, int n_slots, int tile_rows,
        int experts_per_token, float limit, float alpha, gpu::Stream stream) {
    Up<kIsMxfp4> problem = {};
    problem.h = h;
    problem.act = act;
    problem.h_stride = round_up(w.n_in, kDepthStep);
    problem.act_stride = round_up(w.n_out / 2, kDepthStep);
    problem.experts_per_token = experts_per_token;
    problem.limit = limit;
    problem.alpha = alpha;
    problem.grouped = expert_order(tile_rows) == KOrder::kGrouped;
    launch_experts(problem, w, tiles, kUpSplits, n_slots, tile_rows, stream);
}

template <bool kIsMxfp4>
void down_to(float* down, const bf16* act, const PackedMatrix& w, const ExpertTiles& tiles, int n_slots, int tile_rows,
             gpu::Stream stream) {
    Down<kIsMxfp4> problem = {};
    problem.act = act;
    problem.down = down;
    problem.act_stride = round_up(w.n_in, kDepthStep);
    launch_experts(problem, w, tiles, kDownSplits, n_slots, tile_rows, stream);
}

}  // namespace

int expert_tile_rows(int n_slots, int n_experts) {
    const Tuning& tuned = tuning();
    const int mean = n_slots / n_experts;
    if (mean <= tuned.expert_rows_of_32) return mean <= tuned.expert_rows_of_16 ? 16 : 32;
    return mean <= tuned.expert_rows_of_64 ? 64 : device_has_groups() ? kGroupRows : 128;
}

KOrder expert_order(int tile_rows) {
    return tile_rows >= 64 && device_has_groups() ? KOrder::kGrouped : KOrder::kPlain;
}

void moe_up(bf16* act, const bf16* h, const PackedMatrix& w_up, const ExpertTiles& tiles, int n_slots, int tile_rows,
            int experts_per_token, float limit, float alpha, gpu::Stream stream) {
    GPU_REQUIRE(w_up.n_out % 2 == 0);
    (w_up.mxfp4 ? up<true> : up<false>)(act, h, w_up, tiles, n_slots, tile_rows, experts_per_token, limit, alpha,
                                        stream);
}

void moe_down(float* down, const bf16* act, const PackedMatrix& w_down, const ExpertTiles& tiles, int n_slots,
              int tile_rows, gpu::Stream stream) {
    (w_down.mxfp4 ? down_to<true> : down_to<false>)(down, act, w_down, tiles, n_slots, tile_rows, stream);
}
