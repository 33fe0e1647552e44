// amx.cpp: products of bf16 activations with AMX: two tiles of weight rows times up to three panels of tokens.
// While some weights are multiplied, the next ones are decoded into L1.
//
// Few tokens and many run the same products in the same order. One token costs as much arithmetic as 16, but for so few
// memory and decoding are the limit.
#include <algorithm>
#include <type_traits>

#include "cpu/packed/amx_tiles.h"

thread_local int tile_tokens = 0;

namespace {

constexpr int kTileRows = 16, kSlabRows = 2 * kTileRows;
constexpr int64_t kTile = kTileRows * kStep;       // bf16 elements of a tile of weights
constexpr int64_t kSums = kTileRows * kPanelRows;  // floats of a tile of results
constexpr int64_t kSlabSteps = 6;                  // two slabs of 12 KB and a part of the panels fit L1

void pack(std::byte* panel, const float* const* x, int n, int width, int64_t /*n_in*/, int64_t first, int64_t n_columns,
          DType weights) {
    auto* pairs = reinterpret_cast<int32_t*>(panel + first * width * int64_t(sizeof(bf16)));  // (n_columns / 2, width)
    for (int64_t k = 0; k < n_columns; k += kStep, pairs += kStep / 2 * width) {
        __m512i row[16];
        for (int i = 0; i < 16; i++) row[i] = i < n ? round_step(x[i], k, n_columns, weights) : _mm512_setzero_si512();
        if (width == 1) {
            _mm512_storeu_si512(pairs, row[0]);
            continue;
        }
        transpose(row);
        for (int i = 0; i < 16; i++) _mm512_mask_storeu_epi32(pairs + i * width, first_lanes(width), row[i]);
    }
}

// y[r] = sums[r] + bias[r] for one token.
void write_rows(float* y, const float* sums, const float* bias, int64_t n_rows) {
    for (int64_t r = 0; r < n_rows; r += kTileRows) {
        const __mmask16 rows = first_lanes(n_rows - r);
        _mm512_mask_storeu_ps(y + r, rows,
                              _mm512_add_ps(_mm512_load_ps(sums + r), _mm512_maskz_loadu_ps(rows, bias + r)));
    }
}

// y[t][r] = sums[r][t] + bias[r] for one tile.
void write_tile(float* y, int64_t y_stride, const float* sums, const float* bias, int64_t n_rows, int64_t n_tok) {
    __m512i row[16];
    for (int r = 0; r < 16; r++) row[r] = _mm512_load_si512(sums + 16 * r);
    transpose(row);
    const __mmask16 rows = first_lanes(n_rows);
    const __m512 b = _mm512_maskz_loadu_ps(rows, bias);
    for (int64_t t = 0; t < std::min<int64_t>(n_tok, kPanelRows); t++)
        _mm512_mask_storeu_ps(y + t * y_stride, rows, _mm512_add_ps(_mm512_castsi512_ps(row[t]), b));
}

// y[t][r] = sums[r][t] + bias[r] for a slab. sums: (panels, 2 tiles, 16 rows, 16 tokens); with one token (32 rows).
void write(float* y, int64_t y_stride, const float* sums, const float* bias, int64_t n_rows, int64_t n_tok) {
    if (n_tok == 1) return write_rows(y, sums, bias, n_rows);
    for (int64_t t = 0; t < n_tok; t += kPanelRows)
        for (int64_t r = 0; r < kSlabRows; r += kTileRows, sums += kSums)
            write_tile(y + t * y_stride + r, y_stride, sums, bias + r, n_rows - r, n_tok - t);
}

// Prefetches the lines that a slab's sums will be written to, one token's at a time. A store that waits for its line
// would hold up all stores after it, those of decoded weights too.
class OutputFetcher {
  public:
    OutputFetcher(const float* y, int64_t y_stride, int64_t n_tok) : row_(y), stride_(y_stride), left_(n_tok) {}
    void next_token() {
        if (left_ == 0) return;
        for (int r = 0; r < kSlabRows; r += kTileRows) __builtin_prefetch(row_ + r, 1);
        row_ += stride_;
        left_--;
    }

