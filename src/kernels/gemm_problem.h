// gemm_problem.h: the input of the matrix-product kernels (gemm_few.h, gemm_many.h, gemm_group.h): shapes, rows, and
// what a Problem is.
//
// All of them sum in the same order, so that a token's result does not depend on how many other tokens there are. k is
// cut into n_splits spans, which the shape alone fixes. Within a span, the matrix core adds 32 k at a time in ascending
// order; then the spans' sums are added in ascending order.
//
// A Problem says what is multiplied:
//   kMxfp4                                  whether the weights are MXFP4
//   kFixedTiles                             whether tile() and weights are known before the kernel ahead is done
//   kSpans                                  whether k is cut into spans
//   kNorms                                  whether the block itself makes the activations, of rows of f32: then there
//                                           are input (RowsToNorm) in place of x(), at most 16 rows, and fixed tiles
//   bool tile(int index, int max_rows, Rows&)   the index-th group of rows (tokens); false: there is none
//   const bf16* x(const Rows&, int m)       row m's activations (Kp)
//   const Run* tiles(const Rows&, int slab), const uint32_t* scales(const Rows&, int slab)
//   float bias(const Rows&, int slab, int tile, int col)   of row `col` of one of the slab's two tiles; 0 past the
//                                           matrix
//   Place place(const Rows&, int slab, int col)   where the results of row `col` of the slab's two tiles belong; made
//                                           once for all m
//   void ask<n>(Prior (&)[n], const Place&, const int (&m)[n])   reads what is needed to store the results of n rows
//   Value value(float first, float second, const Prior&)     what to store for the two results, which include the bias
//   void put(const Place&, int m, const Value&, const Prior&)   stores it
#pragma once
#include "gpu/mma.h"
#include "kernels.h"

// Some rows of activations that are multiplied with the same weights.
struct Rows {
    int first = 0, n = 0;
    int expert = 0;
};

struct Nothing {};  // a Prior
struct alignas(8) Pair {
    float first, second;
};

template <class Problem>
__device__ void store(const Problem& problem, const Rows& rows, int slab, int m, int col, float first, float second) {
    const auto place = problem.place(rows, slab, col);
    const int rows_of_one[1] = {m};
    typename Problem::Prior prior[1];
    problem.ask(prior, place, rows_of_one);
    problem.put(place, m, problem.value(first, second, prior[0]), prior[0]);
}

// Each lane's bias, that of one of the slab's 32 rows; lanes past 31 repeat them. It is loaded with the first weights:
// after the last sum, the wave would have to wait for it.
template <class Problem>
__device__ float slab_bias(const Problem& problem, const Rows& rows, int slab, int lane) {
    return problem.bias(rows, slab, lane % kSlabRows / kTile, lane % kTile);
}

struct GemmShape {
    int n_slabs;
    int n_steps;          // depth steps of 64 k
    int steps_per_split;  // the length of spans; the last may be shorter
    int n_splits;
};

constexpr int kMostSplits = 8;

inline GemmShape gemm_shape(const PackedMatrix& w, int n_splits) {
    GPU_REQUIRE(n_splits <= kMostSplits);
    const int n_steps = round_up(w.n_in, kDepthStep) / kDepthStep;
    const int per_split = (n_steps + n_splits - 1) / n_splits;
    return {n_slabs(w), n_steps, per_split, (n_steps + per_split - 1) / per_split};
}
