// product_case.h: what tests of products share: a shape with the reason for it, and a weight matrix of made-up values.
#pragma once

#include <vector>

#include "cpu/isa.h"
#include "noise.h"

struct ProductCase {
    int64_t n_tok, n_out, n_in;
    const char* why;
};

// A weight matrix [n_out, n_in] of any dtype with its storage; MXFP4 wants n_in % 32 == 0.
struct MadeUpWeights {
    std::vector<float> f32;
    std::vector<bf16> half;
    std::vector<uint8_t> blocks, scales;
    Matrix matrix;

    MadeUpWeights(DType dtype, int64_t n_out, int64_t n_in) {
        matrix.dtype = dtype;
        matrix.n_out = n_out;
        matrix.n_in = n_in;
        const auto n = size_t(n_out * n_in);
        if (dtype == DType::kF32) {
            for (size_t i = 0; i < n; i++) f32.push_back(noise(1, i));
            matrix.data = f32.data();
        } else if (dtype == DType::kBF16) {
            for (size_t i = 0; i < n; i++) half.push_back(to_bf16(noise(1, i)));
            matrix.data = half.data();
        } else {
            for (size_t i = 0; i < n / 2; i++) blocks.push_back(uint8_t(127 + 128 * noise(1, i)));
            for (size_t i = 0; i < n / 32; i++) scales.push_back(uint8_t(125 + 3 * noise(2, i)));
            matrix.data = blocks.data();
            matrix.scales = scales.data();
        }
    }
};
