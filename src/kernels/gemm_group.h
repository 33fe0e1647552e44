// gemm_group.h: the matrix-product kernel for many tokens where matrix instructions belong to groups of waves
// (gpu/group_mma.h). It sums in the same order as those of gemm.h, bit for bit.
//
// A block is kGroupRows rows of activations and three groups of waves, a wave one tile of 16 rows of weights: two waves
// share a slab. While the matrix cores are at one half of a depth step, waves decode the weights of the other. LDS
// holds the activations of three depth steps: one may still be multiplied, the next is, the third arrives.
#pragma once
#include "gemm_problem.h"
#include "gpu/group_mma.h"
#include "gpu/wave.h"
#include "launch.h"
#include "weights.h"

constexpr int kGroupBlockWaves = 12, kGroupBlockSlabs = kGroupBlockWaves / 2, kGroupStages = 3;
constexpr int kWavesOfGroup = 4;
static_assert(kGroupWaves == 0 || kGroupWaves == kWavesOfGroup, "a group is two slabs");

// Sums on their way from the waves that have them to those that store them, for each pair of slabs: (kGroupRows,
// kSumStride), a row the first tiles' 32 sums, then the second's. The padding keeps a wave's writes on different banks.
constexpr int kSumStride = 2 * kSlabRows + 4;
constexpr size_t group_lds_bytes() {
    constexpr size_t kStaged = size_t(kGroupStages) * group_stage_bytes(kGroupRows);
    constexpr size_t kSums = size_t(kGroupBlockSlabs) / 2 * kGroupRows * kSumStride * sizeof(float);
    return kStaged > kSums ? kStaged : kSums;
}

// The block's activations: from memory to registers, a step later to LDS.
template <class Problem>
struct GroupRowsIn {
    static constexpr int kThreads = kGroupBlockWaves * kWave, kEach = kGroupRows * 8 / kThreads;
    static_assert(kWave != 32 || kEach * kThreads == kGroupRows * 8, "every thread brings as many runs");
    const bf16* from[kEach];
    Run arriving[kEach];

    __device__ void begin(const Problem& problem, const Rows& rows) {
#pragma unroll
        for (int i = 0; i < kEach; i++) {
            const int idx = i * kThreads + int(threadIdx.x), m = idx / 8;
            from[i] = problem.x(rows, m < rows.n ? m : rows.n - 1) + idx % 8 * 8;
        }
    }
    __device__ void load(int step) {
#pragma unroll
        for (int i = 0; i < kEach; i++) arriving[i] = *reinterpret_cast<const Run*>(from[i] + kDepthStep * step);
    }
    __device__ void stage(char* to) const {
#pragma unroll
        for (int i = 0; i < kEach; i++) {
            const int idx = i * kThreads + int(threadIdx.x);
            stage_run(to, kGroupRows, idx / 8, idx % 8, arriving[i]);
        }
        publish_stage();
    }
};

