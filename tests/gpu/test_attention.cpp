// test_attention.cpp: attention with sinks and windows over paged keys, against doubles; its ways of spreading work
// and all ways of packing tokens into tiles, against each other, to the bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "device_array.h"
#include "kernels/attention.h"
#include "kv_fill.h"
#include "matrix_checks.h"

namespace {

// A sequence with `context` positions, the last n_tok of them tokens of the step. context 0: one token of padding.
struct Part {
    int context, n_tok;
};

struct Case {
    const char* why;
    int head_dim, n_heads, n_kv_heads, window, ring_pages;
    std::vector<Part> parts;
    float sink = 0;  // of every head; 0: noise
    bool has_sinks = true;

    int group() const { return n_heads / n_kv_heads; }
    int att_stride() const { return round_up(n_heads * head_dim, kDepthStep); }
};
void PrintTo(const Case& c, std::ostream* out) {
    *out << c.why;
}

struct Token {
    int seq, pos;  // seq -1: padding
};

using Bits = std::vector<uint16_t>;

// A step with its cache on the device.
class Step {
  public:
    explicit Step(const Case& c) : c_(c), P_(c.head_dim) {
        for (int s = 0; s < int(c.parts.size()); s++) {
            const Part& part = c.parts[size_t(s)];
            for (int i = 0; i < part.n_tok; i++)
                tokens_.push_back(part.context ? Token{s, part.context - part.n_tok + i} : Token{-1, 0});
        }
        fill_cache();
        for (size_t i = 0; i < tokens_.size() * size_t(c.n_heads * P_); i++) q_.push_back(to_bf16(6 * noise(3, i)));
        for (int h = 0; h < c.n_heads; h++) sinks_.push_back(c.sink != 0 ? c.sink : 2 * noise(4, uint64_t(h)));
    }

    const std::vector<Token>& tokens() const { return tokens_; }

    // Runs of tokens of a sequence, at most `most` in one tile.
    std::vector<QueryTile> tiles(int most) const {
        std::vector<QueryTile> tiles;
        for (int t = 0; t < int(tokens_.size()); t++) {
            const int seq = tokens_[size_t(t)].seq;
            const bool joins =
                !tiles.empty() && seq >= 0 && tokens_[size_t(t) - 1].seq == seq && tiles.back().n_tok < most;
            if (joins)
                tiles.back().n_tok++;
            else
                tiles.push_back({t, 1});
        }
        return tiles;
    }
    int tokens_per_tile() const { return 16 / c_.group(); }

    int max_spans() const {
        int context = 1;
        for (const Part& part : c_.parts) context = std::max(context, part.context);
        return (context + kSpanPositions - 1) / kSpanPositions;
    }

    // att (T, stride). Rows of tokens in no tile keep the bits of NaN.
    Bits run(SpanWork work, const std::vector<QueryTile>& tiles, int max_spans) const {
        return call(tiles, max_spans, [&](auto... args) { attention_with(work, args...); });
    }
    Bits run(SpanWork work, int tokens_in_tile) const { return run(work, tiles(tokens_in_tile), max_spans()); }
    // By wave groups; tokens_in_tile 0: as many as they take. In plain order, whatever the order of the kernel's rows.
    Bits run_by_groups(int tokens_in_tile, KOrder order = KOrder::kPlain) const {
        const int most = group_tile_tokens(c_.n_heads, c_.n_kv_heads, P_);
        const Bits bits =
            call(tiles(tokens_in_tile ? tokens_in_tile : most), max_spans(),
                 [order](RowsOut att, const bf16* q, const KvLayer& kv, const float* sinks, const QueryTile* tiles,
                         int n_tiles, int, const Tokens& tokens, int n_heads, int n_kv_heads, int, void*,
                         gpu::Stream stream) {
                     att.order = order;
                     attention_of_groups(att, q, kv, sinks, tiles, n_tiles, tokens, n_heads, n_kv_heads, stream);
                 });
        std::vector<bf16> rows;
        for (const uint16_t v : bits) rows.push_back({v});
        Bits plain;
        for (const bf16 v : in_plain_order(std::move(rows), order)) plain.push_back(v.bits);
        return plain;
    }
    Bits run_as_chosen() const {
        return call(tiles(tokens_per_tile()), max_spans(), [&](auto... args) { attention(args...); });
    }

