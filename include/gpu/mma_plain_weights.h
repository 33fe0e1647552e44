// mma_plain_weights.h: for targets whose instruction takes weights as it takes any other operand.
#pragma once

using WeightFrag = Frag;
__device__ constexpr At weight_pair_at(int lane, int r, int j) {
    return {frag_at(lane, r).row, frag_at(lane, r).col + 2 * j};
}
__device__ constexpr At product_at(int lane, int i) {
    return acc_at(lane, i);
}
__device__ inline WeightFrag weight_frag_of(const Frag& f) {
    return f;
}
__device__ inline void mma_weights(Acc& acc, const Frag& x, const WeightFrag& w) {
    mma(acc, x, w);
}
