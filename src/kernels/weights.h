// weights.h: a wave's view of one slab of packed weights: what it loads for a step of 64 k, and the operands in it.
#pragma once
#include "gpu/mxfp4.h"
#include "kernels.h"

template <bool kMxfp4>
struct SlabStep;  // registers of one lane for one depth step

template <>
struct SlabStep<false> {
    Run run[4 * kRuns];

    // tiles: the slab's.
    __device__ void load(const Run* tiles, const uint32_t* /*scales*/, int step, int lane) {
        const Run* from = tiles + int64_t(step) * 4 * kTileRuns + lane % kHolders;
#pragma unroll
        for (int i = 0; i < 4 * kRuns; i++) run[i] = from[i * kHolders];
    }
    // The operand of tile_k (0, 1) and part (0, 1).
    template <bool kFromTables = false>
    __device__ WeightFrag frag(int tile_k, int part, const char* /*tables*/ = nullptr) const {
        WeightFrag f;
#pragma unroll
        for (int r = 0; r < kRuns; r++) f.run[r] = run[(2 * tile_k + part) * kRuns + r];
        return f;
    }
};

template <>
struct SlabStep<true> {
    Run words[kRuns];  // 8 codes a word, see pack.hip
    uint32_t scale[kFragRows];

    __device__ void load(const Run* tiles, const uint32_t* scales, int step, int lane) {
        const Run* from = tiles + int64_t(step) * 64 + lane % kHolders;
#pragma unroll
        for (int i = 0; i < kRuns; i++) words[i] = from[i * kHolders];
#pragma unroll
        for (int i = 0; i < kFragRows; i++) scale[i] = scales[int64_t(step) * kTile + frag_at(lane, i).row];
    }
    // tables: see make_decode_tables.
    template <bool kFromTables = false>
    __device__ WeightFrag frag(int tile_k, int part, const char* tables = nullptr) const {
        uint32_t codes[kRuns], scales[kRuns];
#pragma unroll
        for (int r = 0; r < kRuns; r++) {
            const SlabRun from = slab_run(part, r);
            const int w = (2 * part + tile_k) * kRuns + r, of_row = 8 * (2 * tile_k + from.tile);
            codes[r] = words[w / 4].pair[w % 4];
            scales[r] = scale[from.run % kFragRows] >> of_row & 255;
        }
        return weight_frag_of(decode_mxfp4<kFromTables>(codes, scales, tables));
    }
};

// How many runs of 16 bytes, and how many scales, a slab of n_steps depth steps has.
template <bool kMxfp4>
__device__ constexpr int64_t slab_runs(int n_steps) {
    return int64_t(n_steps) * (kMxfp4 ? 64 : 4 * kTileRuns);
}
__device__ constexpr int64_t slab_scales(int n_steps) {
    return int64_t(n_steps) * kTile;
}
