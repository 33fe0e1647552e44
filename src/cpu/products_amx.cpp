// products_amx.cpp: products of bf16 activations with AMX: two tiles of weight rows times two of tokens, from a slab of
// weights in L1, while the vector units decode the next slab. The sums wait in memory from slab to slab.
//
// Few tokens and many run the same instructions in the same order. One token costs as much arithmetic as 16, but then
// decoding is the limit, and memory.
#include <algorithm>

#include "cpu/tiles_amx.h"

namespace {

constexpr int kSlabRows = 32;      // two tiles
constexpr int64_t kSlabSteps = 4;  // a cache line of MXFP4 a row; 8 KB: two slabs, two panels' share and sums fit L1
constexpr int64_t kTile = 256;     // floats

void pack(bf16* out, const float* const* x, int n, int64_t n_in) {
    auto* pairs = reinterpret_cast<int32_t*>(out);  // (n_in / 2, n)
    for (int64_t k = 0; k < n_in; k += kStep) {
        __m512i row[16];
        for (int i = 0; i < 16; i++) row[i] = i < n ? round_pairs(x[i], k, n_in) : _mm512_setzero_si512();
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
    float* memory;  // (panels, 2 tiles, 16 rows, 16 tokens)
    bool zero;      // before: nothing yet
    bool load;      // before: in memory, else in the tiles
    bool store;     // after
};

// The slab times one panel (kPanels == 1) or two. Calls meanwhile() after each step: AMX is busy for 64 cycles then, and the
// rest of the core is not.
template <int kPanels, class F>
void multiply(const Sums& sums, const bf16* slab, const bf16* a, const bf16* b, int tokens_a, int tokens_b,
              int64_t steps, F&& meanwhile) {
    if (sums.zero) {
        _tile_zero(0);
        _tile_zero(2);
        if (kPanels == 2) {
            _tile_zero(1);
            _tile_zero(3);
        }
    } else if (sums.load) {
        _tile_loadd(0, sums.memory, 64);
        _tile_loadd(2, sums.memory + kTile, 64);
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
        meanwhile();
    }
    if (!sums.store) return;
    _tile_stored(0, sums.memory, 64);
    _tile_stored(2, sums.memory + kTile, 64);
    if (kPanels == 2) {
        _tile_stored(1, sums.memory + 2 * kTile, 64);
        _tile_stored(3, sums.memory + 3 * kTile, 64);
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
    bf16* slabs = slab_memory.get(2 * kSlab);
    float* sums = sum_memory.get(n_panels * 2 * kTile);

    // Slab i of n: part i % n_parts of the depth, of 32 rows.
    const int64_t n_parts = (n_steps + kSlabSteps - 1) / kSlabSteps;
    const int64_t n_slabs = (o1 - o0 + kSlabRows - 1) / kSlabRows * n_parts;
    const auto writer = [&](int64_t i) {
        const int64_t o = o0 + i / n_parts * kSlabRows, part = i % n_parts;
        const int64_t first = part * kSlabSteps, end = std::min(n_steps, first + kSlabSteps);
        return SlabWriter<kSlabRows, Decoder>{
            &decoder, slabs + i % 2 * kSlab, o, std::min<int64_t>(kSlabRows, o1 - o), first, end - first};
    };

    int shape_a = 0, shape_b = 0;
    auto slab = writer(0);
    slab.write(0, kSlabRows);
    for (int64_t i = 0; i < n_slabs; i++) {
        const auto next = writer(std::min(i + 1, n_slabs - 1));
        const int64_t n_rows = i + 1 < n_slabs ? kSlabRows : 0;
        const int64_t at_once = (n_rows + n_pairs * slab.steps - 1) / (n_pairs * slab.steps);
        int64_t done = 0;
        const auto meanwhile = [&] {
            const int64_t due = std::min(done + at_once, n_rows);
            next.write(done, due);
            done = due;
        };
        const bool first = slab.first == 0, last = slab.first + slab.steps == n_steps, one_pair = n_panels <= 2;
        finish_stores(slabs);
        for (int64_t p = 0; p < n_panels; p += 2) {
            const bool two = p + 1 < n_panels;
            const int tokens_a = panel_tokens(p, n_tok), tokens_b = two ? panel_tokens(p + 1, n_tok) : tokens_a;
            if (tokens_a != shape_a || tokens_b != shape_b) configure_tiles(shape_a = tokens_a, shape_b = tokens_b);
            const bf16* a = x + p * panel_size + slab.first * kStep * tokens_a;
            const bf16* b = x + (p + 1) * panel_size + slab.first * kStep * tokens_b;
            const Sums pair{sums + p * 2 * kTile, first, !one_pair, last || !one_pair};
            if (two)
                multiply<2>(pair, slab.slab, a, b, tokens_a, tokens_b, slab.steps, meanwhile);
            else
                multiply<1>(pair, slab.slab, a, a, tokens_a, tokens_a, slab.steps, meanwhile);
        }
        if (last)
            for (int64_t p = 0; p < n_panels; p++)
                for (int64_t r = 0; r < slab.n; r += 16)
                    write_tile(y + p * kPanelRows * y_stride + (slab.o - o0) + r, y_stride,
                               sums + p * 2 * kTile + r * 16, bias + (slab.o - o0) + r, slab.n - r,
                               panel_tokens(p, n_tok));
        slab = next;
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
