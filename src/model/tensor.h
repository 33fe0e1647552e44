// tensor.h: weights as floats, a rectangle at a time, for exporting.
#pragma once
#include "model.h"

// Decodes elements (o, i) of w, o in [o0, o0 + n_o) and i in [i0, i0 + n_i), to
// out[(o - o0) · stride_o + (i - i0) · stride_i]. For MXFP4, i0 and n_i must be multiples of kMxBlock.
void decode(const Matrix& w, int64_t o0, int64_t n_o, int64_t i0, int64_t n_i, float* out, int64_t stride_o,
            int64_t stride_i);

constexpr int64_t kMxBlock = 32;       // elements that share a scale
constexpr int64_t kMxBlockBytes = 16;  // of codes

constexpr int64_t element_bytes(DType dtype) {
    return dtype == DType::kF32 ? 4 : 2;
}  // not of MXFP4
