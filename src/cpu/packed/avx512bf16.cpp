// avx512bf16.cpp: products of bf16 activations and weights with AVX-512's bf16 instruction, for CPUs without AMX. It
// adds the products of two neighbouring columns to a sum, k ascending. For MXFP4 weights avx512vnni.cpp's products are
// faster, and round less.
#include <algorithm>

#include "cpu/packed/avx512_rows.h"

namespace {

constexpr int64_t kPieceSteps = 10;  // 20 KB of weights in L1

// For bf16 weights a panel is (steps, width, kStep) bf16.
void pack(std::byte* panel, const float* const* x, int n, int width, int64_t /*n_in*/, int64_t first, int64_t n_columns,
          DType weights) {
    if (weights == DType::kMXFP4) return pack_whole_numbers(panel, x, n, width, first, n_columns);
    auto* rows = reinterpret_cast<bf16*>(panel) + first * width;
    for (int64_t k = 0; k < n_columns; k += kStep, rows += width * kStep)
        for (int i = 0; i < n; i++) _mm512_storeu_si512(rows + i * kStep, round_pairs(x[i], k, n_columns));
}

// pairs[i]: pair i of a step's columns, of 16 rows from row o on, of which those from row `end` on are zeros.
template <class Decoder>
inline void read_tile(__m512i (&pairs)[16], const Decoder& decoder, int64_t o, int64_t end, int64_t step) {
    if (o + kLanes <= end) {
        const auto place = decoder.at(o, step);
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; r++) pairs[r] = decoder.columns(place, r);
    } else {
        for (int r = 0; r < kLanes; r++)
            pairs[r] = o + r < end ? decoder.columns(decoder.at(o + r, step), 0) : _mm512_setzero_si512();
    }
    transpose(pairs);
}
// A column's rows lie side by side.
inline void read_tile(__m512i (&pairs)[16], const TransposedDecoder& decoder, int64_t o, int64_t end, int64_t step) {
    const auto place = decoder.at(o, step);
    const __mmask16 rows = first_lanes(end - o);
    const auto column = [&](int k) {
        return _mm512_cvtepu16_epi32(
            _mm256_maskz_loadu_epi16(k < place.n_columns ? rows : __mmask16(0), place.from + k * decoder.n_out));
    };
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) pairs[i] = _mm512_or_si512(column(2 * i), _mm512_slli_epi32(column(2 * i + 1), 16));
}

// N tokens times up to 16 rows, each step multiplied as soon as it is read. With each step it prefetches a sixteenth of
// the next rows' bytes.
template <int N, class Decoder>
void dot_few(float* y, int64_t y_stride, const bf16* x, const Decoder& decoder, int64_t n_steps, const float* bias,
             int64_t o, int64_t end) {
    __m512 sum[N];
#pragma GCC unroll 4
    for (int t = 0; t < N; t++) sum[t] = _mm512_setzero_ps();
    const char* next = decoder.row(o + kLanes);
    for (int64_t s = 0; s < n_steps; s++, x += N * kStep, next += kLanes * Decoder::kBytes) {
        for (int64_t line = 0; line < kLanes * Decoder::kBytes; line += 64) _mm_prefetch(next + line, _MM_HINT_T1);
        __m512i pairs[16];
        read_tile(pairs, decoder, o, end, s);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++)
#pragma GCC unroll 4
            for (int t = 0; t < N; t++)
                sum[t] = _mm512_dpbf16_ps(sum[t], __m512bh(pairs[i]), __m512bh(broadcast_four(x + t * kStep + 2 * i)));
    }
    const __mmask16 rows = first_lanes(end - o);
    const __m512 b = _mm512_maskz_loadu_ps(rows, bias);
#pragma GCC unroll 4
    for (int t = 0; t < N; t++) _mm512_mask_storeu_ps(y + t * y_stride, rows, _mm512_add_ps(sum[t], b));
}

// Some steps of a slab, decoded.
struct Piece {
    alignas(64) bf16 pairs[kPieceSteps][16][kTiles][kStep];
};

template <class Decoder>
void decode(Piece& piece, const Decoder& decoder, int64_t o, int64_t end, int64_t first, int64_t n) {
    for (int tile = 0; tile < kTiles; tile++)
        for (int64_t s = 0; s < n; s++) {
            __m512i pairs[16];
            read_tile(pairs, decoder, o + tile * kLanes, end, first + s);
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++) _mm512_store_si512(piece.pairs[s][i][tile], pairs[i]);
        }
}

