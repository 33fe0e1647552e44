// loops.h: the inner loops of Kernels (kernels.h), written once over a vector type `V` of kLanes floats, 4 to 16. Each
// file beside this one defines such a type with the instructions of one set, and instantiates MakeKernels<V>.
//
// V has: zero, set1, load and store of kLanes floats, load_bf16, load_f16, fma, sum (a fixed tree), mxfp4 (makes a
// block of 16 bytes of codes and a scale, columns in the order of kMxfp4Column), and the tile size kRows × kToks: as
// many partial sums as fit its registers beside a column of the tile's weights or tokens.
//
// For the anonymous namespace see scratch.h.
#pragma once
#include <algorithm>
#include <cstring>
#include <limits>

#include "cpu/kernels.h"
#include "cpu/scratch.h"

namespace {

template <class V>
V load_all(const float* p) {
    return V::load(p);
}
template <class V>
V load_all(const bf16* p) {
    return V::load_bf16(p);
}
template <class V>
V load_all(const f16* p) {
    return V::load_f16(p);
}

// The first n elements (n is clamped to 0 to kLanes) with zeros after them. It may be slow: rows rarely end inside a
// vector.
template <class V, class T>
V load_n(const T* p, int64_t n) {
    T part[V::kLanes] = {};
    if (n > 0) std::memcpy(part, p, size_t(std::min<int64_t>(n, V::kLanes)) * sizeof *p);
    return load_all<V>(part);
}
template <class V>
void store_n(float* p, V a, int64_t n) {
    float part[V::kLanes];
    V::store(part, a);
    std::memcpy(p, part, size_t(n) * sizeof *p);
}

template <class V>
struct Block {  // kBlock elements of a row
    static constexpr int kVectors = kBlock / V::kLanes;
    V part[kVectors];
};

// A block made of load_part(i), a vector each.
template <class V, class F>
Block<V> make_block(F&& load_part) {
    Block<V> block;
#pragma GCC unroll 8
    for (int i = 0; i < Block<V>::kVectors; i++) block.part[i] = load_part(i * V::kLanes);
    return block;
}

// Weight rows of a dense dtype. row(o) is a cursor on one of them: load() gives the whole block at column k,
// load_tail() the n < 32 elements that end the row.
template <class V, class T>
struct DenseRows {
    const T* w;
    int64_t stride;
    struct Row {
        const T* w;
        Block<V> load(int64_t k) const {
            return make_block<V>([&](int i) { return load_all<V>(w + k + i); });
        }
        Block<V> load_tail(int64_t k, int64_t n) const {
            return make_block<V>([&](int i) { return load_n<V>(w + k + i, n - i); });
        }
    };
    Row row(int64_t o) const { return {w + o * stride}; }
};

// 2^(s - 127) for every scale byte s. 2^-127 is subnormal in f32, but exact.
struct ScaleTable {
    float value[256] = {0x1p-127f};
    constexpr ScaleTable() {
        for (int s = 1; s < 255; s++) value[s] = 2 * value[s - 1];
        value[255] = std::numeric_limits<float>::quiet_NaN();
    }
};
constexpr ScaleTable kScale;

// Columns of a block with its even elements first.
struct EvenThenOdd {
    uint8_t column[32] = {};
    constexpr EvenThenOdd() {
        for (int i = 0; i < 32; i++) column[i] = uint8_t(2 * (i % 16) + i / 16);
    }
};
constexpr EvenThenOdd kEvenThenOdd;

template <class V>
struct MXFP4Rows {
    const uint8_t* blocks;  // (rows, n_in/32, 16)
    const uint8_t* scales;  // (rows, n_in/32)
    int64_t n_blocks;       // a row
    struct Row {
        const uint8_t *blocks, *scales;
        Block<V> load(int64_t k) const {  // even elements, odd elements
            // A row is shorter than a page: it ends before the hardware has learned where the next one lies.
            __builtin_prefetch(blocks + k / 2 + kPrefetchBytes);
            Block<V> block;
            V::mxfp4(blocks + k / 2, scales[k / 32], block.part);
            return block;
        }
        Block<V> load_tail(int64_t k, int64_t) const { return load(k); }  // never: n_in is a multiple of 32
    };
    static constexpr int64_t kPrefetchBytes = 6144;
    Row row(int64_t o) const { return {blocks + 16 * o * n_blocks, scales + o * n_blocks}; }
};

// Rows that are decoded already, and padded to whole blocks.
template <class V>
struct DecodedRows {
    const float* w;
    int64_t stride;
};

// Adds up and stores a tile's sums. y points at [first token][first row].
template <class V, int R, int N>
void write_sums(float* y, int64_t y_stride, const V (&sum)[R][N]) {
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int t = 0; t < N; t++) y[t * y_stride + r] = V::sum(sum[r][t]);
}

