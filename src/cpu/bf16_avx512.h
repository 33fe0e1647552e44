// bf16_avx512.h: what the products of bf16 activations share, with AVX-512 and its BF16: weights of any kind decoded into
// slabs, the 16 × 16 transposition, exp.
//
// A slab is some rows of weights, some steps of 32 columns deep, bf16: (steps, rows, 32). Each row of a step is one
// register, 64-byte aligned; 16 rows of a step are an AMX tile.
//
// In an anonymous namespace, as kernels_impl.h and for the same reason.
#pragma once
// GCC 12 warns of the undefined registers that its own intrinsics pass on purpose (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/mxfp4_bf16.h"
#include "cpu/scratch.h"

namespace {

constexpr int kStep = 32;  // columns: what one register of bf16 holds, and one MXFP4 block

inline __mmask16 first_lanes(int64_t n) {
    return __mmask16(n <= 0 ? 0 : n >= 16 ? 0xffff : (1 << n) - 1);
}
inline __mmask32 first_words(int64_t n) {
    return n <= 0 ? 0u : n >= 32 ? ~0u : (1u << n) - 1;
}

// Every E2M1 value under every E8M0 scale, in bf16: exact but for what overflows, or underflows below 2^-133. Twice the 16
// codes, because the look-up reads 5 bits and the fifth may be anything. Few of its lines are in use at a time.
struct Mxfp4Table {
    alignas(64) uint16_t value[256][32] = {};
    constexpr Mxfp4Table() {
        for (int scale = 0; scale < 256; scale++)
            for (int code = 0; code < 32; code++) value[scale][code] = mxfp4_bf16(code & 15, scale);
    }
};
constexpr Mxfp4Table kMxfp4;

// MXFP4 blocks are decoded into an order of their own, the one that costs least: position 8 i + w holds column 4 w + i, the
// ith code of 16-bit word w. Activations for such weights are packed in the same order.
inline __m512i mxfp4_order(__m512i columns) {
    alignas(64) static const uint16_t kColumn[32] = {0, 4, 8,  12, 16, 20, 24, 28, 1, 5, 9,  13, 17, 21, 25, 29,
                                                     2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31};
    return _mm512_permutexvar_epi16(_mm512_load_si512(kColumn), columns);
}

// Four copies of the 8 words, the ith shifted by i codes: the look-up reads the lowest 5 bits of each.
inline __m512i decode_mxfp4(const uint8_t* codes, uint8_t scale) {
    alignas(64) static const uint16_t kShift[32] = {0, 0, 0, 0, 0, 0, 0, 0, 4,  4,  4,  4,  4,  4,  4,  4,
                                                    8, 8, 8, 8, 8, 8, 8, 8, 12, 12, 12, 12, 12, 12, 12, 12};
    const __m512i words = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
    return _mm512_permutexvar_epi16(_mm512_srlv_epi16(words, _mm512_load_si512(kShift)),
                                    _mm512_load_si512(kMxfp4.value[scale]));
}

// Decoders of a matrix's rows, one for each way of storing them. decode() writes the columns of one step of rows [o, o + kRows),
// kStep elements apart, and calls after_row(r) after each; kBytes and kScaleBytes are what a row's step takes.

// kSteps: steps of a row, 0 if the compiler shall not know; distances between rows that it knows save up to 8 %.
template <int64_t kSteps>
struct Mxfp4Decoder {
    const uint8_t *codes, *scales;
    int64_t n_steps;

    explicit Mxfp4Decoder(const Matrix& w)
        : codes(static_cast<const uint8_t*>(w.data)), scales(w.scales), n_steps(kSteps ? kSteps : w.n_in / 32) {}
    static constexpr int64_t kBytes = 16, kScaleBytes = 1;
    int64_t row_steps() const { return kSteps ? kSteps : n_steps; }
    const char* row(int64_t o) const { return reinterpret_cast<const char*>(codes + 16 * o * row_steps()); }
    const char* scale_row(int64_t o) const { return reinterpret_cast<const char*>(scales + o * row_steps()); }
    template <int kRows, class F>
    void decode(bf16* out, int64_t o, int64_t step, F&& after_row) const {
        const uint8_t *code = codes + 16 * (o * row_steps() + step), *scale = scales + o * row_steps() + step;
        // Else GCC 12 computes the rows' distances in advance and keeps them in vector registers: 15 % slower.
        asm("" : "+r"(code), "+r"(scale));
#pragma GCC unroll 16
        for (int r = 0; r < kRows; r++) {
            const int64_t at = r * row_steps();
            _mm512_store_si512(out + r * kStep, decode_mxfp4(code + 16 * at, scale[at]));
            after_row(r);
        }
    }
};

struct Bf16Decoder {
    const bf16* data;
    int64_t n_in;

