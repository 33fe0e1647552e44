// bf16_avx512.h: what the products of bf16 activations share, with AVX-512 and its BF16: weights of any kind decoded into
// slabs, the 16 × 16 transposition, exp.
//
// A slab is kRows rows of weights, some steps of 32 columns deep, bf16: (steps, kRows, 32). Each row of a step is one
// register, 64-byte aligned; the rows of a step are one or two AMX tiles.
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
    const __m512i shift =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_setr_m128i(_mm_setzero_si128(), _mm_set1_epi16(4))),
                           _mm256_setr_m128i(_mm_set1_epi16(8), _mm_set1_epi16(12)), 1);
    const __m512i words = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
    return _mm512_permutexvar_epi16(_mm512_srlv_epi16(words, shift), _mm512_load_si512(kMxfp4.value[scale]));
}

// Decoders of a matrix's rows, one for each way of storing them. decode() writes the columns of steps [step, step + n) of
// row o, `stride` elements apart.
struct Mxfp4Decoder {
    const uint8_t *codes, *scales;
    int64_t n_steps;

    explicit Mxfp4Decoder(const Matrix& w)
        : codes(static_cast<const uint8_t*>(w.data)), scales(w.scales), n_steps(w.n_in / 32) {}
    static constexpr int64_t kBytes = 16;  // a step
    const char* row(int64_t o) const { return reinterpret_cast<const char*>(codes + 16 * o * n_steps); }
    void decode(bf16* out, int64_t stride, int64_t o, int64_t step, int64_t n) const {
        const int64_t at = o * n_steps + step;
        const uint8_t *code = codes + 16 * at, *scale = scales + at;
        int64_t s = 0;
        for (; s + 4 <= n; s += 4, code += 64, out += 4 * stride) {
            uint32_t four_scales;
            std::memcpy(&four_scales, scale + s, 4);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                _mm512_store_si512(out + i * stride, decode_mxfp4(code + 16 * i, uint8_t(four_scales >> 8 * i)));
        }
        for (; s < n; s++, code += 16, out += stride) _mm512_store_si512(out, decode_mxfp4(code, scale[s]));
    }
};

struct Bf16Decoder {
    const bf16* data;
    int64_t n_in;

    explicit Bf16Decoder(const Matrix& w) : data(static_cast<const bf16*>(w.data)), n_in(w.n_in) {}
    static constexpr int64_t kBytes = 64;
    const char* row(int64_t o) const { return reinterpret_cast<const char*>(data + o * n_in); }
    void decode(bf16* out, int64_t stride, int64_t o, int64_t step, int64_t n) const {
        const bf16* row = data + o * n_in + step * kStep;
        const int64_t left = n_in - step * kStep, n_whole = std::min(n, left / kStep);
#pragma GCC unroll 4
        for (int64_t s = 0; s < n_whole; s++) _mm512_store_si512(out + s * stride, _mm512_loadu_si512(row + s * kStep));
        for (int64_t s = n_whole; s < n; s++)
            _mm512_store_si512(out + s * stride,
                               _mm512_maskz_loadu_epi16(first_words(left - s * kStep), row + s * kStep));
    }
};

struct TransposedDecoder {  // (n_in, n_out)
    const bf16* data;
    int64_t n_in, n_out;
    static constexpr int64_t kBytes = 0;
    const char* row(int64_t) const { return nullptr; }

    explicit TransposedDecoder(const Matrix& w)
        : data(static_cast<const bf16*>(w.data)), n_in(w.n_in), n_out(w.n_out) {}
    void decode(bf16* out, int64_t stride, int64_t o, int64_t step, int64_t n) const {
        for (int64_t s = 0, k = step * kStep; s < n; s++)
            for (int64_t i = 0; i < kStep; i++, k++) out[s * stride + i] = k < n_in ? data[k * n_out + o] : bf16{0};
    }
};

// Calls work(decoder) with the one for w.
template <class F>
void with_decoder(const Matrix& w, F&& work) {
    if (w.dtype == DType::kMXFP4)
        work(Mxfp4Decoder(w));
    else if (w.transposed)
        work(TransposedDecoder(w));
    else
        work(Bf16Decoder(w));
}

// Brings the weights that come after a slab's rows into L2, some lines at a time.
class Fetcher {
  public:
    // For the slab of n_rows rows from row o: the slab's share, as its steps are of all, of the n_rows that follow; to be
    // fetched in n_times times. Past the matrix's end it fetches what lies there: mostly the next expert.
    template <class Decoder>
    Fetcher(const Decoder& decoder, int64_t o, int64_t n_rows, int64_t first, int64_t steps, int64_t n_times)
        : next_(decoder.row(o + n_rows) + n_rows * first * Decoder::kBytes),
          end_(next_ + n_rows * steps * Decoder::kBytes),
          at_once_((end_ - next_ + 64 * n_times - 1) / (64 * n_times) * 64) {}
    void fetch() {
        const char* const end = std::min(end_, next_ + at_once_);
        for (; next_ < end; next_ += 64) _mm_prefetch(next_, _MM_HINT_T1);
    }

  private:
    const char *next_, *end_;
    int64_t at_once_;
};

// A slab in the making: rows [o, o + n) of a matrix, n <= kRows, and zeros up to kRows; steps [first, first + steps).
template <int kRows, class Decoder>
struct SlabWriter {
    const Decoder* decoder;
    bf16* slab;
    int64_t o, n, first, steps;

    static constexpr int64_t kFetches = kRows;  // of write()

    void write(Fetcher& fetcher) const {
        for (int64_t row = 0; row < n; row++) {
            decoder->decode(slab + row * kStep, kRows * kStep, o + row, first, steps);
            fetcher.fetch();
        }
        for (int64_t row = n; row < kRows; row++)
            for (int64_t s = 0; s < steps; s++)
                _mm512_store_si512(slab + (s * kRows + row) * kStep, _mm512_setzero_si512());
    }
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