  private:
    const float* row_;
    int64_t stride_, left_;
};

// Up to three panels of tokens. Tile registers 0 to 2 hold the sums for a slab's first tile, 3 to 5 for its second.
template <int kPanels>
struct Panels {
    const bf16* x;  // (panels, steps, 16 pairs, width)
    int64_t panel_size, width;
    float* sums;  // where the sums are while they are not in tile registers

    void clear_sums() const {
        _tile_zero(0);
        _tile_zero(3);
        if (kPanels >= 2) {
            _tile_zero(1);
            _tile_zero(4);
        }
        if (kPanels == 3) {
            _tile_zero(2);
            _tile_zero(5);
        }
    }
    void load_sums() const {
        static_assert(kPanels >= 2, "one panel's sums stay in the tiles");
        _tile_stream_loadd(0, sums, 64);
        _tile_stream_loadd(3, sums + kSums, 64);
        _tile_stream_loadd(1, sums + 2 * kSums, 64);
        _tile_stream_loadd(4, sums + 3 * kSums, 64);
        if (kPanels == 3) {
            _tile_stream_loadd(2, sums + 4 * kSums, 64);
            _tile_stream_loadd(5, sums + 5 * kSums, 64);
        }
    }
    void store_sums() const {
        // One token's tiles are columns, stored without gaps.
        const int64_t row_bytes = width == 1 ? 4 : 64, second = width == 1 ? kTileRows : kSums;
        _tile_stored(0, sums, row_bytes);
        _tile_stored(3, sums + second, row_bytes);
        if (kPanels >= 2) {
            _tile_stored(1, sums + 2 * kSums, 64);
            _tile_stored(4, sums + 3 * kSums, 64);
        }
        if (kPanels == 3) {
            _tile_stored(2, sums + 4 * kSums, 64);
            _tile_stored(5, sums + 5 * kSums, 64);
        }
        finish_stores(sums);
    }

    // Adds step s of a slab, whose two tiles are at `weights`, to the sums. Weights are in L1; tokens come from L2 and
    // are loaded once. Between the products it calls decode(0) to decode(3), each of which decodes a quarter of the
    // next weights. kStay: tokens stay in L1. Where they are many they are needed once a slab, and loads that bypass L1
    // leave it to the weights.
    template <bool kStay, class F>
    void multiply(int64_t s, const bf16* weights, F&& decode) const {
        const bf16* a = x + s * kStep * width;
        finish_stores(weights);
        if (kPanels == 1) {
            decode(0);
            decode(1);
        }
        _tile_loadd(6, weights, 64);
        load_tokens<kStay>(a);
        _tile_dpbf16ps(0, 6, 7);
        if (kPanels == 1) {
            decode(2);
            decode(3);
            _tile_loadd(6, weights + kTile, 64);
            _tile_dpbf16ps(3, 6, 7);
        }
        if (kPanels == 2) {
            decode(0);
            load_second_tokens<kStay>(a + panel_size);
            _tile_dpbf16ps(1, 6, 5);
            decode(1);
            _tile_loadd(6, weights + kTile, 64);
            _tile_dpbf16ps(4, 6, 5);
            decode(2);
            _tile_dpbf16ps(3, 6, 7);
            decode(3);
        }
        if (kPanels == 3) {
            decode(0);
            _tile_loadd(6, weights + kTile, 64);
            _tile_dpbf16ps(3, 6, 7);
            load_tokens<kStay>(a + panel_size);
            _tile_dpbf16ps(4, 6, 7);
            decode(1);
            _tile_loadd(6, weights, 64);
            _tile_dpbf16ps(1, 6, 7);
            decode(2);
            load_tokens<kStay>(a + 2 * panel_size);
            _tile_dpbf16ps(2, 6, 7);
            _tile_loadd(6, weights + kTile, 64);
            _tile_dpbf16ps(5, 6, 7);
            decode(3);
        }
    }