    explicit Bf16Decoder(const Matrix& w) : data(static_cast<const bf16*>(w.data)), n_in(w.n_in) {}
    static constexpr int64_t kBytes = 64, kScaleBytes = 0;
    const char* row(int64_t o) const { return reinterpret_cast<const char*>(data + o * n_in); }
    const char* scale_row(int64_t) const { return nullptr; }
    template <int kRows, class F>
    void decode(bf16* out, int64_t o, int64_t step, F&& after_row) const {
        const bf16* from = data + o * n_in + step * kStep;
        const __mmask32 columns = first_words(n_in - step * kStep);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; r++) {
            _mm512_store_si512(out + r * kStep, _mm512_maskz_loadu_epi16(columns, from + r * n_in));
            after_row(r);
        }
    }
};

struct TransposedDecoder {  // (n_in, n_out)
    const bf16* data;
    int64_t n_in, n_out;
    static constexpr int64_t kBytes = 0, kScaleBytes = 0;
    const char* row(int64_t) const { return nullptr; }
    const char* scale_row(int64_t) const { return nullptr; }

    explicit TransposedDecoder(const Matrix& w)
        : data(static_cast<const bf16*>(w.data)), n_in(w.n_in), n_out(w.n_out) {}
    template <int kRows, class F>
    void decode(bf16* out, int64_t o, int64_t step, F&&) const {
        for (int64_t i = 0, k = step * kStep; i < kStep; i++, k++)
            for (int r = 0; r < kRows; r++) out[r * kStep + i] = k < n_in ? data[k * n_out + o + r] : bf16{0};
    }
};

// Calls work(decoder) with the one for w.
template <class F>
void with_decoder(const Matrix& w, F&& work) {
    constexpr int64_t kWidth = 2880;  // of all gpt-oss models' experts, in and out
    if (w.dtype == DType::kMXFP4 && w.n_in == kWidth)
        work(Mxfp4Decoder<kWidth / kStep>(w));
    else if (w.dtype == DType::kMXFP4)
        work(Mxfp4Decoder<0>(w));
    else if (w.transposed)
        work(TransposedDecoder(w));
    else
        work(Bf16Decoder(w));
}

// Decodes the rows of a matrix up to row `end`, slab after slab, and brings into L2 what follows a slab, as much with every
// row as it decodes. A line that comes from memory holds one of the core's 16 fill buffers for 150 ns, one that the hardware
// has fetched already does not. The hardware runs some lines ahead wherever a page is read in order: with four places of the
// next slab in turn it has four times as long.
template <class Decoder>
class WeightReader {
  public:
    WeightReader(const Decoder& decoder, int64_t end) : decoder_(decoder), end_(end) {}
    // A slab begins, after which come n_rows rows from row o on. Past the matrix's end lies, mostly, the next expert.
    void fetch_from(int64_t o, int64_t n_rows) {
        fetch_ = decoder_.row(o);
        fetch_scales_ = decoder_.scale_row(o);
        place_bytes_ = (decoder_.row(n_rows) - decoder_.row(0)) / kPlaces;
        scales_fetched_ = 0;
    }
    // kRows rows of one step, zeros from row `end` on.
    template <int kRows>
    void read(bf16* out, int64_t o, int64_t step) {
        if (o + kRows > end_) return read_last<kRows>(out, o, step);
        constexpr int kLines = kRows * Decoder::kBytes / 64;
        constexpr int kPlacesAtOnce = kLines < kPlaces ? 1 : kPlaces;  // fewer lines come from one place
        // Inlined, or GCC 12 takes a call that does nothing but fetch for one that does nothing.
        const auto after_row = [fetch = fetch_, place = place_bytes_](int r) __attribute__((always_inline)) {
            const int64_t bytes = r * Decoder::kBytes, line = bytes / 64;
            if (kLines && bytes % 64 == 0)
                _mm_prefetch(fetch + line % kPlacesAtOnce * place + line / kPlacesAtOnce * 64, _MM_HINT_T1);
        };
        decoder_.template decode<kRows>(out, o, step, after_row);
        fetch_ += kLines / kPlacesAtOnce * 64;
        if (Decoder::kScaleBytes) {
            if (scales_fetched_ % 64 == 0) _mm_prefetch(fetch_scales_ + scales_fetched_, _MM_HINT_T1);
            scales_fetched_ += kRows * Decoder::kScaleBytes;
        }
    }

