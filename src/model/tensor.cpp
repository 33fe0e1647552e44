// tensor.cpp: what the views of model.h do. MXFP4 as in the OCP Microscaling specification 1.0: E2M1 codes, E8M0
// scales.
#include "model/tensor.h"

#include <cassert>
#include <cmath>

namespace {

constexpr float kE2M1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

float e8m0(uint8_t scale) {
    return scale == 255 ? NAN : std::ldexp(1.0f, scale - 127);
}

const void* advance(const void* data, int64_t n_bytes) {
    return static_cast<const uint8_t*>(data) + n_bytes;
}

template <class T, class ToFloat>
void decode_dense(const Matrix& w, int64_t o0, int64_t n_o, int64_t i0, int64_t n_i, float* out, int64_t stride_o,
                  int64_t stride_i, ToFloat to_float) {
    const T* data = static_cast<const T*>(w.data);
    if (w.transposed) {
        for (int64_t i = 0; i < n_i; i++) {
            const T* row = data + (i0 + i) * w.n_out + o0;
            for (int64_t o = 0; o < n_o; o++) out[o * stride_o + i * stride_i] = to_float(row[o]);
        }
        return;
    }
    for (int64_t o = 0; o < n_o; o++) {
        const T* row = data + (o0 + o) * w.n_in + i0;
        for (int64_t i = 0; i < n_i; i++) out[o * stride_o + i * stride_i] = to_float(row[i]);
    }
}

void decode_mxfp4(const Matrix& w, int64_t o0, int64_t n_o, int64_t i0, int64_t n_i, float* out, int64_t stride_o,
                  int64_t stride_i) {
    assert(i0 % kMxBlock == 0 && n_i % kMxBlock == 0);
    const auto* codes = static_cast<const uint8_t*>(w.data);
    for (int64_t o = 0; o < n_o; o++)
        for (int64_t i = 0; i < n_i; i += kMxBlock) {
            const int64_t block = ((o0 + o) * w.n_in + i0 + i) / kMxBlock;
            const float scale = e8m0(w.scales[block]);
            float* to = out + o * stride_o + i * stride_i;
            for (int64_t b = 0; b < kMxBlockBytes; b++) {
                const uint8_t byte = codes[block * kMxBlockBytes + b];
                to[2 * b * stride_i] = kE2M1[byte & 15] * scale;
                to[(2 * b + 1) * stride_i] = kE2M1[byte >> 4] * scale;
            }
        }
}

}  // namespace

void decode(const Matrix& w, int64_t o0, int64_t n_o, int64_t i0, int64_t n_i, float* out, int64_t stride_o,
            int64_t stride_i) {
    assert(o0 >= 0 && i0 >= 0 && o0 + n_o <= w.n_out && i0 + n_i <= w.n_in);
    switch (w.dtype) {
        case DType::kF32:
            return decode_dense<float>(w, o0, n_o, i0, n_i, out, stride_o, stride_i, [](float f) { return f; });
        case DType::kBF16:
            return decode_dense<bf16>(w, o0, n_o, i0, n_i, out, stride_o, stride_i, [](bf16 h) { return to_f32(h); });
        case DType::kF16:
            return decode_dense<f16>(w, o0, n_o, i0, n_i, out, stride_o, stride_i, [](f16 h) { return to_f32(h); });
        case DType::kMXFP4:
            return decode_mxfp4(w, o0, n_o, i0, n_i, out, stride_o, stride_i);
    }
}

Vector Vector::slice(int64_t begin, int64_t count) const {
    assert(begin >= 0 && count >= 0 && begin + count <= n);
    return {dtype, count, data ? advance(data, begin * element_bytes(dtype)) : nullptr};
}

int64_t Matrix::bytes() const {
    const int64_t n = n_out * n_in;
    return dtype == DType::kMXFP4 ? n / kMxBlock * (kMxBlockBytes + 1) : n * element_bytes(dtype);
}

Matrix Matrix::rows(int64_t begin, int64_t count) const {
    assert(!transposed && begin >= 0 && count >= 0 && begin + count <= n_out);
    Matrix part = *this;
    part.n_out = count;
    if (dtype == DType::kMXFP4) {
        const int64_t n_blocks = begin * n_in / kMxBlock;
        part.data = advance(data, n_blocks * kMxBlockBytes);
        part.scales = scales + n_blocks;
    } else {
        part.data = advance(data, begin * n_in * element_bytes(dtype));
    }
    return part;
}

void Matrix::row(int64_t o, float* out) const {
    decode(*this, o, 1, 0, n_in, out, 0, 1);
}

float Matrix::at(int64_t o, int64_t i) const {
    assert(o >= 0 && o < n_out && i >= 0 && i < n_in);
    const int64_t index = transposed ? i * n_out + o : o * n_in + i;
    if (dtype == DType::kF32) return static_cast<const float*>(data)[index];
    if (dtype == DType::kBF16) return to_f32(static_cast<const bf16*>(data)[index]);
    if (dtype == DType::kF16) return to_f32(static_cast<const f16*>(data)[index]);
    const uint8_t byte = static_cast<const uint8_t*>(data)[index / 2];
    return kE2M1[index % 2 ? byte >> 4 : byte & 15] * e8m0(scales[index / kMxBlock]);
}

Matrix ExpertMatrices::operator[](int e) const {
    assert(e >= 0 && e < n_experts);
    Matrix expert = first;
    const int64_t n = int64_t(e) * first.n_out * first.n_in;
    if (first.dtype == DType::kMXFP4) {
        expert.data = advance(first.data, n / 2);
        expert.scales = first.scales + n / kMxBlock;
    } else {
        expert.data = advance(first.data, n * element_bytes(first.dtype));
    }
    return expert;
}