// One tile: R weight rows from row o on, N tokens. It goes row by row, as decoding is most of the work.
template <class V, int R, int N, class Rows>
void dot_tile(float* y, int64_t y_stride, const float* x, int64_t x_stride, const Rows& w, int64_t o, int64_t n_in) {
    typename Rows::Row row[R];
    V sum[R][N];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
        row[r] = w.row(o + r);
#pragma GCC unroll 8
        for (int t = 0; t < N; t++) sum[r][t] = V::zero();
    }
    const auto block = [&](int64_t k, auto&& load) {
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const Block<V> w_block = load(row[r]);
#pragma GCC unroll 8
            for (int i = 0; i < Block<V>::kVectors; i++)
#pragma GCC unroll 8
                for (int t = 0; t < N; t++)
                    sum[r][t] = V::fma(w_block.part[i], V::load(x + t * x_stride + k + i * V::kLanes), sum[r][t]);
        }
    };
    int64_t k = 0;
    for (; k + kBlock <= n_in; k += kBlock) block(k, [&](const auto& r) { return r.load(k); });
    if (k < n_in) block(k, [&](const auto& r) { return r.load_tail(k, n_in - k); });
    write_sums(y, y_stride, sum);
}

// The same for decoded rows, where multiplying is all the work: R + N loads for R · N products.
template <class V, int R, int N>
void dot_tile(float* y, int64_t y_stride, const float* x, int64_t x_stride, const DecodedRows<V>& w, int64_t o,
              int64_t n_in) {
    const float* row = w.w + o * w.stride;
    V sum[R][N];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int t = 0; t < N; t++) sum[r][t] = V::zero();
    for (int64_t k = 0; k < n_in; k += V::kLanes) {
        V x_part[N];
#pragma GCC unroll 8
        for (int t = 0; t < N; t++) x_part[t] = V::load(x + t * x_stride + k);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const V w_part = V::load(row + r * w.stride + k);
#pragma GCC unroll 8
            for (int t = 0; t < N; t++) sum[r][t] = V::fma(w_part, x_part[t], sum[r][t]);
        }
    }
    write_sums(y, y_stride, sum);
}

// N tokens, rows [o0, o1).
template <class V, int N, class Rows>
void dot_rows(float* y, int64_t y_stride, const float* x, int64_t x_stride, const Rows& w, int64_t o0, int64_t o1,
              int64_t n_in) {
    int64_t o = o0;
    for (; o + V::kRows <= o1; o += V::kRows) dot_tile<V, V::kRows, N>(y + o - o0, y_stride, x, x_stride, w, o, n_in);
    for (; o < o1; o++) dot_tile<V, 1, N>(y + o - o0, y_stride, x, x_stride, w, o, n_in);
}

template <class V, class Rows>
void dot_few(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok, const Rows& w, int64_t o0,
             int64_t o1, int64_t n_in) {
    int64_t t = 0;
    for (; t + V::kToks <= n_tok; t += V::kToks)
        dot_rows<V, V::kToks>(y + t * y_stride, y_stride, x + t * x_stride, x_stride, w, o0, o1, n_in);
    if constexpr (V::kToks > 2)
        for (; t + 2 <= n_tok; t += 2)
            dot_rows<V, 2>(y + t * y_stride, y_stride, x + t * x_stride, x_stride, w, o0, o1, n_in);
    for (; t < n_tok; t++) dot_rows<V, 1>(y + t * y_stride, y_stride, x + t * x_stride, x_stride, w, o0, o1, n_in);
}

// For many tokens: decodes a group of rows once, and then multiplies all tokens by it. The group and the tokens' x stay
// in cache.
template <class V, class Rows>
void dot_many(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok, const Rows& w, int64_t o0,
              int64_t o1, int64_t n_in) {
    constexpr int64_t kGroup = 16;
    static thread_local Scratch<float> memory;
    const int64_t stride = padded(n_in);
    float* const decoded = memory.get(kGroup * stride);
    for (int64_t g0 = o0; g0 < o1; g0 += kGroup) {
        const int64_t g1 = g0 + kGroup < o1 ? g0 + kGroup : o1;
        for (int64_t o = g0; o < g1; o++) {
            float* out = decoded + (o - g0) * stride;
            const auto row = w.row(o);
            for (int64_t k = 0; k < n_in; k += kBlock) {
                const Block<V> block = k + kBlock <= n_in ? row.load(k) : row.load_tail(k, n_in - k);
#pragma GCC unroll 8
                for (int i = 0; i < Block<V>::kVectors; i++) V::store(out + k + i * V::kLanes, block.part[i]);
            }
        }
        const DecodedRows<V> rows{decoded, stride};
        dot_few<V>(y + (g0 - o0), y_stride, x, x_stride, n_tok, rows, 0, g1 - g0, stride);
    }
}

