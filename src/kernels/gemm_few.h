// gemm_few.h: the matrix product for few tokens. A block has one slab and 16 · kTiles rows. Each span of k has a wave
// of its own, so that enough loads are under way. gemm_problem.h says in what order sums are made.
#pragma once
#include <algorithm>
#include <type_traits>

#include "gemm_problem.h"
#include "gemm_ring.h"
#include "gpu/wave.h"
#include "kernels.h"
#include "launch.h"
#include "layernorm.h"
#include "weights.h"

// Depth steps of weights that a wave has under way: 4 KB of MXFP4, or 8 of bf16. With some waves on each unit, that
// covers memory's latency.
constexpr int kFewInFlight = 2;

// Rows that a block norms for itself are in LDS, after the norm's gain and bias. A row takes 16 bytes more than it has,
// so that the runs which a wave reads from eight rows are in different banks.
constexpr int normed_stride(int hidden_dim) {
    return round_up(hidden_dim, kDepthStep) + 8;
}
constexpr int normed_bytes(int hidden_dim) {
    return StagedNorm::bytes(hidden_dim) + kTile * normed_stride(hidden_dim) * int(sizeof(bf16));
}

// Waits for the kernel ahead, if that has not been done. If the block norms its rows itself, does so and returns them.
template <class Problem>
__device__ const bf16* wait_for_rows(const Problem& problem, const Rows& rows, char* lds) {
    if (!Problem::kNorms && Problem::kFixedTiles) wait_for_previous();
    if constexpr (Problem::kNorms) {
        const LayerNormParams& norm = problem.input.norm;
        const StagedNorm staged(lds, norm);
        block_sync();
        wait_for_previous();
        auto* const normed = reinterpret_cast<bf16*>(lds + StagedNorm::bytes(norm.hidden_dim));
        for (int m = wave_id(); m < rows.n; m += n_waves())
            layernorm_row(normed + m * normed_stride(norm.hidden_dim), false,
                          problem.input.x + int64_t(rows.first + m) * norm.hidden_dim, staged, lane_id());
        block_sync();
        return normed;
    } else {
        return nullptr;
    }
}

// normed: what wait_for_rows() returned.
template <class Problem>
__device__ const bf16* few_row(const Problem& problem, const Rows& rows, const bf16* normed, int m) {
    if constexpr (Problem::kNorms)
        return normed + m * normed_stride(problem.input.norm.hidden_dim);
    else
        return problem.x(rows, m);
}

// A lane's rows of activations. They are few and were just written, so they are in a near cache and are loaded only
// when they are needed.
template <class Problem, int kTiles>
struct FewRowsIn {
    const bf16* x[kTiles][kFragRows];

