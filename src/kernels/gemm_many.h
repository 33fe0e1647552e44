// gemm_many.h: the matrix product for many tokens, where waves multiply for themselves. A block has kRowWaves ·
// kManyTiles tiles of rows and kSlabWaves slabs. A wave has kManyTiles of the tiles and one slab, and walks through all
// spans of k. gemm_problem.h says in what order sums are made.
#pragma once
#include "gemm_problem.h"
#include "gpu/wave.h"
#include "kernels.h"
#include "launch.h"
#include "weights.h"

constexpr int kManyTiles = 4;  // tiles of rows of a wave

// The block's activations for one depth step, which all waves copy into LDS together: where they come from, and a
// lane's share in registers.
template <class Problem, int kRowWaves, int kSlabWaves>
struct ManyRowsIn {
    static constexpr int kBlockTiles = kRowWaves * kManyTiles, kStageRuns = 2 * kBlockTiles * kTileRuns;
    static constexpr int kThreads = kRowWaves * kSlabWaves * kWave, kEach = kStageRuns / kThreads;
    const bf16* from[kEach];
    Run arriving[kEach];

    // Also stages the first step. staged: (2 buffers, 2 tiles of k, kBlockTiles, kTileRuns) in LDS.
    __device__ void begin(const Problem& problem, const Rows& rows, Run* staged) {
#pragma unroll
        for (int i = 0; i < kEach; i++) {
            const int idx = i * kThreads + int(threadIdx.x), tile = idx / kTileRuns;
            const At at = run_at(idx % kTileRuns);
            const int m = kTile * (tile % kBlockTiles) + at.row;
            from[i] = problem.x(rows, m < rows.n ? m : rows.n - 1) + kTileDepth * (tile / kBlockTiles) + at.col;
            staged[idx] = *reinterpret_cast<const Run*>(from[i]);
        }
    }
    __device__ void load(int step) {
#pragma unroll
        for (int i = 0; i < kEach; i++) arriving[i] = *reinterpret_cast<const Run*>(from[i] + kDepthStep * step);
    }
    __device__ void stage(Run* to) const {
#pragma unroll
        for (int i = 0; i < kEach; i++) to[i * kThreads + int(threadIdx.x)] = arriving[i];
    }
};

// total += acc; acc = 0.
inline __device__ void end_span(Acc (&total)[kManyTiles][2], Acc (&acc)[kManyTiles][2]) {
#pragma unroll
    for (int t = 0; t < kManyTiles; t++)
#pragma unroll
        for (int tile = 0; tile < 2; tile++)
#pragma unroll
            for (int i = 0; i < kAcc; i++) {
                total[t][tile].v[i] += acc[t][tile].v[i];
                acc[t][tile].v[i] = 0;
            }
}

template <class Problem, bool kSplit>
__device__ void store_many(const Problem& problem, const Rows& rows, int slab, int tile0,
                           const Acc (&total)[kManyTiles][2], const Acc (&acc)[kManyTiles][2], float bias, int lane) {
#pragma unroll
    for (int t = 0; t < kManyTiles; t++)
#pragma unroll
        for (int i = 0; i < kAcc; i++) {
            const At at = product_at(lane, i);
            const int m = kTile * (tile0 + t) + at.row;
            float sum[2];
#pragma unroll
            for (int tile = 0; tile < 2; tile++)
                sum[tile] = kSplit ? pair_sum(total[t], i, tile) : 0 + pair_sum(acc[t], i, tile);
            const float first = sum[0] + shfl(bias, at.col), second = sum[1] + shfl(bias, kTile + at.col);
            if (m < rows.n) store(problem, rows, slab, m, at.col, first, second);
        }
}

template <class Problem, int kRowWaves, int kSlabWaves, bool kSplit>
__global__ __launch_bounds__(kRowWaves* kSlabWaves* kWave) void gemm_many_kernel(Problem problem, GemmShape shape) {
    using RowsIn = ManyRowsIn<Problem, kRowWaves, kSlabWaves>;
    GPU_LDS(lds);
    auto* const staged = reinterpret_cast<Run*>(lds);
    const int lane = lane_id(), wave = wave_id();
    let_next_begin();
    wait_for_previous();
    Rows rows;
    if (!problem.tile(int(blockIdx.y), kTile * RowsIn::kBlockTiles, rows)) return;
    const int slab = int(blockIdx.x) * kSlabWaves + wave % kSlabWaves, tile0 = wave / kSlabWaves * kManyTiles;
    // A wave past the last slab helps with staging; what it computes is not stored.
    const int own_slab = slab < shape.n_slabs ? slab : shape.n_slabs - 1;
    const Run* tiles = problem.tiles(rows, own_slab);
    const uint32_t* scales = problem.scales(rows, own_slab);
    RowsIn rows_in;
    rows_in.begin(problem, rows, staged);
    const float bias = slab_bias(problem, rows, own_slab, lane);
    SlabStep<Problem::kMxfp4> w, w_next;
    w.load(tiles, scales, 0, lane);

    Acc acc[kManyTiles][2] = {}, total[kManyTiles][2] = {};
    int left_of_split = shape.steps_per_split;
    for (int step = 0; step < shape.n_steps; step++) {
        block_sync();
        // The last iteration reloads its own data into a buffer that is never read; cheaper than a branch.
        const int next = step + 1 < shape.n_steps ? step + 1 : step;
        rows_in.load(next);
        w_next.load(tiles, scales, next, lane);
        const Run* x = staged + step % 2 * RowsIn::kStageRuns;
#pragma unroll
        for (int tile_k = 0; tile_k < 2; tile_k++) {
            const WeightFrag w0 = w.frag(tile_k, 0), w1 = w.frag(tile_k, 1);
#pragma unroll
            for (int t = 0; t < kManyTiles; t++) {
                const Frag a = load_frag(x + (tile_k * RowsIn::kBlockTiles + tile0 + t) * kTileRuns, lane);
                mma_weights(acc[t][0], a, w0);
                mma_weights(acc[t][1], a, w1);
            }
        }
        rows_in.stage(staged + (step + 1) % 2 * RowsIn::kStageRuns);
        w = w_next;
        if (kSplit && (--left_of_split == 0 || next == step)) {
            left_of_split = shape.steps_per_split;
            end_span(total, acc);
        }
    }
    if (slab < shape.n_slabs) store_many<Problem, kSplit>(problem, rows, slab, tile0, total, acc, bias, lane);
}

template <class Problem, int kRowWaves, int kSlabWaves>
void launch_many(const Problem& problem, const GemmShape& shape, int n_tiles, gpu::Stream stream) {
    const auto kernel = shape.n_splits > 1 ? gemm_many_kernel<Problem, kRowWaves, kSlabWaves, true>
                                           : gemm_many_kernel<Problem, kRowWaves, kSlabWaves, false>;
    const dim3 grid(unsigned((shape.n_slabs + kSlabWaves - 1) / kSlabWaves), unsigned(n_tiles));
    constexpr size_t kLdsBytes =
        size_t(2) * 2 * kRowWaves * kManyTiles * kTileRuns * 16;  // two buffers of two tiles of k
    GPU_LAUNCH_CHAINED(kernel, grid, dim3(unsigned(kRowWaves * kSlabWaves * device_wave())), kLdsBytes, stream, problem,
                       shape);
}