template <class V, class Rows>
void dot_any(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok, const Rows& w, int64_t o0,
             int64_t o1, int64_t n_in) {
    if (n_tok <= V::kToks)
        dot_few<V>(y, y_stride, x, x_stride, n_tok, w, o0, o1, n_in);
    else
        dot_many<V>(y, y_stride, x, x_stride, n_tok, w, o0, o1, n_in);
}

// N tokens, columns [0, n_cols).
template <class V, int N, class T>
void accumulate_tokens(float* y, int64_t y_stride, const float* x, int64_t x_stride, const T* w, int64_t w_stride,
                       int64_t n_k, int64_t n_cols) {
    const auto load = [](const T* p, int64_t n) { return n >= V::kLanes ? load_all<V>(p) : load_n<V>(p, n); };
    for (int64_t c = 0; c < n_cols; c += V::kLanes) {
        const int64_t n = n_cols - c;
        V sum[N];
        for (int t = 0; t < N; t++)
            sum[t] = n >= V::kLanes ? V::load(y + t * y_stride + c) : load_n<V>(y + t * y_stride + c, n);
        for (int64_t k = 0; k < n_k; k++) {
            const V row = load(w + k * w_stride + c, n);
#pragma GCC unroll 8
            for (int t = 0; t < N; t++) sum[t] = V::fma(V::set1(x[t * x_stride + k]), row, sum[t]);
        }
#pragma GCC unroll 8
        for (int t = 0; t < N; t++)
            n >= V::kLanes ? V::store(y + t * y_stride + c, sum[t]) : store_n<V>(y + t * y_stride + c, sum[t], n);
    }
}

template <class V, class T>
void accumulate_typed(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok, const T* w,
                      int64_t w_stride, int64_t n_k, int64_t n_cols) {
    constexpr int kAtOnce = 8;
    int64_t t = 0;
    for (; t + kAtOnce <= n_tok; t += kAtOnce)
        accumulate_tokens<V, kAtOnce>(y + t * y_stride, y_stride, x + t * x_stride, x_stride, w, w_stride, n_k, n_cols);
    for (; t < n_tok; t++)
        accumulate_tokens<V, 1>(y + t * y_stride, y_stride, x + t * x_stride, x_stride, w, w_stride, n_k, n_cols);
}

template <class V>
struct MakeKernels {
    static void arrange(float* out, const float* x, int64_t n, DType weights) {
        if (weights != DType::kMXFP4)
            std::memcpy(out, x, size_t(n) * sizeof(float));
        else
            for (int64_t k = 0; k < n; k += kBlock)
                for (int i = 0; i < kBlock; i++) out[k + i] = x[k + V::kMxfp4Column[i]];
    }

    static void dot(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok, const Matrix& w,
                    int64_t o0, int64_t o1) {
        const auto run = [&](const auto& rows) { dot_any<V>(y, y_stride, x, x_stride, n_tok, rows, o0, o1, w.n_in); };
        switch (w.dtype) {
            case DType::kF32:
                return run(DenseRows<V, float>{static_cast<const float*>(w.data), w.n_in});
            case DType::kBF16:
                return run(DenseRows<V, bf16>{static_cast<const bf16*>(w.data), w.n_in});
            case DType::kF16:
                return run(DenseRows<V, f16>{static_cast<const f16*>(w.data), w.n_in});
            case DType::kMXFP4:
                return run(MXFP4Rows<V>{static_cast<const uint8_t*>(w.data), w.scales, w.n_in / 32});
        }
    }

    static void accumulate(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok, DType dtype,
                           const void* w, int64_t w_stride, int64_t n_k, int64_t n_cols) {
        const auto run = [&](const auto* typed) {
            accumulate_typed<V>(y, y_stride, x, x_stride, n_tok, typed, w_stride, n_k, n_cols);
        };
        if (dtype == DType::kBF16) return run(static_cast<const bf16*>(w));
        if (dtype == DType::kF16) return run(static_cast<const f16*>(w));
        run(static_cast<const float*>(w));
    }
};

}  // namespace
