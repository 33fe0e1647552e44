// gemm_group.h: the matrix-product kernel for many tokens where matrix instructions belong to groups of waves
// (gpu/group_mma.h). It sums in the same order as those of gemm_few.h and gemm_many.h, bit for bit.
//
// A block is one group of waves that brings and two that multiply. The first fills a ring of stages in LDS, each with
// the activations and the weights of one depth step, as far ahead as the ring allows. The others take two slabs of
// weights each and all rows of a tile: they decode weights into registers and multiply; while one decodes, the matrix
// cores have the other's products. Blocks stay and take tiles until there are none. Tiles come largest first, so that
// blocks end together, and each size has a loop of its own, in which the compiler knows it.
#pragma once
#include "gemm_problem.h"
#include "gpu/group_mma.h"
#include "gpu/lds_ring.h"
#include "gpu/wave.h"
#include "launch.h"
#include "weights.h"

constexpr int kGroupWaveCount = 4, kMultiplyingGroups = 2;
constexpr int kGroupThreads = (kMultiplyingGroups + 1) * kGroupWaveCount * 32;
static_assert(kGroupWaves == 0 || kGroupWaves == kGroupWaveCount, "a group is two slabs, a wave one part of a slab");
constexpr int kGroupBlockSlabs = 2 * kMultiplyingGroups;
constexpr int kStoredAtOnce = 8;  // pairs of results whose arithmetic and reads overlap

// Registers of a lane: those that a block begins with are spread anew, in multiples of 8.
struct WideGroups {  // two sets of 96 sums
    static constexpr int kMostRows = kGroupRows, kBlocks = 1, kBringing = 56, kMultiplying = 224;
};
struct WidestGroups {  // one set of 128 sums, for products without spans
    static constexpr int kMostRows = 256, kBlocks = 1, kBringing = 72, kMultiplying = 216;
};
struct SmallGroups {  // of few rows: two blocks a unit decode more at a time
    static constexpr int kMostRows = kSmallGroupRows, kBlocks = 2, kBringing = 32, kMultiplying = 104;
};

template <bool kMxfp4, class Groups>
struct GroupBlock {
    static constexpr int kSlabs = kGroupBlockSlabs;
    static constexpr int kSlabBytes = kMxfp4 ? 1024 : 4096, kScaleBytes = kMxfp4 ? 4 * kTile : 0;  // of a depth step
    static constexpr int kRowBytes = group_stage_bytes(Groups::kMostRows);
    static constexpr int kStageBytes = kRowBytes + kSlabs * (kSlabBytes + kScaleBytes);
    static constexpr int kLdsBytes = kUnitLdsBytes / Groups::kBlocks - (Groups::kBlocks - 1) * 1024;
    static constexpr int kStages = kLdsBytes / (kStageBytes + 2 * int(sizeof(LdsBarrier)));
};

// Where a block's ring lies.
template <class Block>
struct GroupRing {
    char *rows, *weights, *scales;
    LdsBarrier *full, *empty;

    __device__ explicit GroupRing(char* lds) {
        rows = lds;
        weights = rows + Block::kStages * Block::kRowBytes;
        scales = weights + Block::kStages * Block::kSlabs * Block::kSlabBytes;
        full = reinterpret_cast<LdsBarrier*>(scales + Block::kStages * Block::kSlabs * Block::kScaleBytes);
        empty = full + Block::kStages;
    }
    __device__ char* rows_of(int stage) const { return rows + stage * Block::kRowBytes; }
    __device__ char* weights_of(int stage) const { return weights + stage * Block::kSlabs * Block::kSlabBytes; }
    __device__ char* scales_of(int stage) const { return scales + stage * Block::kSlabs * Block::kScaleBytes; }
};

// The block's next tile of rows, and which slabs of the matrix.
template <class Problem, class Block>
struct GroupWork {
    const Problem& problem;
    int n_slab_blocks, max_rows, item;
    Rows rows;
    int first_slab;