    bf16 key(int seq, int g, int pos, int d) const { return to_bf16(noise(1, element(seq, g, pos, d))); }
    bf16 value(int seq, int g, int pos, int d) const { return to_bf16(noise(2, element(seq, g, pos, d))); }
    void expect_close(const Bits& att) const;

  private:
    uint64_t element(int seq, int g, int pos, int d) const {
        return ((uint64_t(seq) * uint64_t(c_.n_kv_heads) + uint64_t(g)) * 4096 + uint64_t(pos)) * uint64_t(P_) +
               uint64_t(d);
    }

    // Pages are scattered. Unwritten positions hold large values, as from another sequence. Padding, and pages that a
    // sequence does not have, lead to a page of ones.
    void fill_cache() {
        int pages = 1;
        for (const Part& part : c_.parts) pages = std::max(pages, (part.context + kPagePositions - 1) / kPagePositions);
        kv_.table_stride = c_.ring_pages ? c_.ring_pages : pages;
        kv_.ring_pages = c_.ring_pages;
        kv_.window = c_.window;
        kv_.page_stride = int64_t(c_.n_kv_heads) * 2 * kPagePositions * P_ + 512;  // another layer's part between
        const int n_pages = kv_.table_stride * int(c_.parts.size());
        const auto page_size = size_t(kv_.page_stride);
        std::vector<bf16> memory((size_t(n_pages) + 1) * page_size, to_bf16(1));
        for (size_t i = 0; i < memory.size() - page_size; i++) memory[i] = to_bf16(1e30f * noise(5, i));
        cache_.emplace(memory);
        std::vector<int> table(static_cast<size_t>(kv_.table_stride + n_pages), n_pages);
        for (int s = 0; s < int(c_.parts.size()); s++) {
            const int used = (c_.parts[size_t(s)].context + kPagePositions - 1) / kPagePositions;
            for (int p = 0; p < std::min(used, kv_.table_stride); p++) {
                const int i = s * kv_.table_stride + p;
                table[size_t(kv_.table_stride + i)] = n_pages - 1 - (i % 2 ? i / 2 : (n_pages + i) / 2);
            }
        }
        table_.emplace(table);
        kv_.base = cache_->data();
        kv_.table = table_->data() + kv_.table_stride;
        for (int s = 0; s < int(c_.parts.size()); s++)
            for (int g = 0; g < c_.n_kv_heads; g++) fill_head(s, g);
    }
    void fill_head(int seq, int g) {
        const int n = c_.parts[size_t(seq)].context;
        if (n == 0) return;
        const int first =
            c_.ring_pages ? std::max(0, (n - 1) / kPagePositions - c_.ring_pages + 1) * kPagePositions : 0;
        std::vector<bf16> keys, values;
        for (int p = first; p < n; p++)
            for (int d = 0; d < P_; d++) {
                keys.push_back(key(seq, g, p, d));
                values.push_back(value(seq, g, p, d));
            }
        const Guarded<bf16> d_keys(keys), d_values(values);
        kv_fill(kv_, d_keys.data(), d_values.data(), seq, first, n - first, g, P_);
        cache_->download("cache");
    }

    template <class F>
    Bits call(const std::vector<QueryTile>& tiles, int max_spans, F&& launch) const {
        std::vector<int> id, pos, slot;
        for (const Token& token : tokens_) {
            id.push_back(0);
            pos.push_back(token.pos);
            slot.push_back(token.seq);
        }
        const int n = int(tokens_.size());
        const Guarded<int> d_id(id), d_pos(pos), d_slot(slot);
        const Guarded<bf16> q(q_), att(size_t(n) * size_t(c_.att_stride()));
        const Guarded<float> d_sinks(sinks_);
        const float* const sinks = c_.has_sinks ? d_sinks.data() : nullptr;
        const Guarded<QueryTile> d_tiles(tiles);
        const int n_tiles = int(tiles.size());
        const Guarded<char> scratch(size_t(attention_scratch_bytes(n_tiles, max_spans, c_.n_kv_heads, P_)));
        const Tokens tokens = {n, d_id.data(), d_pos.data(), d_slot.data()};
        void* const scratch_memory = scratch.data();
        const gpu::Stream stream = nullptr;
        const bf16* const queries = q.data();
        launch(att.data(), queries, kv_, sinks, d_tiles.data(), n_tiles, max_spans, tokens, c_.n_heads, c_.n_kv_heads,
               P_, scratch_memory, stream);
        scratch.download("scratch");
        cache_->download("cache");
        Bits bits;
        for (const bf16 v : att.download("att")) bits.push_back(v.bits);
        return bits;
    }

