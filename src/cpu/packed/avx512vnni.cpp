// avx512vnni.cpp: products of MXFP4 weights with AVX-512's products of bytes (VNNI).
//
// Twice an MXFP4 value is a whole number of at most 12: weights are bytes, under the power of two that a block of 32
// shares. A token's block becomes whole numbers of 15 bits under a common power of two, as in avx2.cpp: 256 high + low,
// two planes of signed bytes. The instruction wants one operand unsigned: weights are 12 too large, and a number that
// belongs to the token's block takes that off. A block's sum is exact, and below 2^24, so that it is exact as a float,
// too. Blocks are added with k ascending.
#include <algorithm>

#include "cpu/packed/avx512_rows.h"
#include "cpu/packed/f32_products.h"
#include "cpu/packed/mxfp4_rows.h"

namespace {

constexpr int kPlanes = 2;
constexpr int kRegisters = 8;                  // of weights, 4 columns of 16 rows each: a block
constexpr int kTokenBytes = kPlanes * kBlock;  // of a block
constexpr int64_t kPieceBlocks = 15;           // 90 blocks are 6 pieces; 17 KB of weights in L1

// Beside a token's block.
struct Note {
    float scale;
    int32_t correction;
};
constexpr int64_t kStride = kTokenBytes + int64_t(sizeof(Note));  // of a token's block and note

static_assert(kStride <= kPanelBlockBytes, "fits a panel");

// Tokens' numbers are at most 2^14, and weights are doubled.
constexpr int kTokenBits = 14;

// A panel has for each block (width) times the planes of 32 bytes, then (width) notes. Byte 8 j + 4 i + b of a plane is
// column 8 j + 2 b + i: four even columns, four odd ones.
void round_block(std::byte* planes, Note& note, const float* x) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    const __m512 first = _mm512_loadu_ps(x), second = _mm512_loadu_ps(x + 16);
    const int most =
        _mm512_reduce_max_epi32(_mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(first), magnitude),
                                                 _mm512_and_si512(_mm512_castps_si512(second), magnitude)));
    // The exponent field of the largest element, raised where the scale would be subnormal.
    const int exponent = std::max(most >> 23, 23);
    const auto power = [](int stored) { return _mm_castsi128_ps(_mm_cvtsi32_si128(stored << 23)); };
    const __m512 factor = _mm512_broadcastss_ps(power(254 + kTokenBits - 1 - exponent));
    const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(first, factor));
    const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(second, factor));
    const __m256i even_first =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
    const auto store = [&](int plane, __m512i low, __m512i high) {
        const __m256i bytes =
            _mm256_inserti128_si256(_mm256_castsi128_si256(_mm512_cvtepi32_epi8(low)), _mm512_cvtepi32_epi8(high), 1);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + plane * kBlock),
                            _mm256_shuffle_epi8(bytes, even_first));
    };
    const auto upper = [](__m512i v) { return _mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(128)), 8); };
    store(0, upper(a), upper(b));
    store(1, a, b);
    // Infinities and NaNs have exponent 255: every sum becomes NaN. Their whole numbers could not be added.
    const bool finite = exponent < 255;
    note.scale = _mm_cvtss_f32(finite ? power(exponent - kTokenBits) : _mm_castsi128_ps(_mm_cvtsi32_si128(0x7fc00000)));
    note.correction = finite ? -12 * _mm512_reduce_add_epi32(_mm512_add_epi32(a, b)) : 0;
}

// 4 columns of 16 rows in each register, as unsigned bytes that are twice the value, plus 12.
struct Weights {
    __m512i of[kRegisters];
};

