// gemm.h: the matrix-product kernels whose waves multiply for themselves, for few tokens and for many. gemm_problem.h
// says in what order they sum. With few tokens each span of k has a wave of its own, so that enough loads are under
// way; with many tokens one wave walks through all spans.
#pragma once
#include "gemm_problem.h"
#include "gpu/wave.h"
#include "kernels.h"
#include "launch.h"
#include "weights.h"

// The bias of one of the slab's 32 rows a lane; lanes past 31 repeat them. It is loaded with the first weights: loaded
// after the last sum, it would have to be waited for.
template <class Problem>
__device__ float slab_bias(const Problem& problem, const Rows& rows, int slab, int lane) {
    return problem.bias(rows, slab, lane % kSlabRows / kTile, lane % kTile);
}

// ---- few tokens: a block is one slab and 16 · kTiles rows, a wave one span of k ----

// Depth steps of weights that a wave has under way: 4 KB of MXFP4, 8 of bf16. Some waves a unit then cover memory's
// latency.
constexpr int kFewInFlight = 2;

// A lane's rows of activations. They are few and were just written: they come from near by when they are needed.
template <class Problem, int kTiles>
struct FewRowsIn {
    const bf16* x[kTiles][kFragRows];

    __device__ void begin(const Problem& problem, const Rows& rows, int lane) {
#pragma unroll
        for (int t = 0; t < kTiles; t++)
#pragma unroll
            for (int r = 0; r < kFragRows; r++) {
                const int m = kTile * t + frag_at(lane, r).row;
                x[t][r] = problem.x(rows, m < rows.n ? m : rows.n - 1);
            }
    }
    // Both tiles of k of a depth step.
    __device__ void load(Frag (&in)[kTiles][2], int step, int lane) const {
#pragma unroll
        for (int t = 0; t < kTiles; t++)
#pragma unroll
            for (int tile_k = 0; tile_k < 2; tile_k++)
#pragma unroll
                for (int r = 0; r < kRuns; r++) {
                    const int k = kDepthStep * step + kTileDepth * tile_k + frag_at(lane, r).col;
                    in[t][tile_k].run[r] = *reinterpret_cast<const Run*>(x[t][r % kFragRows] + k);
                }
    }
};

// Adds the waves' sums, spans in ascending order, and stores the results. partial: (n_splits, kTiles · kAcc, 2, kWave).
template <class Problem, int kTiles>
__device__ void store_few(const Problem& problem, const Rows& rows, int slab, const Acc (&acc)[kTiles][2], float bias,
                          float* partial, int split, int lane) {
    constexpr int kSums = kTiles * kAcc;  // a lane's, in each of the two tiles
#pragma unroll
    for (int j = 0; j < kSums; j++)
#pragma unroll
        for (int tile = 0; tile < 2; tile++)
            partial[((split * kSums + j) * 2 + tile) * kWave + lane] = pair_sum(acc[j / kAcc], j % kAcc, tile);
    block_sync();
    for (int j = split; j < kSums; j += n_waves()) {
        float sum[2] = {};
        for (int s = 0; s < n_waves(); s++)
            for (int tile = 0; tile < 2; tile++) sum[tile] += partial[((s * kSums + j) * 2 + tile) * kWave + lane];
        const At at = product_at(lane, j % kAcc);
        const int m = kTile * (j / kAcc) + at.row;
        const float first = sum[0] + shfl(bias, at.col), second = sum[1] + shfl(bias, kTile + at.col);
        if (m < rows.n) store(problem, rows, slab, m, at.col, first, second);
    }
}

template <class Problem, int kTiles>
__global__ __launch_bounds__(kMostSplits* kWave) void gemm_few_kernel(Problem problem, GemmShape shape) {
    GPU_LDS(lds);
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
    SlabStep<Problem::kMxfp4> w[kFewInFlight];
#pragma unroll
    for (int i = 0; i < kFewInFlight; i++)
        if (begin + i < end) w[i].load(tiles, scales, begin + i, lane);

    if (Problem::kFixedTiles) wait_for_previous();  // the weights are under way meanwhile
    FewRowsIn<Problem, kTiles> x;
    x.begin(problem, rows, lane);
    Acc acc[kTiles][2] = {};
    // Here and not in a function of its own, where clang 19 spills 198 registers on gfx1100.
    for (int step = begin; step < end; step += kFewInFlight) {
#pragma unroll
        for (int i = 0; i < kFewInFlight; i++) {
            if (step + i >= end) break;
            Frag in[kTiles][2];
            x.load(in, step + i, lane);
#pragma unroll
            for (int tile_k = 0; tile_k < 2; tile_k++)
#pragma unroll
                for (int part = 0; part < 2; part++) {
                    const WeightFrag of_w = w[i].frag(tile_k, part);
#pragma unroll
                    for (int t = 0; t < kTiles; t++) mma_weights(acc[t][part], in[t][tile_k], of_w);
                }
            if (step + i + kFewInFlight < end) w[i].load(tiles, scales, step + i + kFewInFlight, lane);
        }
    }
    store_few<Problem, kTiles>(problem, rows, slab, acc, bias, reinterpret_cast<float*>(lds), split, lane);
}

// ---- many tokens: a block is kRowWaves · 4 tiles of rows and kSlabWaves slabs, a wave 4 tiles and one slab ----

constexpr int kManyTiles = 4;  // tiles of rows a wave

// The block's activations for one depth step, which all waves bring into LDS: from where, and in registers.
template <class Problem, int kRowWaves, int kSlabWaves>
struct ManyRowsIn {
    static constexpr int kBlockTiles = kRowWaves * kManyTiles, kStageRuns = 2 * kBlockTiles * kTileRuns;
    static constexpr int kThreads = kRowWaves * kSlabWaves * kWave, kEach = kStageRuns / kThreads;
    const bf16* from[kEach];
    Run arriving[kEach];

    // Also stages the first step. staged: (2 buffers, 2 tiles of k, kBlockTiles, kTileRuns).
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

// total += acc, which begins again from nothing.
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
    // A wave past the last slab helps with staging and computes what nobody stores.
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

// tile_rows: at most that many rows a block, 16, 32, 64 or 128; n_tiles of them. At 64 rows eight slabs of an expert
// share staged activations; otherwise activations would cost more reads than weights. Other matrices have too few slabs
// for that.
template <class Problem>
void launch_waves(const Problem& problem, const GemmShape& shape, int tile_rows, int n_tiles, gpu::Stream stream) {
    if (tile_rows == 16) return launch_few<Problem, 1>(problem, shape, n_tiles, stream);
    if (tile_rows == 32) return launch_few<Problem, 2>(problem, shape, n_tiles, stream);
    if (tile_rows == 64) {
        if constexpr (Problem::kFixedTiles)
            return launch_few<Problem, 4>(problem, shape, n_tiles, stream);
        else
            return launch_many<Problem, 1, 8>(problem, shape, n_tiles, stream);
    }
    GPU_REQUIRE(tile_rows == 128);
    launch_many<Problem, 2, 4>(problem, shape, n_tiles, stream);
}
