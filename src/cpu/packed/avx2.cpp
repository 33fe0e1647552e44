// avx2.cpp: products of activations rounded to 16 bits with AVX2, which has no instruction for bf16.
//
// MXFP4 weights are small whole numbers times a power of two that a block of 32 shares. Tokens are rounded to the same
// form, with whole numbers of 15 bits, because VPMADDWD makes twice as many products as a multiply-add of floats. An
// element's error is at most 2^-14 of its block's largest element (in bf16, 2^-9 of the element). Whole numbers are
// added without error, the blocks' sums in f32 with k ascending. bf16 weights gain nothing from this: their products
// use the loops of f32/avx2.cpp and round nothing.
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "cpu/packed/f32_products.h"
#include "cpu/packed/mxfp4_rows.h"

namespace {

// A token's block takes this much: 32 floats; or 32 whole numbers of 16 bits, their scale and a gap.
constexpr int kBlockBytes = kBlock * int(sizeof(float));

// Calls work(n, t) for the n tokens from t on: for four at a time, at the end for the one to three that are left.
template <class F>
void by_fours(int64_t n_tok, F&& work) {
    const int64_t rest = n_tok % 4, t = n_tok - rest;
    for (int64_t four = 0; four < t; four += 4) work(std::integral_constant<int, 4>(), four);
    if (rest == 3) work(std::integral_constant<int, 3>(), t);
    if (rest == 2) work(std::integral_constant<int, 2>(), t);
    if (rest == 1) work(std::integral_constant<int, 1>(), t);
}

// A mask of the first n of 8 elements; all 8 if n is more.
__m256i first_lanes(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(int(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
__m256 load_first(const float* p, int64_t n) {
    return n >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(n));
}
void store_first(float* p, __m256 v, int64_t n) {
    n >= 8 ? _mm256_storeu_ps(p, v) : _mm256_maskstore_ps(p, first_lanes(n), v);
}

// A panel has for each block (width, 16 pairs) int16 and (width) f32 scales: kPanelBlock elements of 16 bits a token.
constexpr int64_t kPairs = kBlock / 2, kPanelBlock = kBlock + 2;

// Tokens' numbers are at most 2^14. Weights are doubled and put into the upper byte of an int16, so they are at most
// 2^8 · 12. The sum of 32 products stays below 2^31, and is 2^9 times too large.
constexpr int kTokenBits = 14, kWeightShift = 9;

// Rounds a block of 32 to whole numbers and returns their scale. Pair 4 i + j holds columns 8 j + i and 8 j + i + 4,
// for i and j below 4.
float round_block(int16_t* pairs, const float* x) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i most = _mm256_setzero_si256();
    for (int k = 0; k < kBlock; k += 8)
        most = _mm256_max_epi32(most, _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + k)), magnitude));
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    // The exponent field of the largest element, raised where the scale would be subnormal.
    const int exponent = std::max(_mm_cvtsi128_si32(m) >> 23, kTokenBits + kWeightShift);
    const auto power = [](int stored) { return _mm_castsi128_ps(_mm_cvtsi32_si128(stored << 23)); };
    const __m256 factor = _mm256_broadcastss_ps(power(254 + kTokenBits - 1 - exponent));
    __m128i of[4];  // the pairs of 8 columns each
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const __m256i n = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * j), factor));
        const __m128i first = _mm256_castsi256_si128(n), second = _mm256_extracti128_si256(n, 1);
        of[j] = _mm_blend_epi16(first, _mm_slli_epi32(second, 16), 0xaa);
    }
    const __m128i low = _mm_unpacklo_epi32(of[0], of[1]), low2 = _mm_unpacklo_epi32(of[2], of[3]);
    const __m128i high = _mm_unpackhi_epi32(of[0], of[1]), high2 = _mm_unpackhi_epi32(of[2], of[3]);
    const auto store = [&](int i, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(pairs + 8 * i), v); };
    store(0, _mm_unpacklo_epi64(low, low2));
    store(1, _mm_unpackhi_epi64(low, low2));
    store(2, _mm_unpacklo_epi64(high, high2));
    store(3, _mm_unpackhi_epi64(high, high2));
    // Infinities and NaNs have exponent 255: every sum becomes NaN.
    return _mm_cvtss_f32(exponent < 255 ? power(exponent - (kTokenBits - 1) - kWeightShift)
                                        : _mm_castsi128_ps(_mm_cvtsi32_si128(0x7fc00000)));
}

