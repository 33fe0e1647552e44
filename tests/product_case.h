// product_case.h: what tests of products share: a shape with the reason for it, and a weight matrix of made-up values.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "cpu/kernels.h"
#include "noise.h"

struct ProductCase {
    int64_t n_tok, n_out, n_in;
    const char* why;
};

// A weight matrix [n_out, n_in] of any dtype with its storage; MXFP4 wants n_in % 32 == 0.
struct MadeUpWeights {
    std::vector<float> f32;
    std::vector<bf16> half;
    std::vector<f16> half16;
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
        } else if (dtype == DType::kF16) {  // of both signs, from 2^-9 to 2
            for (size_t i = 0; i < n; i++) {
                const float value = noise(1, i);
                half16.push_back({uint16_t((value < 0 ? 0x8000 : 0) + 0x1800 + 0x27ff * std::fabs(value))});
            }
            matrix.data = half16.data();
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

// Calls work(w, at, want, what) for every MXFP4 code under every scale that can occur: w is one row of 32 columns,
// zeros but for column `at`, whose value is `want`.
template <class F>
void for_each_mxfp4_value(F&& work) {
    const float values[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0f, -0.5, -1, -1.5, -2, -3, -4, -6};
    for (int scale = 0; scale < 255; scale++)
        for (int code = 0; code < 16; code++) {
            uint8_t blocks[16] = {};
            const int at = (code * 7 + scale) % 32;  // each place in the block gets its turn
            blocks[at / 2] = uint8_t(at % 2 ? code << 4 : code);
            const auto scale_byte = uint8_t(scale);
            Matrix w;
            w.dtype = DType::kMXFP4;
            w.n_out = 1;
            w.n_in = 32;
            w.data = blocks;
            w.scales = &scale_byte;
            work(w, at, float(std::ldexp(double(values[code]), scale - 127)),
                 "code " + std::to_string(code) + " scale " + std::to_string(scale));
        }
}
