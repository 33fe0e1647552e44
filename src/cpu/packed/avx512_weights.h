// avx512_weights.h: what the products with 512-bit registers share: decoders of all kinds of weights to bf16, the
// 16 × 16 transposition, exp, SwiGLU; and, for AMX alone, slabs of weights.
//
// A slab is some rows of weights, some steps of 32 columns deep, bf16: (steps, rows, 32). Each row of a step is one
// register, 64-byte aligned; 16 rows of a step are an AMX tile.
//
// For the anonymous namespace see scratch.h.
#pragma once
// GCC 12 warns of the undefined registers that its own intrinsics pass on purpose (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/mxfp4_bf16.h"
#include "cpu/scratch.h"

namespace {

constexpr int kStep = 32;   // columns: what one register of bf16 holds, and one MXFP4 block
constexpr int kLanes = 16;  // of a register of floats

inline __mmask16 first_lanes(int64_t n) {
    return __mmask16(n <= 0 ? 0 : n >= 16 ? 0xffff : (1 << n) - 1);
}
inline __mmask32 first_words(int64_t n) {
    return n <= 0 ? 0u : n >= 32 ? ~0u : (1u << n) - 1;
}

// Four bytes of memory in every lane: two numbers of 16 bits, or four of 8.
inline __m512i broadcast_four(const void* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

// Every E2M1 value under every E8M0 scale, in bf16: exact except for overflow, and for underflow below 2^-133. The 16
// codes are there twice, because the look-up reads 5 bits and the fifth may be anything. Only few lines of the table
// are in use at a time.
struct Mxfp4Table {
    alignas(64) uint16_t value[256][32] = {};
    constexpr Mxfp4Table() {
        for (int scale = 0; scale < 256; scale++)
            for (int code = 0; code < 32; code++) value[scale][code] = mxfp4_bf16(code & 15, scale);
    }
};
constexpr Mxfp4Table kMxfp4;

// MXFP4 blocks are decoded in the order that costs least: position 8 i + w holds column 4 w + i, the ith code of 16-bit
// word w. Their activations are packed in the same order.
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

// Decoders of a matrix's rows, one for each way of storing them. at() finds a step's place in row o; columns() decodes
// the kStep columns at such a place, r rows further on. A step of a row takes kBytes and kScaleBytes.

// kSteps: steps of a row; 0: known only at run time. If the compiler knows the distance of rows, that saves up to 8 %.
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

    struct Place {
        const uint8_t *code, *scale;
    };
    Place at(int64_t o, int64_t step) const {
        Place place{codes + 16 * (o * row_steps() + step), scales + o * row_steps() + step};
        // Without this, GCC 12 keeps the rows' distances in vector registers, which is 15 % slower.
        asm("" : "+r"(place.code), "+r"(place.scale));
        return place;
    }
    __m512i columns(const Place& place, int64_t r) const {
        return decode_mxfp4(place.code + 16 * r * row_steps(), place.scale[r * row_steps()]);
    }
};

struct Bf16Decoder {
    const bf16* data;
    int64_t n_in;

    explicit Bf16Decoder(const Matrix& w) : data(static_cast<const bf16*>(w.data)), n_in(w.n_in) {}
    static constexpr int64_t kBytes = 64, kScaleBytes = 0;
    const char* row(int64_t o) const { return reinterpret_cast<const char*>(data + o * n_in); }
    const char* scale_row(int64_t) const { return nullptr; }

    struct Place {
        const bf16* from;
        __mmask32 columns;
    };
    Place at(int64_t o, int64_t step) const {
        return {data + o * n_in + step * kStep, first_words(n_in - step * kStep)};
    }
    __m512i columns(const Place& place, int64_t r) const {
        return _mm512_maskz_loadu_epi16(place.columns, place.from + r * n_in);
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

    struct Place {
        const bf16* from;
        int64_t n_columns;
    };
    Place at(int64_t o, int64_t step) const { return {data + step * kStep * n_out + o, n_in - step * kStep}; }
    __m512i columns(const Place& place, int64_t r) const {
        alignas(64) bf16 columns[kStep];
        for (int64_t i = 0; i < kStep; i++) columns[i] = i < place.n_columns ? place.from[i * n_out + r] : bf16{0};
        return _mm512_load_si512(columns);
    }
};

// Calls work(decoder) with the decoder for w.
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

// Decodes rows [o, o + n_rows) of a step, with zeros from row `end` on. It is rarely called, so it is not inlined. It
// takes values, because variables whose address is taken would stay in memory.
template <class Decoder>
__attribute__((noinline)) void decode_last(bf16* out, Decoder decoder, int64_t o, int64_t n_rows, int64_t end,
                                           int64_t step) {
    for (int64_t r = 0; r < n_rows; r++)
        _mm512_store_si512(out + r * kStep,
                           o + r < end ? decoder.columns(decoder.at(o + r, step), 0) : _mm512_setzero_si512());
}

// Decodes the rows of a matrix up to row `end`, slab by slab of kSlabRows. With each row it prefetches an equal share
// of the next slab into L2. A line from memory holds one of the core's 16 fill buffers for 150 ns, unless the hardware
// has fetched it already. The hardware runs some lines ahead of reads that come in order; prefetching from four places
// of the next slab in turn gives it four times as long.
template <class Decoder, int kSlabRows>
class WeightReader {
  public:
    // Rows of a step: where they are, where they go, and what is prefetched along with them.
    struct Rows {
        typename Decoder::Place from;
        bf16* to;
        const char* fetch;
        int64_t o, n, step;
        bool whole;  // there is a row, and all rows come before the matrix's end
    };