// A wave's 16 rows of weights times the block's rows: a lane's elements of the sum over all k.
template <class Problem, bool kSplit>
__device__ void group_product(float* sum, const Problem& problem, const GemmShape& shape, const Rows& rows, char* lds) {
    // Steps of weights under way: two of MXFP4, one of others, which take four times the registers.
    constexpr int kAhead = Problem::kMxfp4 ? 2 : 1;
    const int lane = lane_id(), wave = wave_id(), tile = wave % 2, last = shape.n_steps - 1;
    const int slab = int(blockIdx.x) * kGroupBlockSlabs + wave / 2;
    // A wave past the last slab helps with staging and computes what nobody stores.
    const int own_slab = slab < shape.n_slabs ? slab : shape.n_slabs - 1;
    const Run* tiles = problem.tiles(rows, own_slab);
    const uint32_t* scales = problem.scales(rows, own_slab);

    TileStep<Problem::kMxfp4> w[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; i++) w[i].load(tiles, scales, i < last ? i : last, tile, lane);
    GroupRowsIn<Problem> x;
    x.begin(problem, rows);
    x.load(0);
    x.stage(lds);
    x.load(0 < last ? 1 : last);

    GroupMma<kGroupRows> matrix;
    float acc[kGroupRows / 2] = {};
    WeightFrag operand[2];
    int left_of_split = shape.steps_per_split;
    bool add = false;
    for (int step = 0; step <= last; step++) {
        const char* const stage = lds + step % kGroupStages * group_stage_bytes(kGroupRows);
        block_sync();
#pragma unroll
        for (int tile_k = 0; tile_k < 2; tile_k++) {
            matrix.template wait<1>(acc);  // the batch before the last had this operand
            operand[tile_k] = w[0].frag(tile_k);
            if (!Problem::kMxfp4) operand[tile_k] = copied(operand[tile_k], shape.n_steps);
            matrix.begin();
            matrix.multiply(acc, operand[tile_k], 0, stage, 2 * tile_k, add);
            matrix.multiply(acc, operand[tile_k], 1, stage, 2 * tile_k + 1, true);
            matrix.commit();
            add = true;
        }
        // Past the end the last step is loaded again, into buffers that are never read; cheaper than a branch.
#pragma unroll
        for (int i = 0; i + 1 < kAhead; i++) w[i] = w[i + 1];
        w[kAhead - 1].load(tiles, scales, step + kAhead < last ? step + kAhead : last, tile, lane);
        x.stage(lds + (step + 1) % kGroupStages * group_stage_bytes(kGroupRows));
        x.load(step + 2 < last ? step + 2 : last);
        if (kSplit && --left_of_split == 0 && step < last) {
            left_of_split = shape.steps_per_split;
            add = false;
            matrix.template wait<0>(acc);
#pragma unroll
            for (int i = 0; i < kGroupRows / 2; i++) sum[i] += acc[i];
        }
    }
    matrix.template wait<0>(acc);
#pragma unroll
    for (int i = 0; i < kGroupRows / 2; i++) sum[i] += acc[i];
}

template <class Problem, bool kSplit>
__global__ __launch_bounds__(kGroupBlockWaves* kWave, 1) void gemm_group_kernel(Problem problem, GemmShape shape) {
    GPU_LDS(lds);
    if constexpr (kGroupWaves > 0) {
        let_next_begin();
        wait_for_previous();
        Rows rows;
        if (!problem.tile(int(blockIdx.y), kGroupRows, rows)) return;
        float sum[kGroupRows / 2] = {};
        group_product<Problem, kSplit>(sum, problem, shape, rows, lds);

        // A group has two slabs. Its waves hold one tile each; they store rows of both slabs, a lane the two tiles of a
        // column.
        const int lane = lane_id(), wave = wave_id(), group = wave / kWavesOfGroup, of_group = wave % kWavesOfGroup;
        const int slab = int(blockIdx.x) * kGroupBlockSlabs + group * 2 + lane / kTile, col = lane % kTile;
        const float bias[2] = {problem.bias(rows, slab, 0, col), problem.bias(rows, slab, 1, col)};
        auto* const sums = reinterpret_cast<float*>(lds) + group * kGroupRows * kSumStride;
        block_sync();
#pragma unroll
        for (int i = 0; i < kGroupRows / 2; i++) {
            const At at = product_at(lane, i);
            sums[at.row * kSumStride + wave % 2 * kSlabRows + of_group / 2 * kTile + at.col] = sum[i];
        }
        block_sync();
        if (slab >= shape.n_slabs) return;
        const auto place = problem.place(slab);
        for (int m = of_group; m < rows.n; m += kWavesOfGroup) {
            const float* const of_row = sums + m * kSumStride + lane;
            problem.store(rows, place, m, col, of_row[0] + bias[0], of_row[kSlabRows] + bias[1]);
        }
    }
}

template <class Problem>
void launch_group(const Problem& problem, const GemmShape& shape, int n_tiles, gpu::Stream stream) {
    GPU_REQUIRE(device_has_groups());
    const auto kernel = shape.n_splits > 1 ? gemm_group_kernel<Problem, true> : gemm_group_kernel<Problem, false>;
    const dim3 grid(unsigned((shape.n_slabs + kGroupBlockSlabs - 1) / kGroupBlockSlabs), unsigned(n_tiles));
    GPU_LAUNCH_CHAINED(kernel, grid, dim3(unsigned(kGroupBlockWaves * device_wave())), group_lds_bytes(), stream,
                       problem, shape);
}