  private:
    static constexpr int kPlaces = 4;
    template <int kRows>
    __attribute__((noinline)) void read_last(bf16* out, int64_t o, int64_t step) const {
        for (int r = 0; r < kRows; r++, out += kStep) {
            if (o + r < end_)
                decoder_.template decode<1>(out, o + r, step, [](int) {});
            else
                _mm512_store_si512(out, _mm512_setzero_si512());
        }
    }

    const Decoder decoder_;
    const int64_t end_;
    const char *fetch_ = nullptr, *fetch_scales_ = nullptr;
    int64_t place_bytes_ = 0, scales_fetched_ = 0;  // from one place to the next; so far
};

// 32 floats of a row from column k on, rounded to nearest even, as 16 pairs; zeros from n_in on.
inline __m512i round_pairs(const float* row, int64_t k, int64_t n_in) {
    const __m512 low = _mm512_maskz_loadu_ps(first_lanes(n_in - k), row + k);
    const __m512 high = _mm512_maskz_loadu_ps(first_lanes(n_in - k - 16), row + k + 16);
    return __m512i(_mm512_cvtne2ps_pbh(high, low));
}

// The same in the order that weights of a type are decoded into.
inline __m512i round_step(const float* row, int64_t k, int64_t n_in, DType weights) {
    const __m512i pairs = round_pairs(row, k, n_in);
    return weights == DType::kMXFP4 ? mxfp4_order(pairs) : pairs;
}

// row[i] lane j → row[j] lane i, for 16 registers of 16 lanes: 2 × 2 blocks within, then between the registers' quarters.
inline void transpose(__m512i (&row)[16]) {
    __m512i pairs[16], fours[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        pairs[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    // fours[4q + c]: rows 4q to 4q + 3 of columns c, c + 4, c + 8, c + 12, a quarter each.
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        const __m512i a = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0x88);       // quarters 0, 2 of q = 0, 1
        const __m512i b = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0x88);  // of q = 2, 3
        const __m512i d = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0xdd);       // quarters 1, 3
        const __m512i e = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0xdd);
        row[c] = _mm512_shuffle_i32x4(a, b, 0x88);
        row[8 + c] = _mm512_shuffle_i32x4(a, b, 0xdd);
        row[4 + c] = _mm512_shuffle_i32x4(d, e, 0x88);
        row[12 + c] = _mm512_shuffle_i32x4(d, e, 0xdd);
    }
}

// e^x within 2 units in the last place; exactly 1 at 0, 0 below -104. 2^n · e^r with |r| <= ln(2)/2, e^r by Taylor's
// series up to r^7 / 7!, which leaves 6e-9.
inline __m512 exp16(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-200.0f));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145752f), x);  // ln 2 in two parts, the first short
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860677e-6f), r);
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
    return _mm512_scalef_ps(p, n);
}

inline void swiglu_row(float* out, const float* up, int64_t n, float limit, float alpha) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    const __m512 most = _mm512_set1_ps(limit), least = _mm512_set1_ps(-limit), one = _mm512_set1_ps(1.0f);
    for (int64_t f = 0; f < n; f += 16) {
        const __m512 a = _mm512_maskz_loadu_ps(first_lanes(2 * (n - f)), up + 2 * f);
        const __m512 b = _mm512_maskz_loadu_ps(first_lanes(2 * (n - f) - 16), up + 2 * f + 16);
        const __m512 gate = _mm512_min_ps(most, _mm512_permutex2var_ps(a, even, b));
        const __m512 half = _mm512_max_ps(least, _mm512_min_ps(most, _mm512_permutex2var_ps(a, odd, b)));
        const __m512 e = exp16(_mm512_mul_ps(gate, _mm512_set1_ps(-alpha)));
        const __m512 sigmoid = _mm512_div_ps(gate, _mm512_add_ps(one, e));
        _mm512_mask_storeu_ps(out + f, first_lanes(n - f), _mm512_mul_ps(sigmoid, _mm512_add_ps(half, one)));
    }
}

}  // namespace
