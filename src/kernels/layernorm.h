// layernorm.h: GPT-2's norm of a row by one wave, for layernorm.hip and for products that norm their input.
//
// Both sums are in f32: a lane's quads in order, then pairwise over the wave, so that a row's bits depend on the row
// alone. A lane adds at most 13 quads of 1600 values, so that the mean is wrong by at most (13 + 2 + 5) · 2^-24 of the
// mean magnitude, and the squares, none of which is negative, by (4 · 13 + 5) · 2^-24 = 4e-6 of their sum: far below
// the 2^-8 of rounding to bf16.
#pragma once
#include "kernels.h"
#include "quad.h"

// Gain and bias in LDS, for all waves of the block. They are loaded while the kernel ahead still runs.
struct StagedNorm {
    const Quad *gain, *bias;
    int n_quads;  // of a row
    float eps;

    static constexpr int bytes(int hidden_dim) { return 2 * hidden_dim * int(sizeof(float)); }
    // Called by all threads of the block, and followed by a block_sync() before the first row.
    __device__ StagedNorm(char* lds, const LayerNormParams& norm)
        : gain(reinterpret_cast<Quad*>(lds)),
          bias(gain + norm.hidden_dim / 4),
          n_quads(norm.hidden_dim / 4),
          eps(norm.eps) {
        auto* const to = reinterpret_cast<Quad*>(lds);
        for (int q = int(threadIdx.x); q < n_quads; q += int(blockDim.x)) {
            to[q] = reinterpret_cast<const Quad*>(norm.gain)[q];
            to[n_quads + q] = reinterpret_cast<const Quad*>(norm.bias)[q];
        }
    }
};

// h (Dp) = (x - mean) / sqrt(variance + eps) · gain + bias, padded with zeros.
__device__ inline void layernorm_row(bf16* h, bool grouped, const float* x, const StagedNorm& norm, int lane) {
    const auto* const row = reinterpret_cast<const Quad*>(x);
    const float n = float(4 * norm.n_quads);
    float sum = 0;
#pragma unroll 4
    for (int q = lane; q < norm.n_quads; q += kWave) {
        const Quad v = row[q];
        sum += (v.v[0] + v.v[1]) + (v.v[2] + v.v[3]);
    }
    const float mean = wave_sum(sum) / n;
    float squares = 0;
#pragma unroll 4
    for (int q = lane; q < norm.n_quads; q += kWave) {
        Quad v = row[q];
        for (int i = 0; i < 4; i++) v.v[i] -= mean;
        squares = add_squares(squares, v);
    }
    const float scale = 1.0f / sqrtf(wave_sum(squares) / n + norm.eps);
    const int n_padded = round_up(4 * norm.n_quads, kDepthStep) / 4;
#pragma unroll 4
    for (int q = lane; q < n_padded; q += kWave) {
        Quad v = {};
        if (q < norm.n_quads) {
            const Quad of_x = row[q], gain = norm.gain[q], bias = norm.bias[q];
            for (int i = 0; i < 4; i++) v.v[i] = fmaf((of_x.v[i] - mean) * scale, gain.v[i], bias.v[i]);
        }
        store_quad(h, q, narrow_quad(v), grouped);
    }
}