// sums (N, kSlabRows) += a piece's steps times N tokens. x: the first token's first step; steps are `stride` apart.
template <int N>
void add_piece(float* sums, const Piece& piece, int64_t n_steps, const bf16* x, int64_t stride, Fetcher& fetcher) {
    __m512 sum[N][kTiles];
#pragma GCC unroll 8
    for (int t = 0; t < N; t++)
#pragma GCC unroll 2
        for (int tile = 0; tile < kTiles; tile++) sum[t][tile] = _mm512_load_ps(sums + t * kSlabRows + tile * kLanes);
    for (int64_t s = 0; s < n_steps; s++, x += stride) {
        fetcher.step();
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            const auto w0 = __m512bh(_mm512_load_si512(piece.pairs[s][i][0]));
            const auto w1 = __m512bh(_mm512_load_si512(piece.pairs[s][i][1]));
#pragma GCC unroll 8
            for (int t = 0; t < N; t++) {
                const auto token = __m512bh(broadcast_four(x + t * kStep + 2 * i));
                sum[t][0] = _mm512_dpbf16_ps(sum[t][0], w0, token);
                sum[t][1] = _mm512_dpbf16_ps(sum[t][1], w1, token);
            }
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < N; t++)
#pragma GCC unroll 2
        for (int tile = 0; tile < kTiles; tile++) _mm512_store_ps(sums + t * kSlabRows + tile * kLanes, sum[t][tile]);
}

// Decodes a piece of a slab into L1 once for all tokens.
template <class Decoder>
void dot_many(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Decoder& decoder, int64_t n_steps,
              const float* bias, int64_t o, int64_t end) {
    alignas(64) float sums[kPackedRowsAtOnce * kSlabRows];
    Piece piece;
    const int64_t stride = std::min<int64_t>(n_tok, kPanelRows) * kStep;
    const int64_t row_bytes = decoder.row(1) - decoder.row(0), piece_bytes = kPieceSteps * Decoder::kBytes;
    std::memset(sums, 0, size_t(n_tok * kSlabRows) * sizeof *sums);
    for (int64_t first = 0; first < n_steps; first += kPieceSteps) {
        const int64_t n = std::min(kPieceSteps, n_steps - first), next = first + n;
        decode(piece, decoder, o, end, first, n);
        // What lies past a matrix's end is mostly the next expert.
        Fetcher fetcher(next < n_steps ? decoder.row(o) + next * Decoder::kBytes : decoder.row(o + kSlabRows),
                        row_bytes, piece_bytes, n);
        for_each_group(n_tok, [&](auto n_together, int64_t t) {
            const bf16* panel = x + t / kPanelRows * kPanelRows * n_steps * kPanelBlockBytes / int64_t(sizeof *x);
            add_piece<n_together()>(sums + t * kSlabRows, piece, n, panel + first * stride + t % kPanelRows * kStep,
                                    stride, fetcher);
        });
    }
    write_slab(y, y_stride, sums, bias, end - o, n_tok);
}

void dot(float* y, int64_t y_stride, const std::byte* panels, int64_t n_tok, const Matrix& w, const float* bias,
         int64_t o0, int64_t o1) {
    if (w.dtype == DType::kMXFP4) return dot_whole_numbers(y, y_stride, panels, n_tok, w, bias, o0, o1);
    const auto* x = reinterpret_cast<const bf16*>(panels);
    const int64_t n_steps = padded(w.n_in) / kStep, n_rows = n_tok > 2 ? kSlabRows : kLanes;
    const auto multiply = [&](const auto& decoder) {
        for (int64_t o = o0; o < o1; o += n_rows) {
            if (n_tok == 1)
                dot_few<1>(y + (o - o0), y_stride, x, decoder, n_steps, bias + (o - o0), o, o1);
            else if (n_tok == 2)
                dot_few<2>(y + (o - o0), y_stride, x, decoder, n_steps, bias + (o - o0), o, o1);
            else
                dot_many(y + (o - o0), y_stride, x, n_tok, decoder, n_steps, bias + (o - o0), o, o1);
        }
    };
    if (w.transposed)
        multiply(TransposedDecoder(w));
    else
        multiply(Bf16Decoder(w));
}

}  // namespace

const PackedKernels kAvx512Bf16Products{pack, dot, swiglu_row, attend_avx512, kPanelBlockBytes};
