// test_sample.cpp: the CPU's sampler gives the same token, unless the drawn number is within rounding of another.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "device_array.h"
#include "kernels/kernels.h"
#include "noise.h"
#include "sampler.h"

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

// Rows' tokens, which are stored in descending order of rows.
std::vector<int> run(const std::vector<float>& logits, std::vector<RowSampling> sampling) {
    for (size_t r = 0; r < sampling.size(); r++) sampling[r].place = int(sampling.size() - 1 - r);
    const Guarded<float> d_logits(logits);
    const Guarded<RowSampling> d_sampling(sampling);
    const Guarded<int> token(sampling.size());
    sample(token.data(), d_logits.data(), d_sampling.data(), int(sampling.size()), int(logits.size() / sampling.size()),
           nullptr);
    std::vector<int> tokens = token.download("token");
    std::reverse(tokens.begin(), tokens.end());
    return tokens;
}

// How near a draw is to another token, as a fraction of all weight that top_k leaves: from the drawn number to the ends
// of its token, and from top_p to the ends of the last token that is kept.
double margin(const float* logits, int n, const RowSampling& s) {
    std::vector<int> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    if (s.top_p < 1 || s.top_k > 0)
        std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return logits[i] > logits[j]; });
    if (s.top_k > 0) order.resize(size_t(std::min(s.top_k, n)));
    if (s.top_p >= 1) std::sort(order.begin(), order.end());
    const double largest = *std::max_element(logits, logits + n);
    std::vector<double> sum{0};
    for (const int id : order) sum.push_back(sum.back() + std::exp((logits[id] - largest) / s.temperature));
    const double total = sum.back();
    const auto distance = [&](double target) {
        const auto above = std::upper_bound(sum.begin(), sum.end() - 1, target);
        return std::min(target - above[-1], *above - target) / total;
    };
    double kept = total, of_top_p = 1;
    if (s.top_p < 1) {
        kept = *std::lower_bound(sum.begin() + 1, sum.end() - 1, s.top_p * total);
        of_top_p = distance(s.top_p * total);
    }
    return std::min(of_top_p, distance(random_uniform(s.seed, s.pos) * kept));
}

// A weight's exponent (at most 31) has two roundings of 2^-24, expf at most three: below 4e-6 of a weight, and so of a
// sum; a drawn number and the running sum that it meets have one such error each.
constexpr double kBound = 1e-5;

void expect_as_on_cpu(const std::vector<float>& logits, const std::vector<RowSampling>& sampling) {
    const std::vector<int> got = run(logits, sampling);
    const int n = int(logits.size() / sampling.size());
    size_t n_near = 0;
    for (size_t r = 0; r < sampling.size(); r++) {
        const RowSampling& s = sampling[r];
        const float* row = logits.data() + r * size_t(n);
        Sampling sampled{s.temperature, s.top_p, s.seed, s.n_ruled_out};
        std::copy_n(s.ruled_out, s.n_ruled_out, sampled.ruled_out);
        sampled.top_k = s.top_k;
        const int want = sample_token(row, n, sampled, s.pos);
        if (got[r] == want) continue;
        ASSERT_TRUE(got[r] >= 0 && got[r] < n) << "row " << r;
        ASSERT_TRUE(s.temperature > 0 && margin(row, n, s) < kBound)
            << "row " << r << " temperature " << s.temperature << " top_p " << s.top_p << ": " << got[r] << ", not "
            << want;
        n_near++;
    }
    EXPECT_LE(n_near, sampling.size() / 8);
}

std::vector<float> random_logits(size_t n, float range, uint64_t seed) {
    std::vector<float> logits(n);
    for (size_t i = 0; i < n; i++) logits[i] = range * noise(seed, i);
    return logits;
}

// Every mixture of temperature and top_p, each with `n` draws.
std::vector<RowSampling> samplings(int n) {
    std::vector<RowSampling> all;
    for (const float temperature : {0.0f, 0.7f, 1.0f})
        for (const float top_p : {1.0f, 0.9f, 0.01f})
            for (int i = 0; i < n; i++) all.push_back({temperature, top_p, uint64_t(7 + i), uint64_t(100 * i)});
    return all;
}

