// products_avx512bf16.cpp: products of bf16 activations with AVX-512's own bf16 instruction, for CPUs without AMX. A lane
// of a sum adds pair i of every 32 columns; a fixed tree adds the lanes.
#include <algorithm>

#include "cpu/bf16_avx512.h"

namespace {

constexpr int kSlabRows = 8;  // at 2880 columns 46 KB: L2 holds it beside the tokens
constexpr int kRowsAtOnce = 4, kTokensAtOnce = 4;

void pack(bf16* out, const float* const* x, int n, int64_t n_in, DType weights) {  // rows, one after the other
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < n_in; k += kStep)
            _mm512_storeu_si512(out + i * padded(n_in) + k, round_step(x[i], k, n_in, weights));
}

// kRowsAtOnce rows of the slab times N tokens.
template <int N>
void multiply(float* y, int64_t y_stride, const bf16* x, int64_t x_stride, const bf16* slab, const float* bias,
              int64_t n_rows, int64_t steps) {
    __m512 sum[kRowsAtOnce][N];
#pragma GCC unroll 8
    for (int r = 0; r < kRowsAtOnce; r++)
#pragma GCC unroll 8
        for (int t = 0; t < N; t++) sum[r][t] = _mm512_setzero_ps();
    for (int64_t s = 0; s < steps; s++) {
        __m512bh token[N];
#pragma GCC unroll 8
        for (int t = 0; t < N; t++) token[t] = __m512bh(_mm512_loadu_si512(x + t * x_stride + s * kStep));
#pragma GCC unroll 8
        for (int r = 0; r < kRowsAtOnce; r++) {
            const auto row = __m512bh(_mm512_load_si512(slab + (s * kSlabRows + r) * kStep));
#pragma GCC unroll 8
            for (int t = 0; t < N; t++) sum[r][t] = _mm512_dpbf16_ps(sum[r][t], row, token[t]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRowsAtOnce; r++)
#pragma GCC unroll 8
        for (int t = 0; t < N; t++)
            if (r < n_rows) y[t * y_stride + r] = _mm512_reduce_add_ps(sum[r][t]) + bias[r];
}

template <class Decoder>
void dot_rows(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Decoder& decoder, int64_t steps,
              const float* bias, int64_t o0, int64_t o1) {
    static thread_local Scratch<bf16> memory;
    const int64_t stride = steps * kStep;
    bf16* memory_begin = memory.get(steps * kSlabRows * kStep);
    for (int64_t o = o0; o < o1; o += kSlabRows) {
        const int64_t n_rows = std::min<int64_t>(kSlabRows, o1 - o);
        const SlabWriter<kSlabRows, Decoder> slab{&decoder, memory_begin, o, n_rows, 0, steps};
        Fetcher fetcher(decoder, o, kSlabRows, 0, steps, slab.kFetches);
        slab.write(fetcher);
        for (int64_t r = 0; r < n_rows; r += kRowsAtOnce) {
            const bf16* rows = slab.slab + r * kStep;
            float* out = y + (o - o0) + r;
            const float* b = bias + (o - o0) + r;
            int64_t t = 0;
            for (; t + kTokensAtOnce <= n_tok; t += kTokensAtOnce)
                multiply<kTokensAtOnce>(out + t * y_stride, y_stride, x + t * stride, stride, rows, b, n_rows - r,
                                        steps);
            for (; t < n_tok; t++)
                multiply<1>(out + t * y_stride, y_stride, x + t * stride, stride, rows, b, n_rows - r, steps);
        }
    }
}

void dot(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Matrix& w, const float* bias, int64_t o0,
         int64_t o1) {
    with_decoder(w, [&](const auto& decoder) {
        dot_rows(y, y_stride, x, n_tok, decoder, padded(w.n_in) / kStep, bias, o0, o1);
    });
}

}  // namespace

const Bf16Kernels kAvx512Bf16Products{pack, dot, swiglu_row, nullptr};
