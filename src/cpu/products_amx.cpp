// products_amx.cpp: products of bf16 activations with AMX: two tiles of weight rows times one or two of tokens. While
// weights are multiplied the next ones are decoded beside them in L1.
//
// Few tokens and many run the same products in the same order. One token costs as much arithmetic as 16, but then
// decoding is the limit, and memory.
#include <algorithm>
#include <type_traits>

#include "cpu/tiles_amx.h"

namespace {

constexpr int kTileRows = 16, kSlabRows = 2 * kTileRows;
constexpr int64_t kTile = kTileRows * kStep;       // bf16
constexpr int64_t kSums = kTileRows * kPanelRows;  // floats
constexpr int64_t kSlabSteps = 6;  // two slabs of 12 KB, the sums and two panels' share fit L1; storing sums costs 10 %

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

// Tokens of panel p; none if there is no such panel.
int panel_tokens(int64_t p, int64_t n_tok) {
    return int(std::clamp<int64_t>(n_tok - p * kPanelRows, 0, kPanelRows));
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

// How a panel's sums of two tiles lie in memory: (2, 16 rows, 16 tokens). One token's tiles are columns: (2, 16 rows).
struct SumLayout {
    int64_t row_bytes, tile;
    explicit SumLayout(int n_tok) : row_bytes(n_tok == 1 ? 4 : 64), tile(n_tok == 1 ? kTileRows : kSums) {}
};

// y[t][r] = sums[r][t] + bias[r] of a slab and one panel.
void write(float* y, int64_t y_stride, const float* sums, const float* bias, int64_t n_rows, int n_tok) {
    if (n_tok == 1) return write_rows(y, sums, bias, n_rows);
    for (int64_t r = 0; r < n_rows; r += kTileRows)
        write_tile(y + r, y_stride, sums + r * kPanelRows, bias + r, n_rows - r, n_tok);
}

// One panel or two.
struct Panels {
    const bf16 *a, *b;
    int tokens_a, tokens_b;
    float *sums_a, *sums_b;  // in memory

    Panels(const bf16* x, int64_t n_tok, int64_t n_steps, int64_t first, float* sums)
        : a(x + first * kPanelRows * n_steps * kStep),
          b(a + kPanelRows * n_steps * kStep),
          tokens_a(panel_tokens(first, n_tok)),
          tokens_b(panel_tokens(first + 1, n_tok)),
          sums_a(sums + first * 2 * kSums),
          sums_b(sums_a + 2 * kSums) {}
    int n() const { return tokens_b > 0 ? 2 : 1; }
    void configure() const { configure_tiles(tokens_a, n() == 2 ? tokens_b : tokens_a); }
    template <int kPanels>
    void clear_sums() const {
        _tile_zero(0);
        _tile_zero(2);
        if (kPanels == 2) {
            _tile_zero(1);
            _tile_zero(3);
        }
    }
    // Sums and, of many, activations pass through L1 but once: loads that say so leave it to the weights.
    template <int kPanels>
    void load_sums() const {
        const SumLayout of_a(tokens_a), of_b(tokens_b);
        _tile_stream_loadd(0, sums_a, of_a.row_bytes);
        _tile_stream_loadd(2, sums_a + of_a.tile, of_a.row_bytes);
        if (kPanels == 2) {
            _tile_stream_loadd(1, sums_b, of_b.row_bytes);
            _tile_stream_loadd(3, sums_b + of_b.tile, of_b.row_bytes);
        }
    }
    template <int kPanels>
    void store_sums() const {
        const SumLayout of_a(tokens_a), of_b(tokens_b);
        _tile_stored(0, sums_a, of_a.row_bytes);
        _tile_stored(2, sums_a + of_a.tile, of_a.row_bytes);
        if (kPanels == 2) {
            _tile_stored(1, sums_b, of_b.row_bytes);
            _tile_stored(3, sums_b + of_b.tile, of_b.row_bytes);
        }
    }
    // y[t][r] = sums[r][t] + bias[r] of a slab.
    void write(float* y, int64_t y_stride, const float* bias, int64_t n_rows) const {
        ::write(y, y_stride, sums_a, bias, n_rows, tokens_a);
        if (n() == 2) ::write(y + kPanelRows * y_stride, y_stride, sums_b, bias, n_rows, tokens_b);
    }
};

// The sums += step s of a slab, whose two tiles are at `weights`, times the panels. `between` is called after the first and
// before the last products.
template <int kPanels, bool kStream, class F>
void multiply(const Panels& x, int64_t s, const bf16* weights, F&& between) {
    const bf16 *a = x.a + s * kStep * x.tokens_a, *b = x.b + s * kStep * x.tokens_b;
    if (kStream)
        _tile_stream_loadd(6, a, 4 * x.tokens_a);
    else
        _tile_loadd(6, a, 4 * x.tokens_a);
    _tile_loadd(4, weights, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (kPanels == 2) {
        if (kStream)
            _tile_stream_loadd(7, b, 4 * x.tokens_b);
        else
            _tile_loadd(7, b, 4 * x.tokens_b);
        _tile_dpbf16ps(1, 4, 7);
    }
    between();
    _tile_loadd(5, weights + kTile, 64);
    _tile_dpbf16ps(2, 5, 6);
    if (kPanels == 2) _tile_dpbf16ps(3, 5, 7);
}

// All tokens in one panel (kPanels == 1) or two: their sums stay in the tiles, and a step is decoded while the one before it
// is multiplied.
template <int kPanels, class Decoder>
void dot_few(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Decoder& decoder, int64_t n_steps,
             const float* bias, int64_t o0, int64_t o1) {
    alignas(64) bf16 steps[2][2 * kTile];
    alignas(64) float sums[kPanels * 2 * kSums];
    const Panels panels(x, n_tok, n_steps, 0, sums);
    panels.configure();
    WeightReader<Decoder> weights(decoder, o1);
    for (int64_t o = o0; o < o1; o += kSlabRows) {
        weights.fetch_from(o + kSlabRows);
        weights.template read<kTileRows>(steps[0], o, 0);
        weights.template read<kTileRows>(steps[0] + kTile, o + kTileRows, 0);
        panels.clear_sums<kPanels>();
        for (int64_t s = 0; s < n_steps; s++) {
            const bool more = s + 1 < n_steps;
            bf16* next = steps[(s + 1) % 2];
            if (more) weights.template read<kTileRows>(next, o, s + 1);
            finish_stores(steps);
            multiply<kPanels, false>(panels, s, steps[s % 2], [&] {
                if (more) weights.template read<kTileRows>(next + kTile, o + kTileRows, s + 1);
                finish_stores(steps);
            });
        }
        panels.store_sums<kPanels>();
        panels.write(y + (o - o0), y_stride, bias + (o - o0), std::min<int64_t>(kSlabRows, o1 - o));
    }
    _tile_release();
}

// Decodes a slab of kSlabSteps or fewer steps, a tile at a time.
template <class Decoder>
class SlabWriter {
  public:
    SlabWriter(const Decoder& decoder, int64_t end) : weights_(decoder, end) {}
    void start(bf16* slab, int64_t o, int64_t first, int64_t steps) {
        if (first == 0) weights_.fetch_from(o + kSlabRows);
        slab_ = slab;
        o_ = o;
        first_ = first;
        tile_ = 0;
        n_tiles_ = 2 * steps;
    }
    void next_tile() {
        if (tile_ == n_tiles_) return;
        weights_.template read<kTileRows>(slab_ + tile_ * kTile, o_ + tile_ % 2 * kTileRows, first_ + tile_ / 2);
        tile_++;
        finish_stores(slab_);
    }
    void finish() {
        while (tile_ < n_tiles_) next_tile();
    }

  private:
    WeightReader<Decoder> weights_;
    bf16* slab_ = nullptr;
    int64_t o_ = 0, first_ = 0, tile_ = 0, n_tiles_ = 0;
};

// More panels: a slab is multiplied by all tokens, a pair of panels after the other, while the next one is decoded.
template <class Decoder>
void dot_many(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Decoder& decoder, int64_t n_steps,
              const float* bias, int64_t o0, int64_t o1) {
    static thread_local Scratch<float> sum_memory;
    alignas(64) bf16 slabs[2][kSlabSteps * 2 * kTile];
    const int64_t n_panels = (n_tok + kPanelRows - 1) / kPanelRows, n_pairs = (n_panels + 1) / 2;
    float* sums = sum_memory.get(n_panels * 2 * kSums);
    int shape_a = 0, shape_b = 0;
    SlabWriter<Decoder> writer(decoder, o1);
    int now = 0;
    writer.start(slabs[now], o0, 0, std::min(kSlabSteps, n_steps));
    writer.finish();
    for (int64_t o = o0; o < o1; o += kSlabRows) {
        for (int64_t first = 0; first < n_steps; first += kSlabSteps, now ^= 1) {
            const int64_t end = std::min(first + kSlabSteps, n_steps);
            if (end < n_steps)
                writer.start(slabs[now ^ 1], o, end, std::min(kSlabSteps, n_steps - end));
            else if (o + kSlabRows < o1)
                writer.start(slabs[now ^ 1], o + kSlabRows, 0, std::min(kSlabSteps, n_steps));
            // There and back: the pair at the turn keeps its sums in the tiles.
            const bool back = first / kSlabSteps % 2;
            for (int64_t i = 0; i < n_pairs; i++) {
                const Panels pair(x, n_tok, n_steps, 2 * (back ? n_pairs - 1 - i : i), sums);
                if (pair.tokens_a != shape_a || pair.tokens_b != shape_b) pair.configure();
                shape_a = pair.tokens_a;
                shape_b = pair.tokens_b;
                const auto run = [&](auto n) {
                    if (first == 0)
                        pair.clear_sums<n()>();
                    else if (i > 0)
                        pair.load_sums<n()>();
                    for (int64_t s = first; s < end; s++)
                        multiply<n(), true>(pair, s, slabs[now] + (s - first) * 2 * kTile, [&] { writer.next_tile(); });
                    if (end == n_steps || i + 1 < n_pairs) pair.store_sums<n()>();
                };
                if (pair.n() == 2)
                    run(std::integral_constant<int, 2>());
                else
                    run(std::integral_constant<int, 1>());
            }
            writer.finish();
        }
        for (int64_t p = 0; p < n_panels; p += 2)
            Panels(x, n_tok, n_steps, p, sums)
                .write(y + p * kPanelRows * y_stride + (o - o0), y_stride, bias + (o - o0),
                       std::min<int64_t>(kSlabRows, o1 - o));
    }
    _tile_release();
}

void dot(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Matrix& w, const float* bias, int64_t o0,
         int64_t o1) {
    with_decoder(w, [&](const auto& decoder) {
        const int64_t n_steps = padded(w.n_in) / kStep;
        if (n_tok <= kPanelRows)
            dot_few<1>(y, y_stride, x, n_tok, decoder, n_steps, bias, o0, o1);
        else if (n_tok <= 2 * kPanelRows)
            dot_few<2>(y, y_stride, x, n_tok, decoder, n_steps, bias, o0, o1);
        else
            dot_many(y, y_stride, x, n_tok, decoder, n_steps, bias, o0, o1);
    });
}

}  // namespace

void attend_amx(const AttentionTile& tile);  // attention_amx.cpp

const Bf16Kernels kAmxProducts{pack, dot, swiglu_row, attend_amx};
