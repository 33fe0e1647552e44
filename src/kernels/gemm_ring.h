// gemm_ring.h: how a wave of gemm_few.h sums a span of MXFP4 weights where copies into LDS go on by themselves: more
// depth steps are under way than its registers have room for, so that it needs few of these and all blocks are at work
// at the same time. Each lane copies what it will need itself, so no lane waits for another.
#pragma once
#include "gemm_problem.h"
#include "gpu/lds_ring.h"
#include "weights.h"

constexpr int kRingSteps = 6;
constexpr int kRingStepBytes = 32 * (2 * 16 + 2 * 4);  // runs and scales of 32 lanes
constexpr int kRingBytes = kRingSteps * kRingStepBytes;

// Depth steps [begin, end) of a slab on their way.
struct WeightRing {
    char* const base;  // kRingBytes in LDS
    const Run* const tiles;
    const uint32_t* const scales;
    const int begin, end, lane;

    __device__ char* run(int place, int i) const { return base + place * kRingStepBytes + (i * 32 + lane) * 16; }
    __device__ char* scale(int place, int i) const {
        return base + place * kRingStepBytes + (kRuns * 32) * 16 + (i * 32 + lane) * 4;
    }
    // A batch of copies; an empty one past the end.
    __device__ void copy(int place, int step) const {
        if (step < end) {
#pragma unroll
            for (int i = 0; i < kRuns; i++) copy_run(run(place, i), tiles + int64_t(step) * 64 + i * kHolders + lane);
#pragma unroll
            for (int i = 0; i < kFragRows; i++)
                copy_word(scale(place, i), scales + int64_t(step) * kTile + frag_at(lane, i).row);
        }
        end_batch();
    }
    __device__ void start() const {
        for (int i = 0; i < kRingSteps; i++) copy(i, begin + i);
    }
    __device__ SlabStep<true> load(int place) const {
        SlabStep<true> w;
#pragma unroll
        for (int i = 0; i < kRuns; i++) w.words[i] = *reinterpret_cast<const Run*>(run(place, i));
#pragma unroll
        for (int i = 0; i < kFragRows; i++) w.scale[i] = *reinterpret_cast<const uint32_t*>(scale(place, i));
        return w;
    }
};

// A lane's activations of a depth step, of the first kRows rows.
template <class Problem, int kRows>
struct RingRows {
    static constexpr int kLoaded = kRuns * kRows / kTile;
    const bf16* x[kLoaded];
    Frag in[2];  // for each tile of k; of a run past kLoaded nobody asks

    __device__ RingRows(const Problem& problem, const Rows& rows, int lane) {
#pragma unroll
        for (int r = 0; r < kLoaded; r++) {
            const At at = frag_at(lane, r);
            x[r] = problem.x(rows, at.row < rows.n ? at.row : rows.n - 1) + at.col;
        }
    }
    __device__ void load(int step) {
#pragma unroll
        for (int tile_k = 0; tile_k < 2; tile_k++)
#pragma unroll
            for (int r = 0; r < kLoaded; r++)
                in[tile_k].run[r] = *reinterpret_cast<const Run*>(x[r] + kDepthStep * step + kTileDepth * tile_k);
    }
};

// acc += the ring's steps, for the first kRows rows: 8 or 16, at least rows.n.
template <class Problem, int kRows>
__device__ void sum_ring(Acc (&acc)[1][2], const Problem& problem, const Rows& rows, const WeightRing& ring) {
    RingRows<Problem, kRows> x(problem, rows, ring.lane);
    x.load(ring.begin);
    int place = 0;
    for (int step = ring.begin; step < ring.end; step++) {
        wait_batches<kRingSteps - 1>();
        const SlabStep<true> w = ring.load(place);
        const Frag in[2] = {x.in[0], x.in[1]};
        if (step + 1 < ring.end) x.load(step + 1);
#pragma unroll
        for (int tile_k = 0; tile_k < 2; tile_k++)
#pragma unroll
            for (int part = 0; part < 2; part++)
                mma_weights<kRows>(acc[0][part], in[tile_k], w.template frag<false>(tile_k, part));
        ring.copy(place, step + kRingSteps);
        place = place + 1 < kRingSteps ? place + 1 : 0;
    }
}
