// avx512bf16.cpp: products of bf16 activations with AVX-512's bf16 instruction, for CPUs without AMX. A sum's lane i
// adds pair i of every 32 columns; a fixed tree adds the lanes.
#include <algorithm>
#include <type_traits>

#include "cpu/packed/avx512_weights.h"

namespace {

constexpr int kSlabRows = 8;  // 46 KB at 2880 columns, which L2 holds beside the tokens
constexpr int kRowsAtOnce = 4, kTokensAtOnce = 4;

// A panel is its tokens' rows, one after the other.
void pack(std::byte* panel, const float* const* x, int n, int /*width*/, int64_t n_in, int64_t first, int64_t n_columns,
          DType weights) {
    auto* rows = reinterpret_cast<bf16*>(panel);
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < n_columns; k += kStep)
            _mm512_storeu_si512(rows + i * padded(n_in) + first + k, round_step(x[i], k, n_columns, weights));
}

template <int N>
using Sums = __m512[kRowsAtOnce][N];

template <int N>
void clear(Sums<N>& sum) {
#pragma GCC unroll 8
    for (int r = 0; r < kRowsAtOnce; r++)
#pragma GCC unroll 8
        for (int t = 0; t < N; t++) sum[r][t] = _mm512_setzero_ps();
}

// Adds kRowsAtOnce rows of a slab of n_slab_rows times N tokens.
template <int N>
void add(Sums<N>& sum, const bf16* x, int64_t x_stride, const bf16* slab, int64_t n_slab_rows, int64_t steps) {
    for (int64_t s = 0; s < steps; s++) {
        __m512bh token[N];
#pragma GCC unroll 8
        for (int t = 0; t < N; t++) token[t] = __m512bh(_mm512_loadu_si512(x + t * x_stride + s * kStep));
#pragma GCC unroll 8
        for (int r = 0; r < kRowsAtOnce; r++) {
            const auto row = __m512bh(_mm512_load_si512(slab + (s * n_slab_rows + r) * kStep));
#pragma GCC unroll 8
            for (int t = 0; t < N; t++) sum[r][t] = _mm512_dpbf16_ps(sum[r][t], row, token[t]);
        }
    }
}

template <int N>
void write(float* y, int64_t y_stride, const Sums<N>& sum, const float* bias, int64_t n_rows) {
#pragma GCC unroll 8
    for (int r = 0; r < kRowsAtOnce; r++)
#pragma GCC unroll 8
        for (int t = 0; t < N; t++)
            if (r < n_rows) y[t * y_stride + r] = _mm512_reduce_add_ps(sum[r][t]) + bias[r];
}

// For few tokens: each cache line of a row's codes is multiplied as soon as it is decoded, and never leaves L1.
template <int N, class Decoder>
void dot_few(float* y, int64_t y_stride, const bf16* x, const Decoder& decoder, int64_t n_steps, const float* bias,
             int64_t o0, int64_t o1) {
    constexpr int64_t kSteps = 4;
    alignas(64) bf16 slab[kSteps][kRowsAtOnce * kStep];
    WeightReader<Decoder, kRowsAtOnce> weights(decoder, o1);
    for (int64_t o = o0; o < o1; o += kRowsAtOnce) {
        weights.start(o);
        Sums<N> sum;
        clear<N>(sum);
        for (int64_t first = 0; first < n_steps; first += kSteps) {
            const int64_t steps = std::min(kSteps, n_steps - first);
            for (int64_t s = 0; s < steps; s++)
                weights.template read<kRowsAtOnce>(weights.rows(slab[s], 0, kRowsAtOnce, first + s), 0);
            add<N>(sum, x + first * kStep, n_steps * kStep, slab[0], kRowsAtOnce, steps);
        }
        write<N>(y + (o - o0), y_stride, sum, bias + (o - o0), o1 - o);
    }
}

// For many tokens: some whole rows are decoded once for all of them.
template <class Decoder>
void dot_many(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Decoder& decoder, int64_t steps,
              const float* bias, int64_t o0, int64_t o1) {
    static thread_local Scratch<bf16> memory;
    const int64_t stride = steps * kStep;
    bf16* slab = memory.get(steps * kSlabRows * kStep);
    WeightReader<Decoder, kSlabRows> weights(decoder, o1);
    for (int64_t o = o0; o < o1; o += kSlabRows) {
        const int64_t n_rows = std::min<int64_t>(kSlabRows, o1 - o);
        weights.start(o);
        for (int64_t s = 0; s < steps; s++)
            weights.template read<kSlabRows>(weights.rows(slab + s * kSlabRows * kStep, 0, kSlabRows, s), 0);
        for (int64_t r = 0; r < n_rows; r += kRowsAtOnce) {
            const auto multiply = [&](auto n, int64_t t) {
                Sums<n()> sum;
                clear<n()>(sum);
                add<n()>(sum, x + t * stride, stride, slab + r * kStep, kSlabRows, steps);
                write<n()>(y + (o - o0) + r + t * y_stride, y_stride, sum, bias + (o - o0) + r, n_rows - r);
            };
            int64_t t = 0;
            for (; t + kTokensAtOnce <= n_tok; t += kTokensAtOnce)
                multiply(std::integral_constant<int, kTokensAtOnce>(), t);
            for (; t < n_tok; t++) multiply(std::integral_constant<int, 1>(), t);
        }
    }
}

void dot(float* y, int64_t y_stride, const std::byte* panels, int64_t n_tok, const Matrix& w, const float* bias,
         int64_t o0, int64_t o1) {
    const auto* x = reinterpret_cast<const bf16*>(panels);
    with_decoder(w, [&](const auto& decoder) {
        const int64_t n_steps = padded(w.n_in) / kStep;
        if (n_tok == 1)
            dot_few<1>(y, y_stride, x, decoder, n_steps, bias, o0, o1);
        else if (n_tok == 2)
            dot_few<2>(y, y_stride, x, decoder, n_steps, bias, o0, o1);
        else
            dot_many(y, y_stride, x, n_tok, decoder, n_steps, bias, o0, o1);
    });
}

}  // namespace

const PackedKernels kAvx512Bf16Products{pack, dot, swiglu_row, nullptr, kBlock* int(sizeof(bf16))};