// A block of 16 rows, whose codes are `stride` apart. Bytes 4 j to 4 j + 3 of a block are columns 8 j to 8 j + 7: a
// dword for registers 2 j (even columns) and 2 j + 1.
inline Weights decode_block(const uint8_t* codes, int64_t stride) {
    __m512i z[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const auto row = [&](int r) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + r * stride)); };
        const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(row(i)), row(i + 4), 1);
        const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(row(i + 8)), row(i + 12), 1);
        z[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    const __m512i a = _mm512_unpacklo_epi32(z[0], z[1]), b = _mm512_unpacklo_epi32(z[2], z[3]);
    const __m512i c = _mm512_unpackhi_epi32(z[0], z[1]), d = _mm512_unpackhi_epi32(z[2], z[3]);
    const __m512i dwords[4] = {_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b), _mm512_unpacklo_epi64(c, d),
                               _mm512_unpackhi_epi64(c, d)};
    const __m512i doubled =
        _mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
    const __m512i nibble = _mm512_set1_epi8(15);
    Weights w;
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        w.of[2 * j] = _mm512_shuffle_epi8(doubled, _mm512_and_si512(dwords[j], nibble));
        w.of[2 * j + 1] = _mm512_shuffle_epi8(doubled, _mm512_and_si512(_mm512_srli_epi16(dwords[j], 4), nibble));
    }
    return w;
}

// Scale bytes of 16 rows and up to 16 blocks, (blocks, 16 rows): four rounds of interleaving rows i and i + 8.
inline void transpose_scales(uint8_t* to, const uint8_t* scales, int64_t n_blocks, int64_t n) {
    __m128i a[16], b[16];
    const auto columns = __mmask16(first_lanes(n));
#pragma GCC unroll 16
    for (int r = 0; r < 16; r++) a[r] = _mm_maskz_loadu_epi8(columns, scales + r * n_blocks);
#pragma GCC unroll 4
    for (int round = 0; round < 4; round++) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) a[i] = b[i];
    }
#pragma GCC unroll 16
    for (int r = 0; r < 16; r++) _mm_store_si128(reinterpret_cast<__m128i*>(to) + r, a[r]);
}

// Powers of two as floats. 2^-127 is subnormal; no checkpoint has the scale 255.
inline __m512 scales_of(const uint8_t* bytes) {
    const __m512i exponent =
        _mm512_slli_epi32(_mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes))), 23);
    return _mm512_castsi512_ps(_mm512_max_epi32(exponent, _mm512_set1_epi32(0x00400000)));
}

inline Note note_at(const std::byte* p, int t) {
    Note note;
    std::memcpy(&note, p + t * int64_t(sizeof note), sizeof note);
    return note;
}

// N tokens times up to 16 rows: weights stay in registers from decoding to the last token.
template <int N>
void dot_few(float* y, int64_t y_stride, const std::byte* x, const Mxfp4Rows& rows, const float* bias, int64_t n_rows) {
    alignas(64) uint8_t scales[16 * kLanes];
    const int64_t row_bytes = 16 * rows.n_blocks;
    __m512 sum[N];
#pragma GCC unroll 4
    for (int t = 0; t < N; t++) sum[t] = _mm512_setzero_ps();
    const uint8_t* codes = rows.codes;
    for (int64_t b = 0; b < rows.n_blocks; b++, codes += 16, x += N * kStride) {
        if (b % 16 == 0) {
            transpose_scales(scales, rows.scales + b, rows.n_blocks, rows.n_blocks - b);
            for (int64_t i = b * kLanes; i < (b + 16) * kLanes; i += 64)
                _mm_prefetch(rows.scales + kLanes * rows.n_blocks + i, _MM_HINT_T1);
        }
        const uint8_t* const next = rows.codes + kLanes * row_bytes + b * 16 * kLanes;
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) _mm_prefetch(next + 64 * i, _MM_HINT_T1);
        const Weights w = decode_block(codes, row_bytes);
        const __m512 scale = scales_of(scales + b % 16 * kLanes);
#pragma GCC unroll 4
        for (int t = 0; t < N; t++) {
            const Note note = note_at(x + N * kTokenBytes, t);
            __m512i high = _mm512_setzero_si512(), low = _mm512_set1_epi32(note.correction);
#pragma GCC unroll 8
            for (int r = 0; r < kRegisters; r++) {
                high = _mm512_dpbusd_epi32(high, w.of[r], broadcast_four(x + t * kTokenBytes + 4 * r));
                low = _mm512_dpbusd_epi32(low, w.of[r], broadcast_four(x + t * kTokenBytes + kBlock + 4 * r));
            }
            const __m512i whole = _mm512_add_epi32(_mm512_slli_epi32(high, 8), low);
            sum[t] =
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), _mm512_mul_ps(scale, _mm512_set1_ps(note.scale)), sum[t]);
        }
    }
    const __mmask16 mask = first_lanes(n_rows);
    const __m512 b = _mm512_maskz_loadu_ps(mask, bias);