  private:
    template <bool kStay>
    void load_tokens(const bf16* tokens) const {
        if (kStay)
            _tile_loadd(7, tokens, 4 * width);
        else
            _tile_stream_loadd(7, tokens, 4 * width);
    }
    template <bool kStay>
    void load_second_tokens(const bf16* tokens) const {  // into tile 5, which two panels leave free
        if (kStay)
            _tile_loadd(5, tokens, 4 * width);
        else
            _tile_stream_loadd(5, tokens, 4 * width);
    }
};

// For so few tokens that all their sums fit the tile registers: one step is decoded while the one before is multiplied.
template <int kPanels, class Decoder>
void dot_few(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Decoder& decoder, int64_t n_steps,
             const float* bias, int64_t o0, int64_t o1) {
    alignas(64) bf16 steps[2][2 * kTile];
    alignas(64) float sums[kPanels * 2 * kSums];
    const int64_t width = std::min<int64_t>(n_tok, kPanelRows);
    const Panels<kPanels> panels{x, kPanelRows * n_steps * kStep, width, sums};
    WeightReader<Decoder, kSlabRows> weights(decoder, o1);
    for (int64_t o = o0; o < o1; o += kSlabRows) {
        weights.start(o);
        weights.template read<kSlabRows>(weights.rows(steps[0], 0, kSlabRows, 0), 0);
        panels.clear_sums();
        OutputFetcher output(y + (o - o0), y_stride, n_tok);
        for (int64_t s = 0; s < n_steps; s++) {
            output.next_token();
            bf16* next = steps[(s + 1) % 2];
            const auto rows = weights.rows(next, 0, s + 1 < n_steps ? kSlabRows : 0, s + 1);
            panels.template multiply<true>(
                s, steps[s % 2], [&](int part) __attribute__((always_inline)) {
                    constexpr int kRows = kSlabRows / 4;
                    weights.template read<kRows>(rows, part * kRows);
                    finish_stores(next);
                });
        }
        panels.store_sums();
        write(y + (o - o0), y_stride, sums, bias + (o - o0), std::min<int64_t>(kSlabRows, o1 - o), n_tok);
    }
}

// Decodes a slab of kSlabSteps or fewer steps, a tile at a time.
template <class Decoder>
class SlabWriter {
  public:
    using Rows = typename WeightReader<Decoder, kSlabRows>::Rows;

    SlabWriter(const Decoder& decoder, int64_t end) : weights_(decoder, end) {}
    void start(bf16* slab, int64_t o, int64_t first, int64_t steps) {
        if (first == 0) weights_.start(o);
        slab_ = slab;
        first_ = first;
        tile_ = 0;
        n_tiles_ = 2 * steps;
    }
    // The rows of the next tile; none after the last tile.
    Rows next_tile() {
        const int64_t tile = tile_, n_rows = tile < n_tiles_ ? kTileRows : 0;
        tile_ += n_rows > 0;
        return weights_.rows(slab_ + tile * kTile, tile % 2 * kTileRows, n_rows, first_ + tile / 2);
    }
    // A quarter of a tile's rows.
    __attribute__((always_inline)) void write(const Rows& tile, int quarter) const {
        constexpr int kRows = kTileRows / 4;
        weights_.template read<kRows>(tile, quarter * kRows);
        finish_stores(slab_);
    }
    void finish() {
        while (tile_ < n_tiles_) weights_.template read<kTileRows>(next_tile(), 0);
    }