    // False: there is none.
    __device__ bool look() {
        first_slab = item % n_slab_blocks * Block::kSlabs;
        return problem.tile(item / n_slab_blocks, max_rows, rows);
    }
    __device__ void next() { item += int(gridDim.x); }
};

// A lane of the group that brings.
template <class Problem, class Groups>
struct GroupBringer {
    using Block = GroupBlock<Problem::kMxfp4, Groups>;
    static constexpr int kLanes = kGroupWaveCount * 32, kRowsAtOnce = kLanes / 8;  // a row is 8 units of 16 bytes
    static constexpr int kSlabUnits = Block::kSlabBytes / 16;
    static constexpr int kSlabsAtOnce = kLanes > kSlabUnits ? kLanes / kSlabUnits : 1;
    static constexpr int kSlabPointers = Block::kSlabs / kSlabsAtOnce, kOfSlab = kSlabUnits * kSlabsAtOnce / kLanes;
    static constexpr int kUnrolledSteps = 4;  // their places are constants in the instructions

    const Problem& problem;
    const GemmShape& shape;
    const GroupRing<Block>& ring;
    const int lane;  // of the group
    Turn<Block::kStages> turn;

    // N rows, of which those past the tile's last are copies of it.
    template <int N>
    __device__ void tile(const Rows& rows, int first_slab) {
        const int unit = lane % 8, row = lane / 8;
        const bf16* x[N / kRowsAtOnce];
#pragma unroll
        for (int i = 0; i < N / kRowsAtOnce; i++) {
            const int m = row + i * kRowsAtOnce;
            x[i] = problem.x(rows, m < rows.n ? m : rows.n - 1) + 8 * unit;
        }
        // Past the matrix the last slab comes again: it is multiplied and never stored.
        const auto slab = [&](int s) { return first_slab + s < shape.n_slabs ? first_slab + s : shape.n_slabs - 1; };
        const Run* weights[kSlabPointers];
#pragma unroll
        for (int i = 0; i < kSlabPointers; i++)
            weights[i] = problem.tiles(rows, slab(i * kSlabsAtOnce + lane / kSlabUnits)) + lane % kSlabUnits;
        const bool has_scales = Problem::kMxfp4 && lane < Block::kSlabs * 4;  // 4 units a slab
        const uint32_t* scales = has_scales ? problem.scales(rows, slab(lane / 4)) + lane % 4 * 4 : nullptr;

        for (int first = 0; first < shape.n_steps; first += kUnrolledSteps) {
#pragma unroll
            for (int i = 0; i < N / kRowsAtOnce; i++) hold_pointer(x[i]);
#pragma unroll
            for (int i = 0; i < kSlabPointers; i++) hold_pointer(weights[i]);
#pragma unroll
            for (int step = 0; step < kUnrolledSteps; step++) {
                if (first + step >= shape.n_steps) break;
                ring.empty[turn.stage].wait(turn.parity ^ 1);
                char* const to = stage_unit(ring.rows_of(turn.stage), row, unit);
#pragma unroll
                for (int i = 0; i < N / kRowsAtOnce; i++)
                    copy_run(to + i * kRowsAtOnce * 128, x[i] + kDepthStep * step);
                char* const to_weights = ring.weights_of(turn.stage) + 16 * lane;
#pragma unroll
                for (int i = 0; i < kSlabPointers; i++)
#pragma unroll
                    for (int j = 0; j < kOfSlab; j++)
                        copy_run(to_weights + (i * kOfSlab + j) * kLanes * 16,
                                 weights[i] + step * kSlabUnits + j * kLanes);
                if (has_scales) copy_run(ring.scales_of(turn.stage) + 16 * lane, scales + step * kTile);
                ring.full[turn.stage].arrive_with_copies();
                turn.next();
            }
#pragma unroll
            for (int i = 0; i < N / kRowsAtOnce; i++) x[i] += kDepthStep * kUnrolledSteps;
#pragma unroll
            for (int i = 0; i < kSlabPointers; i++) weights[i] += kSlabUnits * kUnrolledSteps;
            if (has_scales) scales += kTile * kUnrolledSteps;
        }
    }
};