void pack_mxfp4(int16_t* panel, const float* const* x, int n, int width, int64_t first, int64_t n_columns) {
    int16_t* block = panel + first / kBlock * width * kPanelBlock;
    for (int64_t k = 0; k < n_columns; k += kBlock, block += width * kPanelBlock)
        for (int i = 0; i < n; i++) {
            const float scale = round_block(block + i * kBlock, x[i] + k);
            std::memcpy(block + width * kBlock + 2 * i, &scale, sizeof scale);
        }
}

// A register's lanes are rows, so that a sum belongs to one row and one token.
constexpr int kLanes = 8, kTileRows = 2 * kLanes;
constexpr int64_t kPieceBlocks = 8;

// Some blocks of a tile of rows, decoded.
struct Piece {
    alignas(32) int16_t pairs[kPieceBlocks][2][kPairs][2 * kLanes];
    alignas(32) float scale[kPieceBlocks][2][kLanes];
};

// Without this, GCC 12 computes all products of an unrolled loop first and keeps them in memory to add them as a tree.
inline void keep_order(__m256i& sum) {
    asm("" : "+x"(sum));
}

// Two rows of codes.
__m256i load_rows(const uint8_t* first, const uint8_t* second) {
    const auto load = [](const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load(first)), load(second), 1);
}

// The values of 32 bytes of codes as int16. Bytes 4 j to 4 j + 3 of a block are columns 8 j to 8 j + 7, and become the
// pairs 4 i + j in of[i].
struct Decoded {
    __m256i of[4];
};
Decoded decode_codes(__m256i codes) {
    const __m256i doubled = _mm256_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,  //
                                             0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    const __m256i nibble = _mm256_set1_epi8(15), upper = _mm256_set1_epi16(int16_t(0xff00));
    const __m256i even = _mm256_shuffle_epi8(doubled, _mm256_and_si256(codes, nibble));
    const __m256i odd = _mm256_shuffle_epi8(doubled, _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble));
    return {{_mm256_slli_epi16(even, 8), _mm256_slli_epi16(odd, 8), _mm256_and_si256(even, upper),
             _mm256_and_si256(odd, upper)}};
}

// Decodes a block of 8 rows to (pairs, 8 rows). The codes of the first row are at `codes`.
void decode_block(int16_t (*pairs)[2 * kLanes], const uint8_t* codes, int64_t row_bytes) {
    const auto rows = [&](int r) { return load_rows(codes + r * row_bytes, codes + (r + 4) * row_bytes); };
    const __m256i a = rows(0), b = rows(1), c = rows(2), d = rows(3);
    const __m256i ab = _mm256_unpacklo_epi32(a, b), cd = _mm256_unpacklo_epi32(c, d);
    const __m256i ab2 = _mm256_unpackhi_epi32(a, b), cd2 = _mm256_unpackhi_epi32(c, d);
    const __m256i columns[4] = {_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd),
                                _mm256_unpacklo_epi64(ab2, cd2), _mm256_unpackhi_epi64(ab2, cd2)};
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {  // 8 columns: 4 bytes of each row
        const Decoded decoded = decode_codes(columns[j]);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) _mm256_store_si256(reinterpret_cast<__m256i*>(pairs[4 * i + j]), decoded.of[i]);
    }
}