    Case c_;
    int P_;
    std::vector<Token> tokens_;
    std::vector<bf16> q_;
    std::vector<float> sinks_;
    KvLayer kv_;
    std::optional<Guarded<bf16>> cache_;
    std::optional<Guarded<int>> table_;
};

struct Sum {
    double value, bound;
};

// One head of one token in doubles. p is rounded to bf16 before it meets the values: 2^-8 of Σ w|v|, with w = p / l;
// the result is rounded to bf16: 2^-8 of itself. In f32: a score is a sum of P products and has an error of at most P ·
// 2^-23 of its terms' absolute sum (matrix cores may cut instead of rounding), which is a relative error of p; the
// exponential and what pages and spans are rescaled with are good to 2^-22 a key together. p and l both have these.
Sum reference(const std::vector<double>& score, const std::vector<double>& score_terms, const std::vector<double>& v,
              double sink, int head_dim) {
    double largest = sink, terms = 0;
    for (const double s : score) largest = std::max(largest, s);
    for (const double t : score_terms) terms = std::max(terms, t);
    double l = std::exp(sink - largest), o = 0, o_abs = 0;
    for (size_t j = 0; j < score.size(); j++) {
        const double p = std::exp(score[j] - largest);
        l += p;
        o += p * v[j];
        o_abs += p * std::fabs(v[j]);
    }
    const double relative = 2 * (head_dim * 0x1p-23 * terms + double(score.size() + 64) * 0x1p-22);
    return {o / l, (0x1p-8 + relative) * o_abs / l + 0x1p-8 * (1 + relative) * std::fabs(o / l) + 1e-30};
}

void Step::expect_close(const Bits& att) const {
    for (int t = 0; t < int(tokens_.size()); t++) {
        const Token& token = tokens_[size_t(t)];
        const uint16_t* const row = &att[size_t(t * c_.att_stride())];
        for (int i = token.seq < 0 ? 0 : c_.n_heads * P_; i < c_.att_stride(); i++)
            ASSERT_EQ(row[i], 0) << "padding: token " << t << ", element " << i;
        if (token.seq < 0) continue;
        const int first = c_.window > 0 ? std::max(0, token.pos - c_.window + 1) : 0;
        for (int h = 0; h < c_.n_heads; h++) {
            const int g = h / c_.group();
            std::vector<double> score, terms;
            for (int p = first; p <= token.pos; p++) {
                double sum = 0, sum_abs = 0;
                for (int d = 0; d < P_; d++) {
                    const double term =
                        double(to_f32(q_[size_t((t * c_.n_heads + h) * P_ + d)])) * to_f32(key(token.seq, g, p, d));
                    sum += term;
                    sum_abs += std::fabs(term);
                }
                score.push_back(sum / std::sqrt(P_));
                terms.push_back(sum_abs / std::sqrt(P_));
            }
            for (int d = 0; d < P_; d++) {
                std::vector<double> v;
                for (int p = first; p <= token.pos; p++) v.push_back(to_f32(value(token.seq, g, p, d)));
                const double sink = c_.has_sinks ? double(sinks_[size_t(h)]) : -INFINITY;
                const Sum want = reference(score, terms, v, sink, P_);
                ASSERT_NEAR(to_f32(bf16{row[h * P_ + d]}), want.value, want.bound)
                    << "token " << t << " at " << token.pos << ", head " << h << ", dim " << d;
            }
        }
    }
}

class Attention : public testing::TestWithParam<Case> {};

TEST_P(Attention, AgreesWithDoublesHoweverItsSpansAreSpread) {
    const Step step(GetParam());
    const Bits walked = step.run(SpanWork::kWalked, step.tokens_per_tile());
    step.expect_close(walked);
    EXPECT_EQ(step.run(SpanWork::kSpread, step.tokens_per_tile()), walked);
    EXPECT_EQ(step.run(SpanWork::kInBlock, step.tokens_per_tile()), walked);
    EXPECT_EQ(step.run_as_chosen(), walked);
}

TEST_P(Attention, ATokenIsAlone) {
    const Step step(GetParam());
    const Bits want = step.run(SpanWork::kWalked, step.tokens_per_tile());
    EXPECT_EQ(step.run(SpanWork::kWalked, 1), want);
    EXPECT_EQ(step.run(SpanWork::kSpread, 1), want);
    const int stride = GetParam().att_stride(), last = int(step.tokens().size()) - 1;
    for (const SpanWork work : {SpanWork::kSpread, SpanWork::kInBlock, SpanWork::kWalked}) {
        const Bits alone = step.run(work, {{last, 1}}, step.max_spans());
        EXPECT_TRUE(std::equal(want.begin() + last * stride, want.end(), alone.begin() + last * stride));
        EXPECT_TRUE(std::all_of(alone.begin(), alone.begin() + last * stride, [](uint16_t v) { return v == 0xffff; }));
    }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Attention,
    testing::Values(Case{"one key", 64, 8, 1, 0, 0, {{1, 1}}}, Case{"a page but for one", 32, 4, 1, 0, 0, {{31, 4}}},
                    Case{"a page", 64, 8, 1, 0, 0, {{32, 2}}}, Case{"a page and one", 64, 16, 2, 0, 0, {{33, 2}}},
                    Case{"a span but for one", 64, 8, 1, 0, 0, {{127, 1}}}, Case{"a span", 32, 16, 1, 0, 0, {{128, 2}}},
                    Case{"a span and one, the tile lies in both", 64, 8, 1, 0, 0, {{129, 2}}},
                    Case{"four spans", 64, 8, 2, 0, 0, {{400, 2}}}, Case{"heads of 128", 128, 8, 1, 0, 0, {{129, 3}}},
                    Case{"heads of 128, a window", 128, 4, 2, 20, 0, {{150, 4}}},
                    Case{"no sharing, tiles of 16 tokens over two spans", 32, 2, 2, 0, 0, {{140, 40}}},
                    Case{"no sharing, a window that ends in the tile", 32, 1, 1, 20, 0, {{140, 40}}},
                    Case{"groups of 5: a row of the tile is empty", 32, 5, 1, 0, 0, {{70, 7}}},
                    Case{"groups of 16", 64, 16, 1, 128, 0, {{129, 2}}},
                    Case{"a window of one", 64, 8, 1, 1, 0, {{34, 4}}},
                    Case{"a window of 128 over two spans", 64, 8, 1, 128, 0, {{300, 3}}},
                    Case{"a window over three spans", 32, 1, 1, 128, 0, {{260, 16}}},
                    Case{"a window wider than the context", 64, 8, 1, 500, 0, {{129, 2}}},
                    Case{"a ring used again", 64, 8, 1, 20, 2, {{300, 2}, {40, 4}, {31, 1}}},
                    Case{"a ring of a window and a tile", 32, 1, 1, 128, 6, {{300, 16}, {5, 5}}},
                    Case{"several sequences", 32, 4, 2, 0, 0, {{1, 1}, {65, 3}, {300, 1}, {10, 10}}},
                    Case{"padding between and behind", 64, 8, 1, 0, 0, {{33, 1}, {0, 1}, {200, 2}, {0, 2}}},
                    Case{"padding, an odd number of heads", 32, 5, 1, 20, 2, {{40, 2}, {0, 1}}},
                    Case{"a sink above all", 64, 8, 1, 0, 0, {{129, 2}}, 40.0f},
                    Case{"a sink that takes nothing", 64, 8, 1, 0, 0, {{129, 2}}, -1e4f},
                    Case{"no sinks, one key", 64, 2, 2, 0, 0, {{1, 1}}, 0, false},
                    Case{"no sinks, padding between", 64, 12, 12, 0, 0, {{33, 1}, {0, 1}, {200, 2}}, 0, false},
                    Case{"no sinks, GPT-2's last position", 64, 2, 2, 0, 0, {{1024, 17}}, 0, false}));

class AttentionOfGroups : public testing::TestWithParam<Case> {
  protected:
    void SetUp() override {
        const Case& c = GetParam();
        if (group_tile_tokens(c.n_heads, c.n_kv_heads, c.head_dim) == 0) GTEST_SKIP() << "needs wave groups";
    }
};

TEST_P(AttentionOfGroups, GivesTheBitsOfSmallTiles) {
    const Step step(GetParam());
    const Bits want = step.run(SpanWork::kWalked, step.tokens_per_tile());
    step.expect_close(want);
    EXPECT_EQ(step.run_by_groups(0), want);
    EXPECT_EQ(step.run_by_groups(3), want) << "tiles that leave most rows empty";
    EXPECT_EQ(step.run_by_groups(0, KOrder::kGrouped), want);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, AttentionOfGroups,
    testing::Values(Case{"one key", 64, 8, 1, 0, 0, {{1, 1}}}, Case{"a page and one", 64, 8, 1, 0, 0, {{33, 33}}},
                    Case{"a pair of pages", 64, 8, 1, 0, 0, {{64, 16}}},
                    Case{"a pair and one", 64, 8, 1, 0, 0, {{65, 17}}}, Case{"a span", 64, 16, 2, 0, 0, {{128, 20}}},
                    Case{"a span and one", 64, 8, 1, 0, 0, {{129, 16}}},
                    Case{"eleven spans: the ring goes round", 64, 8, 1, 0, 0, {{1400, 18}}},
                    Case{"a window that begins in a span's second pair", 64, 8, 1, 128, 0, {{330, 24}}},
                    Case{"a window that begins in a pair's second page", 64, 8, 1, 128, 0, {{300, 24}}},
                    Case{"a window of one", 64, 8, 1, 1, 0, {{100, 40}}},
                    Case{"a window wider than the context", 64, 8, 1, 500, 0, {{129, 64}}},
                    Case{"a ring used again", 64, 8, 1, 20, 3, {{300, 30}, {40, 40}, {31, 17}}},
                    Case{"no sharing of KV heads", 64, 2, 2, 0, 0, {{200, 150}}},
                    Case{"groups of 5: rows of a tile are empty", 64, 5, 1, 100, 0, {{170, 60}}},
                    Case{"groups of 16", 64, 16, 1, 128, 0, {{270, 19}}},
                    Case{"several sequences", 64, 8, 2, 0, 0, {{1, 1}, {65, 30}, {300, 1}, {100, 100}}},
                    Case{"a sink above all", 64, 8, 1, 0, 0, {{129, 20}}, 40.0f},
                    Case{"no sinks", 64, 8, 1, 20, 0, {{129, 20}}, 0.0f, false},
                    Case{"a sink that takes nothing", 64, 8, 1, 0, 0, {{129, 20}}, -1e4f}));

// 4123 units: blocks of several waves, the last not full.
TEST(AttentionBlocks, SameBitsWithManyUnits) {
    const Step step({"", 32, 31, 31, 20, 0, {{160, 133}}});
    const Bits want = step.run(SpanWork::kSpread, 16);
    EXPECT_EQ(step.run(SpanWork::kWalked, 1), want);
    EXPECT_EQ(step.run_as_chosen(), want);
}

TEST(AttentionScratch, TilesInTurnsWhenTheyDoNotFit) {
    const Step step({"", 32, 2, 1, 0, 0, {{129, 1}, {40, 1}, {300, 1}}});
    const std::vector<QueryTile> tiles = step.tiles(1);
    constexpr int kSpans = 6000;  // room for two tiles
    EXPECT_LT(attention_scratch_bytes(3, kSpans, 1, 32), 3 * attention_scratch_bytes(1, kSpans, 1, 32));
    EXPECT_EQ(step.run(SpanWork::kSpread, tiles, kSpans), step.run(SpanWork::kWalked, tiles, kSpans));
}

}  // namespace
