// products_amx.cpp: products of bf16 activations with AMX: two tiles of weight rows times two of tokens. A slab of weights
// is decoded into L1 and multiplied by all tokens; their sums wait in memory from slab to slab, but for 32 tokens or fewer.
//
// Few tokens and many run the same instructions in the same order. One token costs as much arithmetic as 16, but then
// decoding is the limit, and memory.
#include <algorithm>

#include "cpu/tiles_amx.h"

namespace {

constexpr int kSlabRows = 32;      // two tiles
constexpr int64_t kSlabSteps = 8;  // 16 KB: the slab, the sums and two panels' share fit L1; storing sums costs 10 %
constexpr int64_t kTile = 256;     // floats

// Fetches in a step of a panel alone, or of two. One token waits for memory: its steps fetch for as long as they take, that of
// four rows' decoding.
constexpr int fetches_a_step(int n_panels) {
    return n_panels == 1 ? 4 : 1;
}

void pack(bf16* out, const float* const* x, int n, int64_t n_in, DType weights) {
    auto* pairs = reinterpret_cast<int32_t*>(out);  // (n_in / 2, n)
    for (int64_t k = 0; k < n_in; k += kStep) {
        __m512i row[16];
        for (int i = 0; i < 16; i++) row[i] = i < n ? round_step(x[i], k, n_in, weights) : _mm512_setzero_si512();
        if (n == 1) {
            _mm512_storeu_si512(pairs + k / 2, row[0]);
            continue;
        }
        transpose(row);
        for (int i = 0; i < 16; i++) _mm512_mask_storeu_epi32(pairs + (k / 2 + i) * n, first_lanes(n), row[i]);
    }
}

// Tokens of panel p.
int panel_tokens(int64_t p, int64_t n_tok) {
    return int(std::min<int64_t>(kPanelRows, n_tok - p * kPanelRows));
}

// Where a product's sums are before and after a slab.
struct Sums {
    float* memory;  // (panels, 2 tiles, 16 rows, 16 tokens); of one token in one panel (2 tiles, 16 rows)
    bool zero;      // before: nothing yet
    bool load;      // before: in memory, else in the tiles
    bool store;     // after
};

// The slab times one panel (kPanels == 1) or two.
template <int kPanels>
void multiply(const Sums& sums, const bf16* slab, const bf16* a, const bf16* b, int tokens_a, int tokens_b,
              int64_t steps, Fetcher& fetcher) {
    // One token's tile is one column: stored without gaps, its rows lie side by side.
    const bool single = kPanels == 1 && tokens_a == 1;
    const int64_t row_bytes = single ? 4 : 64, tile = single ? 16 : kTile;
    if (sums.zero) {
        _tile_zero(0);
        _tile_zero(2);
        if (kPanels == 2) {
            _tile_zero(1);
            _tile_zero(3);
        }
    } else if (sums.load) {
        _tile_loadd(0, sums.memory, row_bytes);
        _tile_loadd(2, sums.memory + tile, row_bytes);
        if (kPanels == 2) {
            _tile_loadd(1, sums.memory + 2 * kTile, 64);
            _tile_loadd(3, sums.memory + 3 * kTile, 64);
        }
    }
    for (int64_t s = 0; s < steps; s++) {
        _tile_loadd(6, a + s * kStep * tokens_a, 4 * tokens_a);
        _tile_loadd(4, slab + s * kSlabRows * kStep, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (kPanels == 2) {
            _tile_loadd(7, b + s * kStep * tokens_b, 4 * tokens_b);
            _tile_dpbf16ps(1, 4, 7);
        }
        _tile_loadd(5, slab + (s * kSlabRows + 16) * kStep, 64);
        _tile_dpbf16ps(2, 5, 6);
        if (kPanels == 2) _tile_dpbf16ps(3, 5, 7);
        for (int i = 0; i < fetches_a_step(kPanels); i++) fetcher.fetch();
    }
    if (!sums.store) return;
    _tile_stored(0, sums.memory, row_bytes);
    _tile_stored(2, sums.memory + tile, row_bytes);
    if (kPanels == 2) {
        _tile_stored(1, sums.memory + 2 * kTile, 64);
        _tile_stored(3, sums.memory + 3 * kTile, 64);
    }
}

// y[r] = sums[r] + bias[r] of one token in one panel.
void write_rows(float* y, const float* sums, const float* bias, int64_t n_rows) {
    for (int64_t r = 0; r < n_rows; r += 16) {
        const __mmask16 rows = first_lanes(n_rows - r);
        _mm512_mask_storeu_ps(y + r, rows,
                              _mm512_add_ps(_mm512_load_ps(sums + r), _mm512_maskz_loadu_ps(rows, bias + r)));
    }
}

// y[t][r] = sums[r][t] + bias[r] of one tile.
void write_tile(float* y, int64_t y_stride, const float* sums, const float* bias, int64_t n_rows, int n_tok) {
    __m512i row[16];
    for (int r = 0; r < 16; r++) row[r] = _mm512_load_si512(sums + 16 * r);
    transpose(row);
    const __mmask16 rows = first_lanes(n_rows);
    const __m512 b = _mm512_maskz_loadu_ps(rows, bias);
    for (int t = 0; t < n_tok; t++)
        _mm512_mask_storeu_ps(y + t * y_stride, rows, _mm512_add_ps(_mm512_castsi512_ps(row[t]), b));
}

template <class Decoder>
void dot_rows(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Decoder& decoder, int64_t n_steps,
              const float* bias, int64_t o0, int64_t o1) {
    static thread_local Scratch<bf16> slab_memory;
    static thread_local Scratch<float> sum_memory;
    constexpr int64_t kSlab = kSlabSteps * kSlabRows * kStep;
    const int64_t n_panels = (n_tok + kPanelRows - 1) / kPanelRows, n_pairs = (n_panels + 1) / 2;
    const int64_t panel_size = kPanelRows * n_steps * kStep;
    bf16* slab_begin = slab_memory.get(kSlab);
    float* sums = sum_memory.get(n_panels * 2 * kTile);
    int shape_a = 0, shape_b = 0;
    for (int64_t o = o0; o < o1; o += kSlabRows) {
        const int64_t n_rows = std::min<int64_t>(kSlabRows, o1 - o);
        for (int64_t first = 0; first < n_steps; first += kSlabSteps) {
            const int64_t steps = std::min(kSlabSteps, n_steps - first);
            const SlabWriter<kSlabRows, Decoder> slab{&decoder, slab_begin, o, n_rows, first, steps};
            Fetcher fetcher(decoder, o, kSlabRows, first, steps,
                            SlabWriter<kSlabRows, Decoder>::kFetches +
                                steps * (n_panels / 2 * fetches_a_step(2) + n_panels % 2 * fetches_a_step(1)));
            slab.write(fetcher);
            finish_stores(slab_begin);
            // There and back: the pair at the turn keeps its sums in the tiles.
            const bool back = first / kSlabSteps % 2, last = first + steps == n_steps;
            for (int64_t i = 0; i < n_pairs; i++) {
                const int64_t p = 2 * (back ? n_pairs - 1 - i : i);
                const bool two = p + 1 < n_panels;
                const int tokens_a = panel_tokens(p, n_tok), tokens_b = two ? panel_tokens(p + 1, n_tok) : tokens_a;
                if (tokens_a != shape_a || tokens_b != shape_b) configure_tiles(shape_a = tokens_a, shape_b = tokens_b);
                const bf16* a = x + p * panel_size + first * kStep * tokens_a;
                const bf16* b = x + (p + 1) * panel_size + first * kStep * tokens_b;
                const Sums pair{sums + p * 2 * kTile, first == 0, i > 0, last || i + 1 < n_pairs};
                if (two)
                    multiply<2>(pair, slab_begin, a, b, tokens_a, tokens_b, steps, fetcher);
                else
                    multiply<1>(pair, slab_begin, a, a, tokens_a, tokens_a, steps, fetcher);
            }
        }
        for (int64_t p = 0; p < n_panels; p++) {
            float* out = y + p * kPanelRows * y_stride + (o - o0);
            const float *from = sums + p * 2 * kTile, *b = bias + (o - o0);
            const int tokens = panel_tokens(p, n_tok);
            if (tokens == 1 && p % 2 == 0) {
                write_rows(out, from, b, n_rows);
                continue;
            }
            for (int64_t r = 0; r < n_rows; r += 16)
                write_tile(out + r, y_stride, from + r * 16, b + r, n_rows - r, tokens);
        }
    }
    _tile_release();
}

void dot(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Matrix& w, const float* bias, int64_t o0,
         int64_t o1) {
    with_decoder(w, [&](const auto& decoder) {
        dot_rows(y, y_stride, x, n_tok, decoder, padded(w.n_in) / kStep, bias, o0, o1);
    });
}

}  // namespace

void attend_amx(const AttentionTile& tile);  // attention_amx.cpp

const Bf16Kernels kAmxProducts{pack, dot, swiglu_row, attend_amx};