// The scales of 8 rows and up to 8 blocks: transposes 8 × 8 bytes and makes f32 of them. 2^-127 is subnormal; no
// checkpoint has the scale 255.
void decode_scales(float (*scale)[2][kLanes], int half, const uint8_t* scales, int64_t n_blocks, int64_t n) {
    static_assert(kLanes == 8 && kPieceBlocks == 8, "8 bytes of 8 rows");
    __m128i row[kLanes];
#pragma GCC unroll 8
    for (int r = 0; r < kLanes; r++) {
        uint64_t bytes = 0;
        std::memcpy(&bytes, scales + r * n_blocks, n < 8 ? size_t(n) : 8);
        row[r] = _mm_cvtsi64_si128(int64_t(bytes));
    }
    const auto pair = [&](int r) { return _mm_unpacklo_epi8(row[r], row[r + 1]); };
    const __m128i a = pair(0), b = pair(2), c = pair(4), d = pair(6);
    const __m128i ab = _mm_unpacklo_epi16(a, b), cd = _mm_unpacklo_epi16(c, d);
    const __m128i ab2 = _mm_unpackhi_epi16(a, b), cd2 = _mm_unpackhi_epi16(c, d);
    const __m128i two_blocks[4] = {_mm_unpacklo_epi32(ab, cd), _mm_unpackhi_epi32(ab, cd), _mm_unpacklo_epi32(ab2, cd2),
                                   _mm_unpackhi_epi32(ab2, cd2)};
    const auto store = [](float* to, __m128i bytes) {
        const __m256i exponent = _mm256_slli_epi32(_mm256_cvtepu8_epi32(bytes), 23);
        _mm256_store_ps(to, _mm256_castsi256_ps(_mm256_max_epi32(exponent, _mm256_set1_epi32(0x00400000))));
    };
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        store(scale[2 * i][half], two_blocks[i]);
        store(scale[2 * i + 1][half], _mm_srli_si128(two_blocks[i], 8));
    }
}

// Decodes n blocks from `first` on, and prefetches those of the next tile: a row is shorter than a page and ends before
// the hardware has learned where the next one lies.
void decode(Piece& piece, const Mxfp4Rows& rows, int64_t first, int64_t n) {
    const int64_t row_bytes = 16 * rows.n_blocks;
    for (int half = 0; half < 2; half++)
        decode_scales(piece.scale, half, rows.scales + half * kLanes * rows.n_blocks + first, rows.n_blocks, n);
    for (int64_t b = 0; b < n; b++) {
        const uint8_t* codes = rows.codes + 16 * (first + b);
        for (int half = 0; half < 2; half++)
            decode_block(piece.pairs[b][half], codes + half * kLanes * row_bytes, row_bytes);
        for (int64_t r = b * kTileRows / kPieceBlocks; r < (b + 1) * kTileRows / kPieceBlocks; r++)
            for (int64_t line = 0; line < 16 * kPieceBlocks; line += 64)
                _mm_prefetch(rows.codes + (kTileRows + r) * row_bytes + 16 * first + line, _MM_HINT_T0);
    }
}

// sums (N, 16 rows) += a piece's blocks times N tokens. x: the first token's numbers in the first block. Blocks, and
// their scales, are `stride` apart.
template <int N>
void add_piece(float* sums, const Piece& piece, int64_t n_blocks, const int16_t* x, const int16_t* scales,
               int64_t stride) {
    for (int64_t b = 0; b < n_blocks; b++, x += stride, scales += stride) {
        __m256i sum[N][2];
#pragma GCC unroll 4
        for (int t = 0; t < N; t++) sum[t][0] = sum[t][1] = _mm256_setzero_si256();
#pragma GCC unroll 16
        for (int pair = 0; pair < kPairs; pair++) {
            const auto weights = [&](int half) {
                return _mm256_load_si256(reinterpret_cast<const __m256i*>(piece.pairs[b][half][pair]));
            };
            const __m256i w0 = weights(0), w1 = weights(1);
#pragma GCC unroll 4
            for (int t = 0; t < N; t++) {
                int32_t two;
                std::memcpy(&two, x + t * kBlock + 2 * pair, sizeof two);
                const __m256i token = _mm256_set1_epi32(two);
                sum[t][0] = _mm256_add_epi32(sum[t][0], _mm256_madd_epi16(w0, token));
                sum[t][1] = _mm256_add_epi32(sum[t][1], _mm256_madd_epi16(w1, token));
                keep_order(sum[t][0]);
                keep_order(sum[t][1]);
            }
        }
#pragma GCC unroll 4
        for (int t = 0; t < N; t++) {
            float one;
            std::memcpy(&one, scales + 2 * t, sizeof one);
            const __m256 token = _mm256_set1_ps(one);
            for (int half = 0; half < 2; half++) {
                float* const to = sums + t * kTileRows + half * kLanes;
                const __m256 scale = _mm256_mul_ps(_mm256_load_ps(piece.scale[b][half]), token);
                _mm256_store_ps(to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[t][half]), scale, _mm256_load_ps(to)));
            }
        }
    }
}

