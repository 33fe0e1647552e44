// mma_plain_weights.h: for targets whose instruction takes weights like any other operand: a slab's operands are its
// tiles.
#pragma once

using WeightFrag = Frag;
__device__ constexpr SlabRun slab_run(int part, int r) {
    return {part, r};
}
__device__ constexpr InSlab weight_pair_at(int lane, int part, int r, int j) {
    return {part, frag_at(lane, r).row, frag_at(lane, r).col + 2 * j};
}
__device__ constexpr At product_at(int lane, int i) {
    return acc_at(lane, i);
}
__device__ inline float pair_sum(const Acc (&acc)[2], int i, int tile) {
    return acc[tile].v[i];
}
__device__ inline WeightFrag weight_frag_of(const Frag& f) {
    return f;
}
template <int = kTile>
__device__ inline void mma_weights(Acc& acc, const Frag& x, const WeightFrag& w) {
    mma(acc, x, w);
}
