// isa.h: the inner loops that the CPU path is made of, one set of them for each instruction set.
//
// Every sum runs in an order that the shape of one row fixes: 16 partial sums, element k in sum k % 16, then a fixed tree.
// How many tokens or rows are computed together changes nothing, bit for bit; AVX2 and AVX-512 agree bit for bit too.
#pragma once
#include <cstdint>
#include <vector>

#include "model.h"

// Columns are padded with zeros to a multiple of this, so that inner loops read whole blocks.
constexpr int kBlock = 32;
constexpr int64_t padded(int64_t n) {
    return (n + kBlock - 1) / kBlock * kBlock;
}

struct Kernels {
    const char* name;

    // y[t][o - o0] = Σ_k x[t][k] w[o][k] for o in [o0, o1), t in [0, n_tok). x rows are padded to kBlock with zeros.
    // For MXFP4 weights each block of 32 in x holds its even elements first, then its odd ones: deinterleave().
    // Not for a transposed matrix.
    void (*dot)(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok, const Matrix& w,
                int64_t o0, int64_t o1);

    // y[t][c] += Σ_k x[t][k] w[k][c], k ascending, for c in [0, n_cols). w rows are w_stride elements of dtype apart.
    void (*accumulate)(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok, DType dtype,
                       const void* w, int64_t w_stride, int64_t n_k, int64_t n_cols);
};

// The sets this program has and this CPU can run, best first. The last is portable C++.
const std::vector<const Kernels*>& available_kernels();

// The order in which MXFP4 dot products read x: (n) → (n), n a multiple of 32.
void deinterleave(float* out, const float* x, int64_t n);

extern const Kernels kAvx512Kernels, kAvx2Kernels, kPortableKernels;