TEST(Sample, PeakedRows) {
    for (const int n : {2048, 2049}) {
        const auto sampling = samplings(2);
        expect_as_on_cpu(random_logits(sampling.size() * size_t(n), 20, 1), sampling);
    }
}
TEST(Sample, FlatRows) {  // more tokens are kept than LDS has room for
    for (const int n : {2048, 2049}) {
        const auto sampling = samplings(2);
        expect_as_on_cpu(random_logits(sampling.size() * size_t(n), 0.5f, 2), sampling);
    }
}
TEST(Sample, WhatIsRuledOutIsNotDrawn) {
    constexpr int kVocab = 2049;
    auto sampling = samplings(2);
    std::vector<float> logits = random_logits(sampling.size() * size_t(kVocab), 5, 9);
    for (size_t r = 0; r < sampling.size(); r++) {
        RowSampling& s = sampling[r];
        float* const row = logits.data() + r * size_t(kVocab);
        s.n_ruled_out = int(r) % (kMaxRuledOut + 1);
        for (int i = 0; i < s.n_ruled_out; i++) {
            s.ruled_out[i] = (i * 1024 + int(r)) % kVocab;
            row[s.ruled_out[i]] = i % 2 ? 100.0f + float(i) : kNaN;
        }
    }
    const std::vector<int> got = run(logits, sampling);
    for (size_t r = 0; r < sampling.size(); r++) {
        const RowSampling& s = sampling[r];
        EXPECT_EQ(std::count(s.ruled_out, s.ruled_out + s.n_ruled_out, got[r]), 0) << r;
        for (int i = 0; i < s.n_ruled_out; i++) logits[r * size_t(kVocab) + size_t(s.ruled_out[i])] = -kInf;
    }
    expect_as_on_cpu(logits, sampling);
}
// One, some, more than LDS has room for, nearly all, all, and more than there are.
TEST(Sample, TopK) {
    for (const float range : {20.0f, 5.0f, 0.5f})
        for (const int k : {1, 2, 40, 511, 512, 513, 1000, 2048, 2049, 1 << 30}) {
            auto sampling = samplings(2);
            for (RowSampling& s : sampling) s.top_k = k;
            expect_as_on_cpu(random_logits(sampling.size() * 2049, range, uint64_t(k)), sampling);
        }
}
// Where the last that is kept has equals, those of smaller ids are kept.
TEST(Sample, TiesAtTopKGoToTheSmallerId) {
    for (const float step : {0.25f, 2.0f, 100.0f})
        for (const int k : {1, 3, 100, 700, 1500}) {
            auto sampling = samplings(2);
            for (RowSampling& s : sampling) s.top_k = k;
            auto logits = random_logits(sampling.size() * 2049, 3, 5);
            for (float& l : logits) l = std::floor(l / step) * step;
            expect_as_on_cpu(logits, sampling);
        }
    for (uint64_t pos = 0; pos < 20; pos++) {
        RowSampling s{1, 1, 1, pos};
        s.top_k = 2;
        EXPECT_LT(run({-0.0f, 0.0f, 0.0f, -0.0f}, {s})[0], 2) << "zeros of both signs are equal";
    }
}
TEST(Sample, ARowWithoutTopKDoesNotNoticeAnothers) {
    constexpr size_t kVocab = 2049;
    auto sampling = samplings(2);
    const auto logits = random_logits(sampling.size() * kVocab, 5, 11);
    const std::vector<int> alone = run(logits, sampling);
    for (size_t r = 0; r < sampling.size(); r += 2) sampling[r].top_k = 1;
    const std::vector<int> got = run(logits, sampling);
    for (size_t r = 1; r < sampling.size(); r += 2) EXPECT_EQ(got[r], alone[r]) << r;
}
TEST(Sample, FewTokens) {
    for (const int n : {1, 2, 3, 31}) {
        const auto sampling = samplings(2);
        expect_as_on_cpu(random_logits(sampling.size() * size_t(n), 2, 3), sampling);
    }
}
TEST(Sample, WholeVocabulary) {
    constexpr int kVocab = 201088;
    expect_as_on_cpu(random_logits(4 * size_t(kVocab), 9, 4),
                     {{0, 1, 1, 1}, {1, 1, 2, 2}, {1, 0.9f, 3, 3}, {0.7f, 0.01f, 4, 4}});
}

