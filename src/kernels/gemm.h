// gemm.h: the matrix-product kernels of waves that multiply for themselves, for few tokens and for many, and the choice among
// all kernels. gemm_problem.h says in what order they sum. With few tokens each span of k is a wave of its own, which is what
// keeps the memory busy; with many a wave walks through all of them.
#pragma once
#include "gemm_group.h"
#include "gemm_problem.h"
#include "gpu/wave.h"
#include "kernels.h"
#include "launch.h"
#include "weights.h"

// The bias of a slab's rows, a lane one of them, or one again. It comes with the first weights: asked for when the sums are
// done, it would be waited for.
template <class Problem>
__device__ float slab_bias(const Problem& problem, const Rows& rows, int slab, int lane) {
    return problem.bias(rows, slab, lane % kSlabRows / kTile, lane % kTile);
}

// ---- few tokens: a block is one slab and 16 · kTiles rows, a wave one span of k ----

// Depth steps of weights that a wave has under way: 4 KB, or 8 of bf16, so that a few waves a unit fill the memory's latency.
template <class Problem>
constexpr int kFewInFlight = 2;

template <class Problem, int kTiles>
__global__ __launch_bounds__(kMostSplits* kWave) void gemm_few_kernel(Problem problem, GemmShape shape) {
    GPU_LDS(lds);
    auto* const partial = reinterpret_cast<float*>(lds);  // (n_splits, kTiles · kAcc, 2, kWave)
    const int lane = lane_id(), split = wave_id(), slab = int(blockIdx.x);
    let_next_begin();
    if (!Problem::kFixedTiles) wait_for_previous();
    Rows rows;
    if (!problem.tile(int(blockIdx.y), kTile * kTiles, rows)) return;
    const Run* tiles = problem.tiles(rows, slab);
    const uint32_t* scales = problem.scales(rows, slab);
    const float bias = slab_bias(problem, rows, slab, lane);

    const int begin = split * shape.steps_per_split;
    const int end = begin + shape.steps_per_split < shape.n_steps ? begin + shape.steps_per_split : shape.n_steps;
    constexpr int kInFlight = kFewInFlight<Problem>;
    SlabStep<Problem::kMxfp4> w[kInFlight];
#pragma unroll
    for (int i = 0; i < kInFlight; i++)
        if (begin + i < end) w[i].load(tiles, scales, begin + i, lane);

    if (Problem::kFixedTiles) wait_for_previous();  // the weights are under way meanwhile
    const bf16* x[kTiles][kFragRows];
#pragma unroll
    for (int t = 0; t < kTiles; t++)
#pragma unroll
        for (int r = 0; r < kFragRows; r++) {
            const int m = kTile * t + frag_at(lane, r).row;
            x[t][r] = problem.x(rows, m < rows.n ? m : rows.n - 1);
        }
    Acc acc[kTiles][2] = {};
    for (int step = begin; step < end; step += kInFlight) {
#pragma unroll
        for (int i = 0; i < kInFlight; i++) {
            if (step + i >= end) break;
            // Activations are few and were just written: they come from near by when they are needed.
            Frag rows_in[kTiles][2];
#pragma unroll
            for (int t = 0; t < kTiles; t++)
#pragma unroll
                for (int tile_k = 0; tile_k < 2; tile_k++)
#pragma unroll
                    for (int r = 0; r < kRuns; r++) {
                        const int k = kDepthStep * (step + i) + kTileDepth * tile_k + frag_at(lane, r).col;
                        rows_in[t][tile_k].run[r] = *reinterpret_cast<const Run*>(x[t][r % kFragRows] + k);
                    }
#pragma unroll
            for (int tile_k = 0; tile_k < 2; tile_k++)
#pragma unroll
                for (int tile = 0; tile < 2; tile++) {
                    const WeightFrag of_w = w[i].frag(tile_k, tile);
#pragma unroll
                    for (int t = 0; t < kTiles; t++) mma_weights(acc[t][tile], rows_in[t][tile_k], of_w);
                }
            if (step + i + kInFlight < end) w[i].load(tiles, scales, step + i + kInFlight, lane);
        }
    }

    constexpr int kSums = kTiles * kAcc;  // a lane's, in each of the two tiles
#pragma unroll
    for (int j = 0; j < kSums; j++)
#pragma unroll
        for (int tile = 0; tile < 2; tile++)
            partial[((split * kSums + j) * 2 + tile) * kWave + lane] = acc[j / kAcc][tile].v[j % kAcc];
    block_sync();
    const auto place = problem.place(slab);
    for (int j = split; j < kSums; j += n_waves()) {
        float sum[2] = {};
        for (int s = 0; s < n_waves(); s++)
            for (int tile = 0; tile < 2; tile++) sum[tile] += partial[((s * kSums + j) * 2 + tile) * kWave + lane];
        const At at = product_at(lane, j % kAcc);
        const int m = kTile * (j / kAcc) + at.row;
        const float first = sum[0] + shfl(bias, at.col), second = sum[1] + shfl(bias, kTile + at.col);
        if (m < rows.n) problem.store(rows, place, m, at.col, first, second);
    }
}

// ---- many tokens: a block is kRowWaves · 4 tiles of rows and kSlabWaves slabs, a wave 4 tiles of rows and one slab ----

constexpr int kManyTiles = 4;  // tiles of rows a wave