// One token times up to 8 rows, multiplied as soon as they are decoded. A register has two rows, a row four sums: whole
// numbers have the same sum in any order.
void dot_one(float* y, const int16_t* x, const Mxfp4Rows& rows, const float* bias, int64_t n_rows) {
    alignas(32) float scale[kPieceBlocks][2][kLanes];
    const int64_t row_bytes = 16 * rows.n_blocks;
    __m256 sum = _mm256_setzero_ps();
    for (int64_t first = 0; first < rows.n_blocks; first += kPieceBlocks) {
        const int64_t n = std::min(kPieceBlocks, rows.n_blocks - first);
        decode_scales(scale, 0, rows.scales + first, rows.n_blocks, n);
        for (int64_t b = 0; b < n; b++) {
            const uint8_t* codes = rows.codes + 16 * (first + b);
            const int16_t* block = x + (first + b) * kPanelBlock;
            // A line holds four blocks. With each block, two of the next 8 rows are prefetched.
            const uint8_t* next = codes + (kLanes + 2 * (b % 4)) * row_bytes;
            _mm_prefetch(next, _MM_HINT_T0);
            _mm_prefetch(next + row_bytes, _MM_HINT_T0);
            __m256i part[4];
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++) {
                const Decoded w = decode_codes(load_rows(codes + r * row_bytes, codes + (r + 4) * row_bytes));
                const auto product = [&](int i) {
                    const auto* pairs = reinterpret_cast<const __m128i*>(block + 8 * i);
                    return _mm256_madd_epi16(w.of[i], _mm256_broadcastsi128_si256(_mm_loadu_si128(pairs)));
                };
                part[r] = _mm256_add_epi32(_mm256_add_epi32(product(0), product(1)),
                                           _mm256_add_epi32(product(2), product(3)));
            }
            const __m256i whole =
                _mm256_hadd_epi32(_mm256_hadd_epi32(part[0], part[1]), _mm256_hadd_epi32(part[2], part[3]));
            float token;
            std::memcpy(&token, block + kBlock, sizeof token);
            sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole),
                                  _mm256_mul_ps(_mm256_load_ps(scale[b][0]), _mm256_set1_ps(token)), sum);
        }
    }
    store_first(y, _mm256_add_ps(sum, load_first(bias, n_rows)), n_rows);
}