// A wave of a group that multiplies.
template <class Problem, class Groups>
struct GroupMultiplier {
    using Block = GroupBlock<Problem::kMxfp4, Groups>;

    const Problem& problem;
    const GemmShape& shape;
    const GroupRing<Block>& ring;
    const int of_slabs, part, lane;  // which of the block's slabs, which part of it
    Turn<Block::kStages> turn;

    __device__ void release(int stage) {
        if (lane == 0) ring.empty[stage].arrive();
    }

    struct Packed {
        Run words;
        uint32_t scale;
    };
    __device__ Packed packed(int stage) const {
        Packed p;
        p.words = reinterpret_cast<const Run*>(ring.weights_of(stage) + of_slabs * Block::kSlabBytes)[32 * part + lane];
        p.scale = reinterpret_cast<const uint32_t*>(ring.scales_of(stage))[of_slabs * kTile + 8 * part + lane / 4];
        return p;
    }
    __device__ void decode(WeightFrag (&operand)[2], const Packed& p) const {
#pragma unroll
        for (int tile_k = 0; tile_k < 2; tile_k++) {
            uint32_t codes[kRuns], scales[kRuns];
#pragma unroll
            for (int r = 0; r < kRuns; r++) {
                codes[r] = p.words.pair[2 * tile_k + r];
                scales[r] = p.scale >> (8 * (2 * tile_k + r)) & 255;
            }
            operand[tile_k] = weight_frag_of(decode_mxfp4<false>(codes, scales, nullptr));
        }
    }
    __device__ void load(WeightFrag (&operand)[2], int stage) const {
        const Run* const of_slab = reinterpret_cast<const Run*>(ring.weights_of(stage) + of_slabs * Block::kSlabBytes);
#pragma unroll
        for (int tile_k = 0; tile_k < 2; tile_k++)
#pragma unroll
            for (int r = 0; r < kRuns; r++)
                operand[tile_k].run[r] = of_slab[(2 * tile_k + part) * kTileRuns + r * kHolders + lane];
    }

    // The products of N rows.
    template <int N>
    __device__ void multiply(float (&sum)[N / 2]) {
        GroupMma matrix;
        float of_span[Problem::kSpans ? N / 2 : 1] = {};
        float* const acc = Problem::kSpans ? of_span : sum;
        WeightFrag operand[2];
        int left_of_split = shape.steps_per_split, in_use = 0;
        bool add = false;
        for (int step = 0; step < shape.n_steps; step++) {
            ring.full[turn.stage].wait(turn.parity);
            see_copies();
            if constexpr (Problem::kMxfp4) {
                const Packed p = packed(turn.stage);
                matrix.template wait<0, N>(acc);  // the operands' registers are free, and the stage before
                decode(operand, p);
            } else {
                matrix.template wait<0, N>(acc);
                load(operand, turn.stage);
            }
            if (step > 0) release(in_use);
            in_use = turn.stage;
            turn.next();
            matrix.begin();
#pragma unroll
            for (int k16 = 0; k16 < 4; k16++)
                matrix.template multiply<N>(acc, operand[k16 / 2], k16 % 2, ring.rows_of(in_use), k16, add || k16 > 0);
            matrix.commit();
            add = true;
            if (Problem::kSpans && --left_of_split == 0 && step + 1 < shape.n_steps) {
                left_of_split = shape.steps_per_split;
                add = false;
                matrix.template wait<0, N>(acc);
#pragma unroll
                for (int i = 0; i < N / 2; i++) sum[i] += acc[i];
            }
        }
        matrix.template wait<0, N>(acc);
        release(in_use);
#pragma unroll
        for (int i = 0; i < N / 2; i++) sum[i] = (Problem::kSpans ? sum[i] : 0) + acc[i];
    }