template <class Problem, int kRowWaves, int kSlabWaves, bool kSplit>
__global__ __launch_bounds__(kRowWaves* kSlabWaves* kWave) void gemm_many_kernel(Problem problem, GemmShape shape) {
    constexpr int kBlockTiles = kRowWaves * kManyTiles, kStageRuns = 2 * kBlockTiles * kTileRuns;
    GPU_LDS(lds);
    auto* const staged = reinterpret_cast<Run*>(lds);  // (2 buffers, 2 tiles of k, kBlockTiles, kTileRuns)
    const int lane = lane_id(), wave = wave_id();
    let_next_begin();
    wait_for_previous();
    Rows rows;
    if (!problem.tile(int(blockIdx.y), kTile * kBlockTiles, rows)) return;
    const int slab = int(blockIdx.x) * kSlabWaves + wave % kSlabWaves, tile0 = wave / kSlabWaves * kManyTiles;
    // A wave past the last slab helps with staging and computes what nobody stores.
    const int own_slab = slab < shape.n_slabs ? slab : shape.n_slabs - 1;
    const Run* tiles = problem.tiles(rows, own_slab);
    const uint32_t* scales = problem.scales(rows, own_slab);

    // All waves bring the block's activations for one depth step into LDS. A lane's part: from where, and in registers.
    constexpr int kThreads = kRowWaves * kSlabWaves * kWave, kRunsEach = kStageRuns / kThreads;
    const bf16* from[kRunsEach];
    Run arriving[kRunsEach];
#pragma unroll
    for (int i = 0; i < kRunsEach; i++) {
        const int idx = i * kThreads + int(threadIdx.x), tile = idx / kTileRuns;
        const At at = run_at(idx % kTileRuns);
        const int m = kTile * (tile % kBlockTiles) + at.row;
        from[i] = problem.x(rows, m < rows.n ? m : rows.n - 1) + kTileDepth * (tile / kBlockTiles) + at.col;
        staged[idx] = *reinterpret_cast<const Run*>(from[i]);
    }
    const float bias = slab_bias(problem, rows, own_slab, lane);
    SlabStep<Problem::kMxfp4> w, w_next;
    w.load(tiles, scales, 0, lane);

    Acc acc[kManyTiles][2] = {}, total[kManyTiles][2] = {};
    int left_of_split = shape.steps_per_split;
    for (int step = 0; step < shape.n_steps; step++) {
        block_sync();
        // The last step brings itself again, to where nobody looks: a branch here would cost more.
        const int next = step + 1 < shape.n_steps ? step + 1 : step;
#pragma unroll
        for (int i = 0; i < kRunsEach; i++) arriving[i] = *reinterpret_cast<const Run*>(from[i] + kDepthStep * next);
        w_next.load(tiles, scales, next, lane);
        const Run* x = staged + step % 2 * kStageRuns;
#pragma unroll
        for (int tile_k = 0; tile_k < 2; tile_k++) {
            const WeightFrag w0 = w.frag(tile_k, 0), w1 = w.frag(tile_k, 1);
#pragma unroll
            for (int t = 0; t < kManyTiles; t++) {
                const Frag a = load_frag(x + (tile_k * kBlockTiles + tile0 + t) * kTileRuns, lane);
                mma_weights(acc[t][0], a, w0);
                mma_weights(acc[t][1], a, w1);
            }
        }
        Run* const other = staged + (step + 1) % 2 * kStageRuns;
#pragma unroll
        for (int i = 0; i < kRunsEach; i++) other[i * kThreads + int(threadIdx.x)] = arriving[i];
        w = w_next;
        if (kSplit && (--left_of_split == 0 || next == step)) {
            left_of_split = shape.steps_per_split;
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
    }

    if (slab >= shape.n_slabs) return;
    const auto place = problem.place(slab);
#pragma unroll
    for (int t = 0; t < kManyTiles; t++)
#pragma unroll
        for (int i = 0; i < kAcc; i++) {
            const At at = product_at(lane, i);
            const int m = kTile * (tile0 + t) + at.row;
            const float first = (kSplit ? total[t][0].v[i] : 0 + acc[t][0].v[i]) + shfl(bias, at.col);
            const float second = (kSplit ? total[t][1].v[i] : 0 + acc[t][1].v[i]) + shfl(bias, kTile + at.col);
            if (m < rows.n) problem.store(rows, place, m, at.col, first, second);
        }
}

// ---- launching ----

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

template <class Problem, int kTiles>
void launch_few(const Problem& problem, const GemmShape& shape, int n_tiles, gpu::Stream stream) {
    const auto kernel = gemm_few_kernel<Problem, kTiles>;
    const size_t lds_bytes = size_t(shape.n_splits) * kTiles * 2048;
    GPU_LAUNCH_CHAINED(kernel, dim3(unsigned(shape.n_slabs), unsigned(n_tiles)),
                       dim3(unsigned(shape.n_splits * device_wave())), lds_bytes, stream, problem, shape);
}

// tile_rows: 16, 32, 64 or 128 rows a block, or kGroupRows where the device has groups; n_tiles of them. With 64, experts share their activations among as many slabs as
// a block has waves: what they read of them would else be more than of weights. Other matrices have too few slabs for that.
template <class Problem>
void launch_gemm(const Problem& problem, const GemmShape& shape, int tile_rows, int n_tiles, gpu::Stream stream) {
    if (tile_rows == 16) return launch_few<Problem, 1>(problem, shape, n_tiles, stream);
    if (tile_rows == 32) return launch_few<Problem, 2>(problem, shape, n_tiles, stream);
    if (tile_rows == 64) {
        if constexpr (Problem::kFixedTiles)
            return launch_few<Problem, 4>(problem, shape, n_tiles, stream);
        else
            return launch_many<Problem, 1, 8>(problem, shape, n_tiles, stream);
    }
    if constexpr (kBuiltForGroups)
        if (tile_rows == kGroupRows) return launch_group(problem, shape, n_tiles, stream);
    GPU_REQUIRE(tile_rows == 128);
    launch_many<Problem, 2, 4>(problem, shape, n_tiles, stream);
}
