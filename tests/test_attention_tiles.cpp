// test_attention_tiles.cpp: attention in tiles of queries against softmax in double, over pages written by a KvStore;
// and that a token's result does not depend on the tile or the batch it came in.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "cpu/attention.h"
#include "noise.h"

namespace {

struct Case {
    int n_heads, n_kv_heads, head_dim, window, length;
    const char* why;
};
const Case kCases[] = {
    {16, 2, 64, 0, 1, "one token"},
    {16, 2, 64, 0, 32, "a whole page"},
    {16, 2, 64, 0, 33, "the second page holds one key"},
    {64, 8, 64, 128, 300, "gpt-oss, sliding"},
    {64, 8, 64, 0, 100, "gpt-oss, full"},
    {5, 1, 48, 1, 70, "a window of one, 3 tokens a tile, padded heads"},
    {4, 4, 32, 33, 131, "16 tokens a tile, a window past a page"},
    {20, 1, 128, 0, 40, "more heads than a tile holds"},
};

// One sequence in a store of its own; sliding layers have pages for all positions too.
struct Sequence {
    Config config;
    PageTable pages;
    std::unique_ptr<KvStore> store;
    F32Rows q, k, v;
    std::vector<float> sink;
    Vector sinks;

    explicit Sequence(const Case& c) : q(c.n_heads * c.head_dim), k(c.n_kv_heads * c.head_dim), v(k.dim()) {
        config.n_attn_heads = c.n_heads;
        config.n_kv_heads = c.n_kv_heads;
        config.head_dim = c.head_dim;
        config.sliding_window = c.window;
        config.layer_kind = {c.window > 0 ? LayerKind::kSliding : LayerKind::kFull};
        Capacity capacity;
        capacity.n_pages = pages_for(c.length);
        for (int i = capacity.n_pages - 1; i >= 0; i--) pages.full.push_back(i);
        pages.sliding = pages.full;
        store = std::make_unique<KvStore>(config, capacity, Precision::kBF16, true);
        uint64_t i = 0;
        for (F32Rows* rows : {&q, &k, &v}) {
            rows->resize(c.length);
            for (int t = 0; t < c.length; t++)
                for (int64_t j = 0; j < rows->dim(); j++) rows->row(t)[j] = 2 * noise(7, i++);
        }
        for (int h = 0; h < c.n_heads; h++) sink.push_back(3 * noise(8, uint64_t(h)));
        sinks = {DType::kF32, c.n_heads, sink.data()};
    }

    void write(int t) const {
        if (t % kPagePositions == 0) store->begin_page(0, pages, t);
        store->write(0, KvStore::kKey, pages, t, k.row(t));
        store->write(0, KvStore::kValue, pages, t, v.row(t));
    }