    template <int N>
    __device__ void tile(const Rows& rows, int first_slab) {
        float sum[N / 2] = {};
        multiply<N>(sum);
        const int slab = first_slab + of_slabs;
        if (slab >= shape.n_slabs) return;
        const int col = group_pair(lane, 0).col + 8 * part;
        const auto place = problem.place(rows, slab, col);
        const float bias[2] = {problem.bias(rows, slab, 0, col), problem.bias(rows, slab, 1, col)};
#pragma unroll
        for (int first = 0; first < N / 4; first += kStoredAtOnce) {
            typename Problem::Prior prior[kStoredAtOnce];
            int asked[kStoredAtOnce];
#pragma unroll
            for (int i = 0; i < kStoredAtOnce; i++) {
                const int m = group_pair(lane, first + i).row;
                asked[i] = m < rows.n ? m : rows.n - 1;
            }
            problem.ask(prior, place, asked);
#pragma unroll
            for (int i = 0; i < kStoredAtOnce; i++) {
                const int m = group_pair(lane, first + i).row;
                const float a = sum[group_sum(first + i, 0)] + bias[0], b = sum[group_sum(first + i, 1)] + bias[1];
                const auto value = problem.value(a, b, prior[i]);
                if (m < rows.n) problem.put(place, m, value, prior[i]);
            }
        }
    }
};

// Tiles of N rows and then the smaller ones, until there are no more.
template <int N, class Worker, class Work>
__device__ void all_tiles(Worker& worker, Work& work) {
    for (; work.look(); work.next()) {
        if (work.rows.n <= N - kTileRowStep) break;
        worker.template tile<N>(work.rows, work.first_slab);
    }
    if constexpr (N > kTileRowStep) all_tiles<N - kTileRowStep>(worker, work);
}

template <class Problem, class Groups>
__global__ __launch_bounds__(kGroupThreads, Groups::kBlocks) void gemm_group_kernel(Problem problem, GemmShape shape,
                                                                                    int max_rows) {
    using Block = GroupBlock<Problem::kMxfp4, Groups>;
    GPU_LDS(lds);
    if constexpr (kGroupWaves > 0) {
        let_next_begin();
        const GroupRing<Block> ring(lds);
        if (threadIdx.x == 0)
            for (int s = 0; s < Block::kStages; s++) {
                ring.full[s].start(kGroupWaveCount * 32);
                ring.empty[s].start(kMultiplyingGroups * kGroupWaveCount);
            }
        block_sync();
        wait_for_previous();
        const int n_slab_blocks = (shape.n_slabs + Block::kSlabs - 1) / Block::kSlabs;
        GroupWork<Problem, Block> work = {problem, n_slab_blocks, max_rows, int(blockIdx.x), {}, 0};
        const int group = wave_id() / kGroupWaveCount, of_group = wave_id() % kGroupWaveCount;
        if (group == kMultiplyingGroups) {
            give_registers<Groups::kBringing>();
            GroupBringer<Problem, Groups> bringer = {problem, shape, ring, of_group * 32 + lane_id(), {}};
            all_tiles<Groups::kMostRows>(bringer, work);
            wait_copies();
        } else {
            take_registers<Groups::kMultiplying>();
            GroupMultiplier<Problem, Groups> multiplier = {problem,      shape,     ring, 2 * group + of_group / 2,
                                                           of_group % 2, lane_id(), {}};
            all_tiles<Groups::kMostRows>(multiplier, work);
        }
    }
}

// n_tiles: at most, of max_rows rows each.
template <class Groups, class Problem>
void launch_group(const Problem& problem, const GemmShape& shape, int max_rows, int n_tiles, gpu::Stream stream) {
    using Block = GroupBlock<Problem::kMxfp4, Groups>;
    GPU_REQUIRE(device_has_groups() && max_rows <= Groups::kMostRows && (Problem::kSpans || shape.n_splits == 1));
    const auto kernel = gemm_group_kernel<Problem, Groups>;
    const int n_items = n_tiles * ((shape.n_slabs + Block::kSlabs - 1) / Block::kSlabs);
    const int n_blocks = device_units() * Groups::kBlocks;
    GPU_LAUNCH_CHAINED(kernel, dim3(unsigned(n_items < n_blocks ? n_items : n_blocks)), dim3(kGroupThreads),
                       size_t(Block::kLdsBytes), stream, problem, shape, max_rows);
}