    WeightReader(const Decoder& decoder, int64_t end)
        : decoder_(decoder), end_(end), place_bytes_((decoder.row(kSlabRows) - decoder.row(0)) / kPlaces) {}
    // Begins the slab at row o. What lies past the matrix's end is mostly the next expert.
    void start(int64_t o) {
        o_ = o;
        fetch_ = decoder_.row(o + kSlabRows);
        fetch_scales_ = decoder_.scale_row(o + kSlabRows);
    }
    // Rows [first, first + n) of the slab's step, to be read to `out`.
    Rows rows(bf16* out, int64_t first, int64_t n, int64_t step) const {
        const int64_t scale_bytes = step * kSlabRows * Decoder::kScaleBytes;
        if (Decoder::kScaleBytes && first == 0 && scale_bytes % 64 == 0)
            _mm_prefetch(fetch_scales_ + scale_bytes, _MM_HINT_T1);
        const int64_t o = o_ + first, line = step * kLines + first * Decoder::kBytes / 64;
        return {decoder_.at(o, step), out, fetch_ + line / kPlaces * 64, o, n, step, n > 0 && o + n <= end_};
    }
    // Decodes kRows of these rows, from number `first` on.
    template <int kRows>
    __attribute__((always_inline)) void read(const Rows& rows, int first) const {
        if (!rows.whole) {
            if (first == 0 && rows.n > 0) decode_last(rows.to, decoder_, rows.o, rows.n, end_, rows.step);
            return;
        }
#pragma GCC unroll 32
        for (int r = first; r < first + kRows; r++) {
            _mm512_store_si512(rows.to + r * kStep, decoder_.columns(rows.from, r));
            const int64_t bytes = r * Decoder::kBytes, line = bytes / 64;
            if (kLines && bytes % 64 == 0)
                _mm_prefetch(rows.fetch + line % kPlaces * place_bytes_ + line / kPlaces * 64, _MM_HINT_T1);
        }
    }

  private:
    static constexpr int64_t kLines = kSlabRows * Decoder::kBytes / 64;  // of a step
    static constexpr int64_t kPlaces = std::max<int64_t>(1, std::min<int64_t>(4, kLines));

    const Decoder decoder_;
    const int64_t end_, place_bytes_;
    int64_t o_ = 0;
    const char *fetch_ = nullptr, *fetch_scales_ = nullptr;
};

// 32 floats of a row from column k on, rounded to nearest even, as 16 pairs, with zeros from n_in on.
inline __m512i round_pairs(const float* row, int64_t k, int64_t n_in) {
    const __m512 low = _mm512_maskz_loadu_ps(first_lanes(n_in - k), row + k);
    const __m512 high = _mm512_maskz_loadu_ps(first_lanes(n_in - k - 16), row + k + 16);
    return __m512i(_mm512_cvtne2ps_pbh(high, low));
}

// The same in the order into which weights of that type are decoded.
inline __m512i round_step(const float* row, int64_t k, int64_t n_in, DType weights) {
    const __m512i pairs = round_pairs(row, k, n_in);
    return weights == DType::kMXFP4 ? mxfp4_order(pairs) : pairs;
}

// Exchanges row[i] lane j and row[j] lane i of 16 registers with 16 lanes: first 2 × 2 blocks within quarters of the
// registers, then the quarters.
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
    x = _mm512_max_ps(_mm512_set1_ps(-200.0f), x);  // in this order a NaN stays one
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
