// mma.h: one vocabulary for matrix cores. acc (16 rows, 16 cols) += a (16 rows, 32 k) · b (16 cols, 32 k)ᵀ, bf16 in,
// f32 out; both operands have k innermost, as activations (T, D) and weights (n_out, n_in) have.
//
//   kWave             lanes of a wave
//   Run               8 consecutive k of one row: 16 bytes, one load
//   Frag              a lane's share of an operand tile of 16 × 32: kRuns runs. The first kHolders lanes hold different
//                     runs, the other lanes repeat them
//   frag_at(lane, r)  the (row, first k) of a lane's run r. A lane holds kFragRows rows; run r is in its row
//                     r % kFragRows
//   Acc               a lane's share of the result: kAcc elements
//   acc_at(lane, i)   the (row, col) of a lane's element i. A lane holds kAccRows rows, element i is in its row
//                     acc_row(i)
//   row_max, row_sum  combine a value over the lanes that hold a row, in a fixed order
//   mma(acc, a, b)    the instruction; every lane of the wave must call it
//   kAskedInOrder     whether kernels should issue loads in the order in which they need them: a wait for one load is
//                     then a wait for all that the wave issued before it, and lanes have registers to load early
//   frag_of(c0, c1)   makes results of two tiles side by side, rounded, an operand with 32 k. Column c becomes
//                     k = k_slot(c), so the other operand must be stored in that order
//
// Weights come as slabs of 32 rows: two tiles, multiplied as two operands (parts). A lane gets the results of the same
// column of both tiles:
//   slab_run(part, r)  the (tile, run) of the slab that is run r of the operand `part`
//   WeightFrag         one of the operands; weight_frag_of makes it from a Frag of those runs. A lane's registers hold
//                      weight_pair_at(lane, part, r, j): tile, row and first k of pair j of run r
//   mma_weights<n>(acc[part], x, w)   like mma; only the first n rows of x matter, 8 or 16. pair_sum(acc, i, tile),
//                      i < kAcc, is the result for column product_at(lane, i).col of the tile and row
//                      product_at(lane, i).row of x
//
// A packed tile holds 16 × 32 elements as 64 runs in the order of run_at(0..63), so that a wave reads it with the
// fewest, widest, contiguous loads. run_index(row, k) is the inverse: the number of the run that begins at (row, k).
#pragma once
#include "gpu/convert.h"
#include "gpu/platform.h"
#ifdef GPU_EMULATE
#include "emu/isa.h"  // tests/: the instructions themselves
#endif

struct At {
    int row, col;  // col is k in an operand
};

struct alignas(16) Run {
    uint32_t pair[4];  // k and k + 1, the first in the lower half
};

struct InSlab {
    int tile, row, k;
};
struct SlabRun {
    int tile, run;
};

constexpr int kTile = 16;       // rows of an operand, rows and columns of a result
constexpr int kTileDepth = 32;  // k of an operand: one MXFP4 block
constexpr int kTileRuns = 64;

#if defined(GPU_EMULATE_CDNA) || defined(__gfx90a__) || defined(__gfx942__)
#include "gpu/mma_cdna.h"
#elif defined(GPU_EMULATE_RDNA3) || defined(__GFX11__)
#include "gpu/mma_rdna3.h"
#elif defined(GPU_EMULATE_SM80) || (defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800)
#include "gpu/mma_sm80.h"
#elif defined(GPU_EMULATE) || defined(__HIP_DEVICE_COMPILE__) || defined(__CUDA_ARCH__)
#error "mma.h: no matrix-core layout for this target; add include/gpu/mma_<target>.h"
#else
#include "gpu/mma_host_pass.h"  // host pass of hipcc and nvcc: names only, never executed
#endif

static_assert(kHolders * kRuns == kTileRuns || kWave == 1, "a tile's runs are held once");

// Run idx of a packed tile: lane idx % kHolders, its run idx / kHolders.
__device__ constexpr At run_at(int idx) {
    return frag_at(idx % kHolders, idx / kHolders);
}

__device__ inline Frag load_frag(const Run* packed_tile, int lane) {
    Frag f;
#pragma unroll
    for (int r = 0; r < kRuns; r++) f.run[r] = packed_tile[r * kHolders + lane % kHolders];
    return f;
}
