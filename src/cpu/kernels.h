// kernels.h: the inner loops that the CPU path is made of, one set of them for each instruction set.
//
// How a product travels from the model to an instruction: moe.cpp and cpu_replica.cpp ask for y = x Wᵀ + b; linear.cpp
// cuts it into tasks of 64 output features and hands them to threads; a task calls one of the functions below for its
// rows of W and all tokens. There are two ways to compute it, with a folder each. f32/ multiplies f32 tokens (Kernels):
// one loop, loops.h, over a vector type for each instruction set. packed/ multiplies tokens that were rounded and
// re-ordered once before the product (PackedKernels), in the form that one instruction wants: bf16 pairs for AMX; for
// AVX2 and AVX-512 whole numbers, if weights are MXFP4. kernels.cpp finds out which sets this CPU has.
//
// Every sum runs in an order that the shape of one row fixes. In f32: L partial sums, element k in sum k % L, then a
// fixed tree, where L is the floats of a register (4 with NEON, 8 with AVX2, else 16). How many tokens or rows are
// computed together changes nothing, bit for bit.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model.h"

// Columns are padded with zeros to a multiple of this, so that inner loops read whole blocks.
constexpr int kBlock = 32;
constexpr int64_t padded(int64_t n) {
    return (n + kBlock - 1) / kBlock * kBlock;
}

// Rows per panel of packed tokens; the last panel of a product may hold fewer.
constexpr int kPanelRows = 16;
// Most packed tokens in one product: 128 × 2880 in bf16 are 0.7 MB, which stay in L2 while the weights pass.
constexpr int64_t kPackedRowsAtOnce = 128;

// The work of one PackedKernels::attend: up to kPanelRows queries of one KV head and one sequence.
struct AttentionTile {
    int n = 0;                   // queries
    const float* q[kPanelRows];  // (P) each, rotated
    float* out[kPanelRows];      // (P) each
    int first[kPanelRows];       // positions that a query sees: [first, last]
    int last[kPanelRows];
    float sink[kPanelRows];
    int head_dim = 0;                                         // P
    int first_pos = 0;                                        // of the first page
    std::vector<const bf16*> keys;                            // pages: (kPagePositions, padded(P))
    std::vector<const bf16*> values;                          // pages: (padded(P), kPagePositions), transposed
    const bf16 *next_keys = nullptr, *next_values = nullptr;  // the next tile's first pages, to be prefetched
};

// Products of packed tokens, for --precision bf16 on sets that have instructions for them. Tokens are rounded once, to
// bf16 or finer; sums are f32, in an order that the shape of one row fixes. (Sets differ from each other in last bits.)
// Each set chooses what its panels hold: pairs of bf16, whole numbers with scales, or floats.
struct PackedKernels {
    // Rounds columns [first, first + n_columns) of n <= kPanelRows rows, which begin at x[i], and stores them in a
    // panel of width · padded(n_in) / kBlock · block_bytes bytes, in the order in which `dot` reads them with weights
    // of that type. first is a multiple of kBlock; with the last columns comes the padding. width: n if there is only
    // one panel, else kPanelRows.
    void (*pack)(std::byte* panel, const float* const* x, int n, int width, int64_t n_in, int64_t first,
                 int64_t n_columns, DType weights);

    // y[t][o - o0] = Σ_k x[t][k] w[o][k] + bias[o - o0] for o in [o0, o1), t in [0, n_tok), n_tok <= kPackedRowsAtOnce.
    // x: the tokens' panels, one after the other, 64-byte aligned. w: bf16, also transposed, or MXFP4.
    void (*dot)(float* y, int64_t y_stride, const std::byte* x, int64_t n_tok, const Matrix& w, const float* bias,
                int64_t o0, int64_t o1);

    // out[f] = clamped SwiGLU of gate up[2f] and linear half up[2f + 1], f in [0, n).
    void (*swiglu)(float* out, const float* up, int64_t n, float limit, float alpha);

    // Softmax over the sink and the keys that each query sees, times the values. Null: attention.cpp computes it, and
    // values are stored as keys are.
    void (*attend)(const AttentionTile& tile);

    int block_bytes;  // bytes that kBlock columns of a row take in a panel
};

struct Kernels {
    const char* name;
    const char* flag;  // --cpu-isa

    // Puts x (n) into the order in which `dot` reads it with weights of that type. For MXFP4, each block of 32 is
    // re-ordered.
    void (*arrange)(float* out, const float* x, int64_t n, DType weights);

    // y[t][o - o0] = Σ_k x[t][k] w[o][k] for o in [o0, o1), t in [0, n_tok). x rows are padded to kBlock with zeros.
    // x is arranged for w's type. Not for a transposed matrix.
    void (*dot)(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok, const Matrix& w,
                int64_t o0, int64_t o1);

    // y[t][c] += Σ_k x[t][k] w[k][c], k ascending, for c in [0, n_cols). w rows are w_stride elements of dtype apart.
    void (*accumulate)(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok, DType dtype,
                       const void* w, int64_t w_stride, int64_t n_k, int64_t n_cols);

    const PackedKernels* packed;  // null: --precision bf16 rounds tokens and multiplies them as f32
};

// The sets of this program that this CPU can run, the fastest first. The order is fixed and not measured, since sets
// differ in last bits, and one machine should always give the same answers. The last is portable C++.
const std::vector<const Kernels*>& available_kernels();
// The one that --cpu-isa names; "": the best. Throws Error if this CPU does not have it.
const Kernels& kernels_for(const std::string& flag);

extern const Kernels kAvx512Kernels, kAvx2Kernels, kNeonKernels, kPortableKernels;
extern const PackedKernels kAmxProducts, kAvx512Bf16Products, kAvx512VnniProducts, kAvx2Products;
