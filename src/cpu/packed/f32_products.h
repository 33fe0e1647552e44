// f32_products.h: the products of bf16 weights in sets that have better instructions for MXFP4 weights only: those of
// src/cpu/f32, which round nothing. A panel is rows of padded(n_in) floats.
//
// For the anonymous namespace see scratch.h.
#pragma once
#include <cstring>

#include "cpu/linear.h"

namespace {

inline void pack_floats(std::byte* panel, const float* const* x, int n, int64_t n_in, int64_t first,
                        int64_t n_columns) {
    for (int i = 0; i < n; i++) {
        float* const to = reinterpret_cast<float*>(panel) + i * padded(n_in) + first;
        std::memcpy(to, x[i], size_t(n_columns) * sizeof(float));
        for (int64_t k = n_columns; k < padded(n_columns); k++) to[k] = 0;
    }
}

inline void dot_floats(const Kernels& kernels, float* y, int64_t y_stride, const std::byte* x, int64_t n_tok,
                       const Matrix& w, const float* bias, int64_t o0, int64_t o1) {
    multiply(kernels, y, y_stride, reinterpret_cast<const float*>(x), padded(w.n_in), n_tok, w, o0, o1);
    for (int64_t t = 0; t < n_tok; t++)
        for (int64_t o = 0; o < o1 - o0; o++) y[t * y_stride + o] += bias[o];
}

}  // namespace