#pragma GCC unroll 4
    for (int t = 0; t < N; t++) _mm512_mask_storeu_ps(y + t * y_stride, mask, _mm512_add_ps(sum[t], b));
}

// Some blocks of a slab, decoded.
struct Piece {
    alignas(64) uint8_t weights[kPieceBlocks][kRegisters][kTiles][64];
    alignas(64) float scale[kPieceBlocks][kTiles][kLanes];
};

void decode(Piece& piece, const Mxfp4Rows& rows, int64_t first, int64_t n) {
    const int64_t row_bytes = 16 * rows.n_blocks;
    for (int tile = 0; tile < kTiles; tile++) {
        alignas(64) uint8_t scales[16 * kLanes];
        const int64_t o = tile * kLanes;
        transpose_scales(scales, rows.scales + o * rows.n_blocks + first, rows.n_blocks, n);
        for (int64_t b = 0; b < n; b++) {
            _mm512_store_ps(piece.scale[b][tile], scales_of(scales + b * kLanes));
            const Weights w = decode_block(rows.codes + o * row_bytes + 16 * (first + b), row_bytes);
#pragma GCC unroll 8
            for (int r = 0; r < kRegisters; r++) _mm512_store_si512(piece.weights[b][r][tile], w.of[r]);
        }
    }
}

// sums (N, kSlabRows) += a piece's blocks times N tokens. x: the first token's first block; notes: its note. Blocks are
// `stride` bytes apart.
template <int N>
void add_piece(float* sums, const Piece& piece, int64_t n_blocks, const std::byte* x, const std::byte* notes,
               int64_t stride, Fetcher& fetcher) {
    for (int64_t b = 0; b < n_blocks; b++, x += stride, notes += stride) {
        __m512i sum[N][kTiles];
#pragma GCC unroll 8
        for (int t = 0; t < N; t++) sum[t][0] = sum[t][1] = _mm512_setzero_si512();
        const auto add_plane = [&](int plane) __attribute__((always_inline)) {
#pragma GCC unroll 8
            for (int r = 0; r < kRegisters; r++) {
                const __m512i w0 = _mm512_load_si512(piece.weights[b][r][0]);
                const __m512i w1 = _mm512_load_si512(piece.weights[b][r][1]);
#pragma GCC unroll 8
                for (int t = 0; t < N; t++) {
                    const __m512i token = broadcast_four(x + t * kTokenBytes + plane * kBlock + 4 * r);
                    sum[t][0] = _mm512_dpbusd_epi32(sum[t][0], w0, token);
                    sum[t][1] = _mm512_dpbusd_epi32(sum[t][1], w1, token);
                }
            }
        };
        fetcher.step();
        add_plane(0);
#pragma GCC unroll 8
        for (int t = 0; t < N; t++)
            for (int tile = 0; tile < kTiles; tile++) sum[t][tile] = _mm512_slli_epi32(sum[t][tile], 8);
        add_plane(1);
#pragma GCC unroll 8
        for (int t = 0; t < N; t++) {
            const Note note = note_at(notes, t);
#pragma GCC unroll 2
            for (int tile = 0; tile < kTiles; tile++) {
                float* const to = sums + t * kSlabRows + tile * kLanes;
                const __m512i whole = _mm512_add_epi32(sum[t][tile], _mm512_set1_epi32(note.correction));
                const __m512 scale = _mm512_mul_ps(_mm512_load_ps(piece.scale[b][tile]), _mm512_set1_ps(note.scale));
                _mm512_store_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale, _mm512_load_ps(to)));
            }
        }
    }
}