TEST(Sample, TiesInOrderOfId) {
    for (const float step : {0.25f, 2.0f, 100.0f}) {  // few different logits; at 100, all that can be drawn are equal
        const auto sampling = samplings(1);
        auto logits = random_logits(sampling.size() * 2049, 3, 5);
        for (float& l : logits) l = std::floor(l / step) * step;
        expect_as_on_cpu(logits, sampling);
    }
}
TEST(Sample, ZerosOfBothSignsAreEqual) {
    EXPECT_EQ(run({-1, -0.0f, 0.0f, -2}, {{0, 1, 0, 0}}), std::vector<int>{1});
    EXPECT_EQ(run({-1, -0.0f, 0.0f, -2}, {{1, 0.01f, 0, 0}}), std::vector<int>{1});
}

TEST(Sample, ExtremeTemperatures) {
    const auto logits = random_logits(2048, 10, 6);
    const int largest = int(std::max_element(logits.begin(), logits.end()) - logits.begin());
    for (const float temperature : {1e-30f, 1e-45f})
        for (const float top_p : {1.0f, 0.5f})
            EXPECT_EQ(run(logits, {{temperature, top_p, 1, 1}}), std::vector<int>{largest});
    for (const float temperature : {1e4f, 3e38f, kInf})
        for (const float top_p : {1.0f, 0.5f}) {
            const int token = run(logits, {{temperature, top_p, 1, 1}})[0];
            EXPECT_TRUE(token >= 0 && token < 2048) << temperature << " " << top_p;
        }
}

TEST(Sample, LogitsThatAreNotFiniteGiveNoToken) {
    const auto good = random_logits(2049, 5, 7);
    const auto expect_none = [](const std::vector<float>& logits, const char* what, size_t at) {
        for (const RowSampling& s : samplings(1))
            EXPECT_EQ(run(logits, {s})[0], kNoToken)
                << what << " at " << at << ", temperature " << s.temperature << ", top_p " << s.top_p;
    };
    // The first and last of what is read 16 bytes at a time, of the row's rest, of the row.
    for (const size_t at : {0, 1, 1000, 2047, 2048}) {
        auto nan = good, infinite = good;
        nan[at] = at % 2 ? kNaN : -kNaN;
        infinite[at] = kInf;
        expect_none(nan, "NaN", at);
        expect_none(infinite, "+infinity", at);
    }
    expect_none(std::vector<float>(2048, kNaN), "all NaN", 0);
    expect_none(std::vector<float>(2048, -kInf), "all ruled out", 0);
    expect_none({kNaN}, "one token", 0);
}
TEST(Sample, MinusInfinityRulesTokensOut) {
    auto masked = random_logits(2049, 5, 7);
    for (size_t i = 0; i < masked.size(); i++)
        if (i != 1234) masked[i] = -kInf;
    for (const RowSampling& s : samplings(1)) EXPECT_EQ(run(masked, {s}), std::vector<int>{1234});
    auto half = random_logits(2049, 5, 7);
    for (size_t i = 0; i < half.size(); i += 2) half[i] = -kInf;
    for (const RowSampling& s : samplings(4)) EXPECT_EQ(run(half, {s})[0] % 2, 1);
    EXPECT_EQ(run({-3e38f, -kInf}, {{0, 1, 0, 0}}), std::vector<int>{0}) << "a number, if a small one";
}
TEST(Sample, ARowThatIsNotFiniteFailsAlone) {
    constexpr size_t kVocab = 2049;
    const auto sampling = samplings(1);
    auto logits = random_logits(sampling.size() * kVocab, 4, 8);
    const std::vector<int> good = run(logits, sampling);
    for (size_t r = 0; r < sampling.size(); r += 2) logits[r * kVocab + 7 * r] = r % 4 ? kInf : kNaN;
    const std::vector<int> got = run(logits, sampling);
    for (size_t r = 0; r < sampling.size(); r++) EXPECT_EQ(got[r], r % 2 ? good[r] : kNoToken) << "row " << r;
}

TEST(Sample, ARowIsAlone) {
    constexpr size_t kVocab = 2049;
    const auto sampling = samplings(1);  // 9 rows
    const auto logits = random_logits(sampling.size() * kVocab, 4, 8);
    const std::vector<int> all = run(logits, sampling);
    for (size_t r = 0; r < sampling.size(); r++) {
        const std::vector<float> row(logits.begin() + int64_t(r * kVocab), logits.begin() + int64_t((r + 1) * kVocab));
        EXPECT_EQ(run(row, {sampling[r]})[0], all[r]) << "row " << r;
    }
}

}  // namespace
