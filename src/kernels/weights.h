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
    // Tile of k (0, 1) and of rows (0, 1).
    __device__ WeightFrag frag(int tile_k, int tile) const {
        WeightFrag f;
#pragma unroll
        for (int r = 0; r < kRuns; r++) f.run[r] = run[(2 * tile_k + tile) * kRuns + r];
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
    __device__ WeightFrag frag(int tile_k, int tile) const {
        Frag f;
#pragma unroll
        for (int r = 0; r < kRuns; r++) {
            const int w = (2 * tile_k + tile) * kRuns + r;
            f.run[r] = decode_mxfp4(words[w / 4].pair[w % 4], scale[r % kFragRows] >> (8 * (2 * tile_k + tile)) & 255);
        }
        return weight_frag_of(f);
    }
};

// The same for a wave that has one of a slab's two tiles, on devices whose lanes hold two runs of a tile.
template <bool kMxfp4>
struct TileStep;

template <>
struct TileStep<false> {
    Run run[2][kRuns];  // by tile of k

    __device__ void load(const Run* tiles, const uint32_t* /*scales*/, int step, int tile, int lane) {
        const Run* from = tiles + int64_t(step) * 4 * kTileRuns + tile * kTileRuns + lane;
#pragma unroll
        for (int tile_k = 0; tile_k < 2; tile_k++)
#pragma unroll
            for (int r = 0; r < kRuns; r++) run[tile_k][r] = from[2 * tile_k * kTileRuns + r * kHolders];
    }
    __device__ WeightFrag frag(int tile_k) const {
        WeightFrag f;
#pragma unroll
        for (int r = 0; r < kRuns; r++) f.run[r] = run[tile_k][r];
        return f;
    }
};

template <>
struct TileStep<true> {
    struct alignas(8) Codes {
        uint32_t of_run[2];
    } codes[2];  // by tile of k
    uint32_t scale[kFragRows];

    __device__ void load(const Run* tiles, const uint32_t* scales, int step, int tile, int lane) {
        const auto* from = reinterpret_cast<const Codes*>(tiles + int64_t(step) * 64 + lane) + tile;
#pragma unroll
        for (int tile_k = 0; tile_k < 2; tile_k++) codes[tile_k] = from[2 * kHolders * tile_k];
#pragma unroll
        for (int i = 0; i < kFragRows; i++)
            scale[i] = scales[int64_t(step) * kTile + frag_at(lane, i).row] >> (8 * tile);
    }
    __device__ WeightFrag frag(int tile_k) const {
        Frag f;
#pragma unroll
        for (int r = 0; r < kRuns; r++)
            f.run[r] = decode_mxfp4(codes[tile_k].of_run[r], scale[r % kFragRows] >> (16 * tile_k) & 255);
        return weight_frag_of(f);
    }
};

// Runs of 16 bytes that a slab of n_steps depth steps takes, and scales.
template <bool kMxfp4>
__device__ constexpr int64_t slab_runs(int n_steps) {
    return int64_t(n_steps) * (kMxfp4 ? 64 : 4 * kTileRuns);
}
__device__ constexpr int64_t slab_scales(int n_steps) {
    return int64_t(n_steps) * kTile;
}