    __device__ void begin(const Problem& problem, const Rows& rows, const bf16* normed, int lane) {
#pragma unroll
        for (int t = 0; t < kTiles; t++)
#pragma unroll
            for (int r = 0; r < kFragRows; r++) {
                const int m = kTile * t + frag_at(lane, r).row;
                x[t][r] = few_row(problem, rows, normed, m < rows.n ? m : rows.n - 1);
            }
    }
    // Loads both tiles of k of a depth step.
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

template <class Problem>
constexpr bool kFewTables = Problem::kMxfp4&& kDecodeTableBytes > 0;

// acc += one depth step: in · w.
template <class Problem, int kTiles>
__device__ void add_step(Acc (&acc)[kTiles][2], const Frag (&in)[kTiles][2], const SlabStep<Problem::kMxfp4>& w,
                         const char* tables) {
#pragma unroll
    for (int tile_k = 0; tile_k < 2; tile_k++)
#pragma unroll
        for (int part = 0; part < 2; part++) {
            const WeightFrag of_w = w.template frag<kFewTables<Problem>>(tile_k, part, tables);
#pragma unroll
            for (int t = 0; t < kTiles; t++) mma_weights(acc[t][part], in[t][tile_k], of_w);
        }
}

// A wave sums depth steps [begin, end) of a slab. tables: see make_decode_tables. normed: see wait_for_rows.
struct FewSpan {
    const Run* tiles;
    const uint32_t* scales;
    int begin, end, lane;
    const char* tables;
    const bf16* normed;
};

// For kAskedInOrder: loads activations before weights that are needed later, so that these stay under way.
template <class Problem, int kTiles>
__device__ void sum_span_in_order(Acc (&acc)[kTiles][2], const Problem& problem, const Rows& rows,
                                  const FewSpan& span) {
    SlabStep<Problem::kMxfp4> w[kFewInFlight];
    Frag in[kTiles][2];
    FewRowsIn<Problem, kTiles> x;
    const auto load_weights = [&](int i, int step) {
        w[i].load(span.tiles, span.scales, step, span.lane);
        fix_order();
    };
    const auto load_rows = [&](int step) {
        x.load(in, step, span.lane);
        fix_order();
    };
    x.begin(problem, rows, span.normed, span.lane);
    load_weights(0, span.begin);
    load_rows(span.begin);
#pragma unroll
    for (int i = 1; i < kFewInFlight; i++)
        if (span.begin + i < span.end) load_weights(i, span.begin + i);
    // A whole turn makes all its loads. If a load might be skipped, the compiler would assume that it was, and wait for
    // more loads than needed.
    const auto turn = [&](auto whole, int step) {
        constexpr bool kWhole = decltype(whole)::value;
#pragma unroll
        for (int i = 0; i < kFewInFlight; i++) {
            if (!kWhole && step + i >= span.end) break;
            add_step<Problem, kTiles>(acc, in, w[i], span.tables);
            fix_order();
            if (kWhole || step + i + 1 < span.end) load_rows(step + i + 1);
            if (kWhole || step + i + kFewInFlight < span.end) load_weights(i, step + i + kFewInFlight);
        }
    };
    int step = span.begin;
    for (; step + 2 * kFewInFlight <= span.end; step += kFewInFlight) turn(std::true_type(), step);
    for (; step < span.end; step += kFewInFlight) turn(std::false_type(), step);
}

// Whether weights go through LDS (gemm_ring.h).
template <class Problem, int kTiles>
constexpr bool kThroughLds = kCopiesIntoLds&& Problem::kMxfp4&& kTiles == 1;
// Blocks of kMostSplits waves that must fit on a unit. With weights in LDS few registers do. Three blocks, or six of
// half as many waves, are enough for all of a token's to be at work at once.
template <class Problem, int kTiles>
constexpr int kFewBlocks = kThroughLds<Problem, kTiles> ? 3 : 1;

// Tiles of rows whose sums are in LDS at the same time: only half of them if a unit has little LDS, so that it has room
// for more blocks.
template <int kTiles>
constexpr int kTilesStored = kUnitLdsBytes >= 128 << 10 ? kTiles : (kTiles + 1) / 2;
constexpr int kTileSumBytes = kTile * kSlabRows * 4;  // for one wave

// Adds the waves' sums, spans in ascending order, and stores the results. partial: (n_splits, kTilesStored · kAcc, 2,
// kWave).
template <class Problem, int kTiles>
__device__ void store_few(const Problem& problem, const Rows& rows, int slab, const Acc (&acc)[kTiles][2], float bias,
                          float* partial, int split, int lane) {
    constexpr int kSums = kTilesStored<kTiles> * kAcc;  // of a lane, in each of the two tiles
#pragma unroll
    for (int tile0 = 0; tile0 < kTiles; tile0 += kTilesStored<kTiles>) {
        if (tile0 > 0) block_sync();
#pragma unroll
        for (int j = 0; j < kSums; j++)
#pragma unroll
            for (int tile = 0; tile < 2; tile++)
                partial[((split * kSums + j) * 2 + tile) * kWave + lane] =
                    pair_sum(acc[tile0 + j / kAcc], j % kAcc, tile);
        block_sync();
        for (int j = split; j < kSums; j += n_waves()) {
            float sum[2] = {};
            for (int s = 0; s < n_waves(); s++)
                for (int tile = 0; tile < 2; tile++) sum[tile] += partial[((s * kSums + j) * 2 + tile) * kWave + lane];
            const At at = product_at(lane, j % kAcc);
            const int m = kTile * (tile0 + j / kAcc) + at.row;
            const float first = sum[0] + shfl(bias, at.col), second = sum[1] + shfl(bias, kTile + at.col);
            if (m < rows.n) store(problem, rows, slab, m, at.col, first, second);
        }
    }
}

template <class Problem, int kTiles>
__global__ __launch_bounds__(kMostSplits* kWave, (kFewBlocks<Problem, kTiles>)) void gemm_few_kernel(Problem problem,
                                                                                                     GemmShape shape) {
    GPU_LDS(lds);  // tables to decode by, or normed rows, or weights on their way; then sums
    const int lane = lane_id(), slab = int(blockIdx.x);
    // The last span may be short. With waves of 64 lanes, a wave's number decides which of a unit's 4 SIMDs runs it. So
    // the wave that takes the short span changes from block to block, and no SIMD has less to do than the others.
    const int split = kWave == 64 ? (wave_id() + slab / 4) % n_waves() : wave_id();
    let_next_begin();
    if (kFewTables<Problem>) make_decode_tables(lds);
    if (!Problem::kFixedTiles) wait_for_previous();
    Rows rows;
    if (!problem.tile(int(blockIdx.y), kTile * kTiles, rows)) return;
    if (kFewTables<Problem>) block_sync();  // here, since later it would wait for the loads under way
    const float bias = slab_bias(problem, rows, slab, lane);
    const int begin = split * shape.steps_per_split;
    const int end = begin + shape.steps_per_split < shape.n_steps ? begin + shape.steps_per_split : shape.n_steps;
    const Run* const tiles = problem.tiles(rows, slab);
    const uint32_t* const scales = problem.scales(rows, slab);
    Acc acc[kTiles][2] = {};
    if constexpr (kAskedInOrder) {
        const bf16* const normed = wait_for_rows(problem, rows, lds);
        sum_span_in_order<Problem, kTiles>(acc, problem, rows, {tiles, scales, begin, end, lane, lds, normed});
    } else if constexpr (kThroughLds<Problem, kTiles>) {
        const WeightRing ring = {lds + split * kRingBytes, tiles, scales, begin, end, lane};
        ring.start();
        if (rows.n <= kTile / 2)
            sum_ring<Problem, kTile / 2>(acc, problem, rows, ring);
        else
            sum_ring<Problem, kTile>(acc, problem, rows, ring);
    } else {
        // Not in a function of its own: there clang 19 spills 198 registers on gfx1100.
        SlabStep<Problem::kMxfp4> w[kFewInFlight];
#pragma unroll
        for (int i = 0; i < kFewInFlight; i++)
            if (begin + i < end) w[i].load(tiles, scales, begin + i, lane);
        const bf16* const normed = wait_for_rows(problem, rows, lds);  // the weights are under way meanwhile
        FewRowsIn<Problem, kTiles> x;
        x.begin(problem, rows, normed, lane);
        for (int step = begin; step < end; step += kFewInFlight) {
#pragma unroll
            for (int i = 0; i < kFewInFlight; i++) {
                if (step + i >= end) break;
                Frag in[kTiles][2];
                x.load(in, step + i, lane);
                add_step<Problem, kTiles>(acc, in, w[i], lds);
                if (step + i + kFewInFlight < end) w[i].load(tiles, scales, step + i + kFewInFlight, lane);
            }
        }
    }
    if (kFewTables<Problem> || Problem::kNorms || kThroughLds<Problem, kTiles>) block_sync();  // sums take their place
    store_few<Problem, kTiles>(problem, rows, slab, acc, bias, reinterpret_cast<float*>(lds), split, lane);
}

template <class Problem, int kTiles>
void launch_few(const Problem& problem, const GemmShape& shape, int n_tiles, gpu::Stream stream) {
    const auto kernel = gemm_few_kernel<Problem, kTiles>;
    const int sum_bytes = shape.n_splits * kTilesStored<kTiles> * kTileSumBytes;
    int lds_bytes = std::max(sum_bytes, Problem::kMxfp4 ? kDecodeTableBytes : 0);
    if (device_has_groups() && Problem::kMxfp4 && kTiles == 1)  // kThroughLds, which host code does not know
        lds_bytes = std::max(lds_bytes, shape.n_splits * kRingBytes);
    if constexpr (Problem::kNorms) lds_bytes = std::max(lds_bytes, normed_bytes(problem.input.norm.hidden_dim));
    GPU_LAUNCH_CHAINED(kernel, dim3(unsigned(shape.n_slabs), unsigned(n_tiles)),
                       dim3(unsigned(shape.n_splits * device_wave())), size_t(lds_bytes), stream, problem, shape);
}