  private:
    WeightReader<Decoder, kSlabRows> weights_;
    bf16* slab_ = nullptr;
    int64_t first_ = 0, tile_ = 0, n_tiles_ = 0;
};

// For more panels, in groups of three (or two, where threes do not come out even). One group after another is
// multiplied by a slab while the next slab is decoded. From slab to slab, the sums are kept in memory.
template <class Decoder>
void dot_many(float* y, int64_t y_stride, const bf16* x, int64_t n_tok, const Decoder& decoder, int64_t n_steps,
              const float* bias, int64_t o0, int64_t o1) {
    static thread_local Scratch<float> sum_memory;
    alignas(64) bf16 slabs[2][kSlabSteps * 2 * kTile];
    const int64_t n_panels = (n_tok + kPanelRows - 1) / kPanelRows, panel_size = kPanelRows * n_steps * kStep;
    const int64_t n_groups = (n_panels + 2) / 3, n_threes = n_panels - 2 * n_groups;
    float* sums = sum_memory.get(n_panels * 2 * kSums);
    SlabWriter<Decoder> writer(decoder, o1);
    int now = 0;
    writer.start(slabs[now], o0, 0, std::min(kSlabSteps, n_steps));
    writer.finish();
    for (int64_t o = o0; o < o1; o += kSlabRows) {
        OutputFetcher output(y + (o - o0), y_stride, n_tok);
        for (int64_t first = 0; first < n_steps; first += kSlabSteps, now ^= 1) {
            const int64_t end = std::min(first + kSlabSteps, n_steps);
            if (end < n_steps)
                writer.start(slabs[now ^ 1], o, end, std::min(kSlabSteps, n_steps - end));
            else if (o + kSlabRows < o1)
                writer.start(slabs[now ^ 1], o + kSlabRows, 0, std::min(kSlabSteps, n_steps));
            // Goes to and fro, so that the group at each turning point keeps its sums in the tile registers.
            const bool back = first / kSlabSteps % 2;
            for (int64_t i = 0; i < n_groups; i++) {
                const int64_t group = back ? n_groups - 1 - i : i;
                const int64_t panel = 2 * group + std::min(group, n_threes);
                const auto run = [&](auto n) {
                    const Panels<n()> panels{x + panel * panel_size, panel_size, kPanelRows, sums + panel * 2 * kSums};
                    if (first == 0)
                        panels.clear_sums();
                    else if (i > 0)
                        panels.load_sums();
                    for (int64_t s = first; s < end; s++) {
                        output.next_token();
                        const auto tile = writer.next_tile();
                        panels.template multiply<false>(
                            s, slabs[now] + (s - first) * 2 * kTile, [&](int quarter) __attribute__((always_inline)) {
                                writer.write(tile, quarter);
                            });
                    }
                    if (end == n_steps || i + 1 < n_groups) panels.store_sums();
                };
                if (group < n_threes)
                    run(std::integral_constant<int, 3>());
                else
                    run(std::integral_constant<int, 2>());
            }
            writer.finish();
        }
        write(y + (o - o0), y_stride, sums, bias + (o - o0), std::min<int64_t>(kSlabRows, o1 - o), n_tok);
    }
}

void dot(float* y, int64_t y_stride, const std::byte* panels, int64_t n_tok, const Matrix& w, const float* bias,
         int64_t o0, int64_t o1) {
    const auto* x = reinterpret_cast<const bf16*>(panels);
    configure_tiles(int(std::min<int64_t>(n_tok, kPanelRows)));
    with_decoder(w, [&](const auto& decoder) {
        const int64_t n_steps = padded(w.n_in) / kStep;
        if (n_tok <= kPanelRows)
            dot_few<1>(y, y_stride, x, n_tok, decoder, n_steps, bias, o0, o1);
        else if (n_tok <= 2 * kPanelRows)
            dot_few<2>(y, y_stride, x, n_tok, decoder, n_steps, bias, o0, o1);
        else if (n_tok <= 3 * kPanelRows)
            dot_few<3>(y, y_stride, x, n_tok, decoder, n_steps, bias, o0, o1);
        else
            dot_many(y, y_stride, x, n_tok, decoder, n_steps, bias, o0, o1);
    });
}

}  // namespace

const PackedKernels kAmxProducts{pack, dot, swiglu_row, attend_amx, kBlock* int(sizeof(bf16))};