// Decodes a piece of a slab into L1 once for all tokens.
void dot_many(float* y, int64_t y_stride, const std::byte* x, int64_t n_tok, const Mxfp4Rows& rows, const float* bias,
              int64_t n_rows) {
    alignas(64) float sums[kPackedRowsAtOnce * kSlabRows];
    Piece piece;
    const int64_t width = std::min<int64_t>(n_tok, kPanelRows);
    const int64_t stride = width * kStride;
    std::memset(sums, 0, size_t(n_tok * kSlabRows) * sizeof *sums);
    for (int64_t first = 0; first < rows.n_blocks; first += kPieceBlocks) {
        const int64_t n = std::min(kPieceBlocks, rows.n_blocks - first), next = first + n;
        decode(piece, rows, first, n);
        // What lies past a matrix's end is mostly the next expert.
        Fetcher fetcher(rows.codes + 16 * (next < rows.n_blocks ? next : kSlabRows * rows.n_blocks), 16 * rows.n_blocks,
                        16 * kPieceBlocks, n);
        for_each_group(n_tok, [&](auto n_together, int64_t t) {
            const std::byte* panel =
                x + t / kPanelRows * kPanelRows * rows.n_blocks * kPanelBlockBytes + first * stride;
            const int64_t i = t % kPanelRows;
            add_piece<n_together()>(sums + t * kSlabRows, piece, n, panel + i * kTokenBytes,
                                    panel + width * kTokenBytes + i * int64_t(sizeof(Note)), stride, fetcher);
        });
    }
    write_slab(y, y_stride, sums, bias, n_rows, n_tok);
}

}  // namespace

void pack_whole_numbers(std::byte* panel, const float* const* x, int n, int width, int64_t first, int64_t n_columns) {
    const int64_t stride = width * kStride;
    std::byte* block = panel + first / kBlock * stride;
    for (int64_t k = 0; k < n_columns; k += kBlock, block += stride)
        for (int i = 0; i < n; i++) {
            Note note;
            round_block(block + i * kTokenBytes, note, x[i] + k);
            std::memcpy(block + width * kTokenBytes + i * int64_t(sizeof note), &note, sizeof note);
        }
}

void dot_whole_numbers(float* y, int64_t y_stride, const std::byte* x, int64_t n_tok, const Matrix& w,
                       const float* bias, int64_t o0, int64_t o1) {
    for (int64_t o = o0; o < o1; o += kSlabRows, y += kSlabRows, bias += kSlabRows) {
        const int64_t n_rows = std::min<int64_t>(kSlabRows, o1 - o);
        const Mxfp4Rows rows = rows_at<kSlabRows>(w, o, n_rows);
        if (n_tok > 2) {
            dot_many(y, y_stride, x, n_tok, rows, bias, n_rows);
            continue;
        }
        for (int64_t r = 0; r < n_rows; r += kLanes) {
            if (n_tok == 1)
                dot_few<1>(y + r, y_stride, x, rows.from(r), bias + r, n_rows - r);
            else
                dot_few<2>(y + r, y_stride, x, rows.from(r), bias + r, n_rows - r);
        }
    }
}

namespace {

void pack(std::byte* panel, const float* const* x, int n, int width, int64_t n_in, int64_t first, int64_t n_columns,
          DType weights) {
    if (weights == DType::kMXFP4)
        pack_whole_numbers(panel, x, n, width, first, n_columns);
    else
        pack_floats(panel, x, n, n_in, first, n_columns);
}

void dot(float* y, int64_t y_stride, const std::byte* x, int64_t n_tok, const Matrix& w, const float* bias, int64_t o0,
         int64_t o1) {
    if (w.dtype == DType::kMXFP4)
        dot_whole_numbers(y, y_stride, x, n_tok, w, bias, o0, o1);
    else
        dot_floats(kAvx512Kernels, y, y_stride, x, n_tok, w, bias, o0, o1);
}

}  // namespace

const PackedKernels kAvx512VnniProducts{pack, dot, swiglu_row, nullptr, kPanelBlockBytes};