    // Tokens [begin, end), written before.
    std::vector<float> attend(const PackedKernels& kernels, int begin, int end) const {
        Batch batch;
        batch.seqs.push_back({0, &pages});
        F32Rows some(q.dim()), out(q.dim());
        some.resize(end - begin);
        for (int t = begin; t < end; t++) {
            batch.tokens.push_back({0, t, 0});
            std::copy(q.row(t), q.row(t) + q.dim(), some.row(t - begin));
        }
        int64_t bytes = 0;
        attention(kernels, out, some, batch, *store, config, 0, &sinks, &bytes);
        EXPECT_GT(bytes, 0);
        std::vector<float> result;
        for (int t = begin; t < end; t++) result.insert(result.end(), out.row(t - begin), out.row(t - begin) + q.dim());
        return result;
    }
};

std::vector<const Kernels*> sets_with_tiles() {
    std::vector<const Kernels*> sets;
    for (const Kernels* kernels : available_kernels())
        if (kernels->packed && kernels->packed->attend) sets.push_back(kernels);
    return sets;
}

// Inputs are rounded as the kernel rounds them. The error left is that of weights rounded to bf16, 2^-9 of values up to
// 2, and that of f32.
void expect_softmax(const PackedKernels& kernels, const Case& c) {
    const Sequence s(c);
    for (int t = 0; t < c.length; t++) s.write(t);
    const std::vector<float> got = s.attend(kernels, 0, c.length);
    const auto round = [](float f) { return double(to_f32(to_bf16(f))); };
    for (int t = 0; t < c.length; t++)
        for (int h = 0; h < c.n_heads; h++) {
            const int g = h / (c.n_heads / c.n_kv_heads);
            double sum = std::exp(double(s.sink[size_t(h)]));
            std::vector<double> want(size_t(c.head_dim), 0.0);
            for (int p = c.window > 0 ? std::max(0, t - c.window + 1) : 0; p <= t; p++) {
                double score = 0;
                for (int i = 0; i < c.head_dim; i++)
                    score += round(s.q.row(t)[h * c.head_dim + i]) * round(s.k.row(p)[g * c.head_dim + i]);
                const double weight = std::exp(score / std::sqrt(double(c.head_dim)));
                sum += weight;
                for (int i = 0; i < c.head_dim; i++) want[size_t(i)] += weight * round(s.v.row(p)[g * c.head_dim + i]);
            }
            for (int i = 0; i < c.head_dim; i++)
                ASSERT_NEAR(got[size_t((t * c.n_heads + h) * c.head_dim + i)], want[size_t(i)] / sum, 5e-3)
                    << "t " << t << " h " << h << " i " << i;
        }
}

TEST(AttentionTiles, MatchDouble) {
    if (sets_with_tiles().empty()) GTEST_SKIP() << "no instruction set with tiles";
    for (const Kernels* set : sets_with_tiles())
        for (const Case& c : kCases) {
            SCOPED_TRACE(std::string(set->flag) + ": " + c.why);
            expect_softmax(*set->packed, c);
        }
}

void expect_same_alone(const PackedKernels& kernels, const Case& c) {
    const Sequence one_by_one(c), at_once(c);
    std::vector<float> want;
    for (int t = 0; t < c.length; t++) {
        one_by_one.write(t);  // what follows is not there yet
        const std::vector<float> row = one_by_one.attend(kernels, t, t + 1);
        want.insert(want.end(), row.begin(), row.end());
    }
    for (int t = 0; t < c.length; t++) at_once.write(t);
    const std::vector<float> got = at_once.attend(kernels, 0, c.length);
    ASSERT_EQ(got.size(), want.size());
    EXPECT_EQ(0, std::memcmp(got.data(), want.data(), got.size() * sizeof(float)));
}

TEST(AttentionTiles, SameBitsAloneAndTogether) {
    if (sets_with_tiles().empty()) GTEST_SKIP() << "no instruction set with tiles";
    for (const Kernels* set : sets_with_tiles())
        for (const Case& c : kCases) {
            SCOPED_TRACE(std::string(set->flag) + ": " + c.why);
            expect_same_alone(*set->packed, c);
        }
}

// A page comes from another sequence, whose numbers had overflowed.
TEST(AttentionTiles, WhatAPageHeldBeforeDoesNotMatter) {
    if (sets_with_tiles().empty()) GTEST_SKIP() << "no instruction set with tiles";
    const Sequence clean(kCases[2]), used(kCases[2]);
    std::vector<float> broken(size_t(clean.k.dim()), std::numeric_limits<float>::infinity());
    for (int t = 0; t < 2 * kPagePositions; t++) {
        used.store->write(0, KvStore::kKey, used.pages, t, broken.data());
        used.store->write(0, KvStore::kValue, used.pages, t, broken.data());
    }
    for (int t = 0; t < 33; t++) {
        clean.write(t);
        used.write(t);
    }
    for (const Kernels* set : sets_with_tiles()) {
        const std::vector<float> want = clean.attend(*set->packed, 0, 33), got = used.attend(*set->packed, 0, 33);
        EXPECT_EQ(0, std::memcmp(got.data(), want.data(), got.size() * sizeof(float))) << set->flag;
    }
}

// Works like an instruction on tiles: what a query does not see has weight 0, and is multiplied all the same.
void attend_plainly(const AttentionTile& tile) {
    for (int i = 0; i < tile.n; i++) {
        float sum = std::exp(tile.sink[i]);
        std::fill(tile.out[i], tile.out[i] + tile.head_dim, 0.0f);
        for (int p = 0; p < int(tile.keys.size()) * kPagePositions; p++) {
            const int page = p / kPagePositions, key = p % kPagePositions, pos = tile.first_pos + p;
            float score = 0;
            for (int d = 0; d < tile.head_dim; d++)
                score += tile.q[i][d] * to_f32(tile.keys[size_t(page)][key * padded(tile.head_dim) + d]);
            const bool seen = tile.first[i] <= pos && pos <= tile.last[i];
            const float weight = seen ? std::exp(score / std::sqrt(float(tile.head_dim))) : 0.0f;
            sum += weight;
            for (int d = 0; d < tile.head_dim; d++)
                tile.out[i][d] += weight * to_f32(tile.values[size_t(page)][d * kPagePositions + key]);
        }
        for (int d = 0; d < tile.head_dim; d++) tile.out[i][d] /= sum;
    }
}

TEST(AttentionTiles, ALostNumberReachesOnlyTokensThatSeeIt) {
    const PackedKernels plain{nullptr, nullptr, nullptr, attend_plainly, 0};
    std::vector<const PackedKernels*> all = {&plain};
    for (const Kernels* set : sets_with_tiles()) all.push_back(set->packed);
    for (const PackedKernels* kernels : all)
        for (const Case& c : {kCases[2], kCases[5], kCases[6]}) {
            SCOPED_TRACE(c.why);
            const int lost = 20;
            const Sequence clean(c);
            Sequence damaged(c);
            damaged.v.row(lost)[3] = std::numeric_limits<float>::quiet_NaN();
            for (int t = 0; t < c.length; t++) {
                clean.write(t);
                damaged.write(t);
            }
            const std::vector<float> want = clean.attend(*kernels, 0, c.length);
            const std::vector<float> got = damaged.attend(*kernels, 0, c.length);
            const size_t dim = got.size() / size_t(c.length);
            for (int t = 0; t < c.length; t++) {
                const bool sees = t >= lost && (c.window == 0 || t - lost < c.window);
                const auto row = got.begin() + int64_t(dim) * t;
                const bool is_lost = std::any_of(row, row + int64_t(dim), [](float f) { return std::isnan(f); });
                EXPECT_EQ(is_lost, sees) << t;
                if (sees) continue;
                EXPECT_EQ(0, std::memcmp(&*row, &want[dim * size_t(t)], dim * sizeof(float))) << t;
            }
        }
}

}  // namespace