// Decodes a piece of 16 rows into L1 once for all tokens.
void dot_mxfp4(float* y, int64_t y_stride, const std::byte* panels, int64_t n_tok, const Matrix& w, const float* bias,
               int64_t o0, int64_t o1) {
    static_assert(kPanelRows % 4 == 0, "tokens taken together lie in one panel");
    alignas(32) float sums[kPackedRowsAtOnce * kTileRows];
    Piece piece;
    const int64_t n_blocks = w.n_in / kBlock, width = std::min<int64_t>(n_tok, kPanelRows);
    const int64_t stride = width * kPanelBlock;
    const auto* x = reinterpret_cast<const int16_t*>(panels);
    for (int64_t o = o0; o < o1; o += kTileRows) {
        const int64_t n_rows = std::min<int64_t>(kTileRows, o1 - o);
        const Mxfp4Rows rows = rows_at<kTileRows>(w, o, n_rows);
        if (n_tok == 1) {
            for (int64_t r = 0; r < n_rows; r += kLanes)
                dot_one(y + (o - o0) + r, x, rows.from(r), bias + (o - o0) + r, n_rows - r);
            continue;
        }
        std::fill(sums, sums + n_tok * kTileRows, 0.0f);
        for (int64_t first = 0; first < n_blocks; first += kPieceBlocks) {
            const int64_t n = std::min(kPieceBlocks, n_blocks - first);
            decode(piece, rows, first, n);
            by_fours(n_tok, [&](auto n_together, int64_t t) {  // registers: 8 sums, two weights, a token and a product
                const int16_t* panel =
                    x + t / kPanelRows * kPanelRows * n_blocks * (kBlockBytes / int64_t(sizeof(int16_t))) +
                    first * stride;
                const int64_t in_panel = t % kPanelRows;
                add_piece<n_together()>(sums + t * kTileRows, piece, n, panel + in_panel * kBlock,
                                        panel + width * kBlock + 2 * in_panel, stride);
            });
        }
        for (int64_t t = 0; t < n_tok; t++)
            for (int64_t r = 0; r < n_rows; r++)
                y[t * y_stride + (o - o0) + r] = sums[t * kTileRows + r] + bias[o - o0 + r];
    }
}

void pack(std::byte* panel, const float* const* x, int n, int width, int64_t n_in, int64_t first, int64_t n_columns,
          DType weights) {
    if (weights == DType::kMXFP4)
        pack_mxfp4(reinterpret_cast<int16_t*>(panel), x, n, width, first, n_columns);
    else
        pack_floats(panel, x, n, n_in, first, n_columns);
}

void dot(float* y, int64_t y_stride, const std::byte* x, int64_t n_tok, const Matrix& w, const float* bias, int64_t o0,
         int64_t o1) {
    if (w.dtype == DType::kMXFP4)
        dot_mxfp4(y, y_stride, x, n_tok, w, bias, o0, o1);
    else
        dot_floats(kAvx2Kernels, y, y_stride, x, n_tok, w, bias, o0, o1);
}

// e^x within 2 units in the last place; 0 and infinity where the exact value rounds to them. As exp16(), but 2^n is
// applied in two steps.
__m256 exp8(__m256 x) {
    x = _mm256_max_ps(_mm256_set1_ps(-200.0f), _mm256_min_ps(_mm256_set1_ps(200.0f), x));
    const __m256 n =
        _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693145752f), x);  // ln 2 in two parts, of which the first is short
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(1.42860677e-6f), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
        p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    const auto power = [](__m256i e) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(127)), 23));
    };
    return _mm256_mul_ps(_mm256_mul_ps(p, power(half)), power(_mm256_sub_epi32(whole, half)));
}

void swiglu_row(float* out, const float* up, int64_t n, float limit, float alpha) {
    const __m256 most = _mm256_set1_ps(limit), least = _mm256_set1_ps(-limit), one = _mm256_set1_ps(1.0f);
    const auto in_order = [](__m256 v) {  // quarters 0, 2, 1, 3
        return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8));
    };
    for (int64_t f = 0; f < n; f += 8) {
        const __m256 a = load_first(up + 2 * f, 2 * (n - f)), b = load_first(up + 2 * f + 8, 2 * (n - f) - 8);
        const __m256 gate = _mm256_min_ps(most, in_order(_mm256_shuffle_ps(a, b, 0x88)));
        const __m256 half = _mm256_max_ps(least, _mm256_min_ps(most, in_order(_mm256_shuffle_ps(a, b, 0xdd))));
        const __m256 e = exp8(_mm256_mul_ps(gate, _mm256_set1_ps(-alpha)));
        store_first(out + f, _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(one, e)), _mm256_add_ps(half, one)),
                    n - f);
    }
}

}  // namespace

const PackedKernels kAvx2Products{pack, dot, swiglu_row, nullptr, kBlockBytes};
