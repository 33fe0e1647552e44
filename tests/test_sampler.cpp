// test_sampler.cpp: what is drawn, how often, and that a draw depends on the request alone.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "sampler.h"

namespace {

std::vector<double> frequencies(const std::vector<float>& logits, Sampling sampling, int n_draws) {
    std::vector<double> counts(logits.size());
    for (int i = 0; i < n_draws; i++)
        counts[size_t(sample_token(logits.data(), int(logits.size()), sampling, uint64_t(i)))] += 1.0 / n_draws;
    return counts;
}

// Four standard deviations of a count of n draws with probability p.
double bound(double p, int n) {
    return 4 * std::sqrt(p * (1 - p) / n) + 1e-12;
}

constexpr int kDraws = 20000;

TEST(Sampler, ZeroTemperatureTakesTheLargest) {
    const std::vector<float> logits{0.5f, 3.0f, -1.0f, 2.9f};
    EXPECT_EQ(sample_token(logits.data(), 4, {0, 0.9f, 1}, 0), 1);
}

TEST(Sampler, TiesGoToTheSmallerId) {
    const std::vector<float> logits{1.0f, 2.0f, 2.0f, 2.0f};
    EXPECT_EQ(sample_token(logits.data(), 4, {0, 1, 1}, 0), 1);
}

// The largest is looked for in blocks and lanes: at the edges of both, in the last, incomplete one, and twice.
TEST(Sampler, GreedyTakesTheFirstOfTheLargestWhereverItIs) {
    const int n = 4096 + 1000 + 7;
    for (const int at : {0, 1, 31, 32, 4095, 4096, 4097, 4096 + 992, n - 1}) {
        std::vector<float> logits(n, -3.0f);
        logits[size_t(at)] = -1.0f;
        EXPECT_EQ(sample_token(logits.data(), n, {}, 0), at);
        logits[size_t(n - 1)] = -1.0f;
        EXPECT_EQ(sample_token(logits.data(), n, {}, 0), at);
        logits[size_t(n - 2)] = -0.5f;
        EXPECT_EQ(sample_token(logits.data(), n, {}, 0), n - 2);
    }
}

// NaN and +infinity anywhere in a row, and a row that rules every token out, are no logits, greedy and drawn; -infinity
// rules a token out.
TEST(Sampler, WhatIsRuledOutIsNotDrawn) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> logits = {1, 5, 4, 3, nan};
    for (const float temperature : {0.0f, 1e-6f}) {
        EXPECT_EQ(sample_token(logits.data(), 5, {temperature, 1, 1, 2, {1, 4}}, 0), 2);
        EXPECT_EQ(sample_token(logits.data(), 5, {temperature, 0.9f, 1, 3, {1, 4, 2}}, 0), 3);
        EXPECT_EQ(sample_token(logits.data(), 5, {temperature, 1, 1, 1, {1}}, 0), kNotFinite);
        EXPECT_EQ(sample_token(logits.data(), 5, {temperature, 1, 1, 5, {0, 1, 2, 3, 4}}, 0), kNotFinite);
    }
    const std::vector<float> plain = {1, -INFINITY, 4, 3, 2}, all = {1, 6, 4, 3, 2};
    for (uint64_t pos = 0; pos < 100; pos++)
        EXPECT_EQ(sample_token(all.data(), 5, {1, 0.8f, 7, 1, {1}}, pos),
                  sample_token(plain.data(), 5, {1, 0.8f, 7}, pos));
}

TEST(Sampler, LogitsThatAreNotFiniteAreSaidToBe) {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    const auto expect = [](const std::vector<float>& logits, int want, const std::string& what) {
        for (const float temperature : {0.0f, 1.0f})
            for (const float top_p : {0.5f, 1.0f})
                EXPECT_EQ(sample_token(logits.data(), int(logits.size()), {temperature, top_p, 1}, 0), want)
                    << what << ", temperature " << temperature << ", top_p " << top_p;
    };
    expect(std::vector<float>(40, nan), kNotFinite, "only NaN");
    expect(std::vector<float>(40, inf), kNotFinite, "only +infinity");
    expect(std::vector<float>(40, -inf), kNotFinite, "all ruled out");
    expect({nan}, kNotFinite, "one token");
    expect({-inf, -inf, 3, -inf}, 2, "all but one ruled out");
    const int n = 4096 + 1000 + 7;
    for (const int at : {0, 1, 31, 32, 4095, 4096, 4096 + 992, n - 1})
        for (const float bad : {nan, inf, -nan}) {
            std::vector<float> logits(n, -3.0f);
            logits[100] = 5;
            logits[size_t(at)] = bad;
            expect(logits, kNotFinite, "at " + std::to_string(at));
        }
}

TEST(Sampler, TemperatureGivesSoftmaxFrequencies) {
    const std::vector<float> logits{0.0f, 1.0f, 2.0f};
    for (const float temperature : {0.5f, 1.0f, 2.0f}) {
        double sum = 0;
        for (const float l : logits) sum += std::exp(double(l) / temperature);
        const auto got = frequencies(logits, {temperature, 1, 7}, kDraws);
        for (size_t i = 0; i < logits.size(); i++) {
            const double want = std::exp(double(logits[i]) / temperature) / sum;
            EXPECT_NEAR(got[i], want, bound(want, kDraws)) << "temperature " << temperature << " id " << i;
        }
    }
}

TEST(Sampler, TopPKeepsTheSmallestSetThatHoldsIt) {
    // Probabilities 0.5, 0.3, 0.15, 0.05, in an order that is not theirs.
    const std::vector<float> logits{std::log(0.15f), std::log(0.5f), std::log(0.05f), std::log(0.3f)};
    auto got = frequencies(logits, {1, 0.7f, 3}, kDraws);  // 0.5 + 0.3
    EXPECT_EQ(got[0], 0);
    EXPECT_EQ(got[2], 0);
    EXPECT_NEAR(got[1], 0.5 / 0.8, bound(0.5 / 0.8, kDraws));
    got = frequencies(logits, {1, 0.9f, 3}, kDraws);  // and 0.15
    EXPECT_EQ(got[2], 0);
    EXPECT_NEAR(got[0], 0.15 / 0.95, bound(0.15 / 0.95, kDraws));
}

Sampling top_k(int k, float top_p = 1, uint64_t seed = 3) {
    Sampling sampling{1, top_p, seed};
    sampling.top_k = k;
    return sampling;
}

TEST(Sampler, TopKKeepsTheLikeliest) {
    // Probabilities 0.5, 0.3, 0.15, 0.05, in an order that is not theirs.
    const std::vector<float> logits{std::log(0.15f), std::log(0.5f), std::log(0.05f), std::log(0.3f)};
    auto got = frequencies(logits, top_k(2), kDraws);
    EXPECT_EQ(got[0] + got[2], 0);
    EXPECT_NEAR(got[1], 0.5 / 0.8, bound(0.5 / 0.8, kDraws));
    got = frequencies(logits, top_k(3), kDraws);
    EXPECT_EQ(got[2], 0);
    EXPECT_NEAR(got[0], 0.15 / 0.95, bound(0.15 / 0.95, kDraws));
    EXPECT_NEAR(frequencies(logits, top_k(1), 100)[1], 1, 1e-9);
    // top_p is of what top_k leaves: 0.5 / 0.8 is 0.625 of it.
    EXPECT_NEAR(frequencies(logits, top_k(2, 0.62f), 100)[1], 1, 1e-9);
    EXPECT_GT(frequencies(logits, top_k(2, 0.63f), kDraws)[3], 0);
}

TEST(Sampler, TiesAtTopKGoToTheSmallerId) {
    const std::vector<float> logits{1, 2, 2, 2, 3, 2};
    const auto got = frequencies(logits, top_k(3), 1000);
    EXPECT_NEAR(got[1] + got[2] + got[4], 1, 1e-9);
}

// Nor does a row that does not ask for it.
TEST(Sampler, ATopKOfAllTokensChangesNoDraw) {
    std::vector<float> logits(500);
    for (size_t i = 0; i < logits.size(); i++) logits[i] = float(i * 37 % 101) * 0.05f;
    for (uint64_t pos = 0; pos < 300; pos++)
        for (const float top_p : {0.5f, 1.0f})
            for (const int k : {500, 501, 1 << 30})
                EXPECT_EQ(sample_token(logits.data(), 500, top_k(k, top_p), pos),
                          sample_token(logits.data(), 500, {1, top_p, 3}, pos));
}

TEST(Sampler, APenaltyMakesWhatTheTextHasLessLikely) {
    const std::vector<float> logits{-1, 3, 2.5f, 2};
    const int context[] = {1, 0, 1, 2};
    Sampling sampling;
    const auto greedy = [&](float penalty, uint64_t pos) {
        sampling.repetition_penalty = penalty;
        return sample_token(logits.data(), 4, sampling, pos, {context, 0});
    };
    EXPECT_EQ(greedy(1, 3), 1);
    EXPECT_EQ(greedy(1.1f, 0), 1) << "3 / 1.1 is above 2.5";
    EXPECT_EQ(greedy(1.3f, 0), 2);
    EXPECT_EQ(greedy(1.3f, 2), 2) << "once, although it is there twice";
    EXPECT_EQ(greedy(1.3f, 3), 1) << "as 3 / 1.3 is above 2";
    EXPECT_EQ(greedy(1.6f, 3), 3);
    EXPECT_EQ(greedy(0.5f, 1), 1) << "below 1 it is the other way";
    // One below 0 is multiplied: softmax of -2 beside 0.
    const std::vector<float> two{-1, 0};
    const int first[] = {0};
    sampling = {1, 1, 7};
    sampling.repetition_penalty = 2;
    double n = 0;
    for (int seed = 0; seed < kDraws; seed++) {
        sampling.seed = uint64_t(seed);
        n += sample_token(two.data(), 2, sampling, 0, {first, 0}) == 0;
    }
    const double want = std::exp(-2.0) / (1 + std::exp(-2.0));
    EXPECT_NEAR(n / kDraws, want, bound(want, kDraws));
}

// OpenAI's formula: logit - count · frequency - (count > 0) · presence, over what was generated.
TEST(Sampler, PenaltiesOfTheAnswer) {
    const std::vector<float> logits{0, 3, 2.5f, 2};
    const int text[] = {2, 1, 1, 3, 1};  // the first is the prompt's
    Sampling sampling;
    const auto greedy = [&](float presence, float frequency, uint64_t pos, int n_prompt = 1) {
        sampling.presence_penalty = presence;
        sampling.frequency_penalty = frequency;
        return sample_token(logits.data(), 4, sampling, pos, {text, n_prompt});
    };
    EXPECT_EQ(greedy(2, 0, 0), 1) << "the answer has nothing yet";
    EXPECT_EQ(greedy(0.4f, 0, 1), 1);
    EXPECT_EQ(greedy(0.6f, 0, 1), 2);
    EXPECT_EQ(greedy(0.4f, 0, 4), 1) << "presence counts once";
    EXPECT_EQ(greedy(0, 0.2f, 2), 1) << "3 - 2 · 0.2 is above 2.5";
    EXPECT_EQ(greedy(0, 0.2f, 4), 2) << "3 - 3 · 0.2 is below";
    EXPECT_EQ(greedy(2, 0, 4, 5), 1) << "all of it is the prompt's";
    EXPECT_EQ(greedy(-2, 0, 3), 1) << "below 0 it draws more of the same";
    EXPECT_EQ(greedy(0, -1, 3), 1);
}

TEST(Sampler, BiasIsAddedAndAHundredDecides) {
    const std::vector<float> logits{0, 3, 2.5f, 2};
    const auto biased = [&](std::vector<TokenBias> bias) {
        Sampling sampling;
        sampling.bias = std::make_shared<const std::vector<TokenBias>>(std::move(bias));
        return sample_token(logits.data(), 4, sampling, 0);
    };
    EXPECT_EQ(biased({{2, 0.4f}}), 1);
    EXPECT_EQ(biased({{2, 0.6f}}), 2);
    EXPECT_EQ(biased({{1, -100}, {2, -100}}), 3);
    EXPECT_EQ(biased({{0, 100}}), 0);
}

TEST(Sampler, MinPCutsByTheLikeliest) {
    // Probabilities 0.5, 0.3, 0.15, 0.05, in an order that is not theirs.
    const std::vector<float> logits{std::log(0.15f), std::log(0.5f), std::log(0.05f), std::log(0.3f)};
    Sampling sampling{1, 1, 3};
    sampling.min_p = 0.29f;
    auto got = frequencies(logits, sampling, kDraws);
    EXPECT_EQ(got[2], 0);
    EXPECT_NEAR(got[0], 0.15 / 0.95, bound(0.15 / 0.95, kDraws));
    sampling.min_p = 0.31f;
    got = frequencies(logits, sampling, kDraws);
    EXPECT_EQ(got[0] + got[2], 0);
    EXPECT_NEAR(got[3], 0.3 / 0.8, bound(0.3 / 0.8, kDraws));
    sampling.min_p = 1;
    EXPECT_NEAR(frequencies(logits, sampling, 100)[1], 1, 1e-9);
    sampling = {0.5f, 1, 3};  // squares: 0.25 and 0.09, so min_p is of what temperature makes
    sampling.min_p = 0.37f;
    EXPECT_NEAR(frequencies(logits, sampling, 100)[1], 1, 1e-9);
}

// What is allowed is drawn as if all else were ruled out.
TEST(Sampler, OnlyWhatIsAllowedIsDrawn) {
    const std::vector<float> logits{1, 6, 4, 3, 2}, others_out{1, -INFINITY, 4, -INFINITY, 2};
    Sampling sampling{1, 0.9f, 7};
    sampling.allowed = std::make_shared<const std::vector<int>>(std::vector<int>{0, 2, 4});
    for (uint64_t pos = 0; pos < 200; pos++)
        EXPECT_EQ(sample_token(logits.data(), 5, sampling, pos), sample_token(others_out.data(), 5, {1, 0.9f, 7}, pos));
    sampling.temperature = 0;
    EXPECT_EQ(sample_token(logits.data(), 5, sampling, 0), 2);
    sampling.n_ruled_out = 1;
    sampling.ruled_out[0] = 2;
    EXPECT_EQ(sample_token(logits.data(), 5, sampling, 0), 4);
    EXPECT_EQ(sample_token(std::vector<float>{NAN, 0, 0, 0, 0}.data(), 5, sampling, 0), kNotFinite);
}

TEST(Logprobs, AreOfTheSoftmax) {
    const std::vector<float> logits{std::log(0.125f), std::log(0.5f), -INFINITY, std::log(0.25f), std::log(0.125f)};
    const TokenLogprobs got = logprobs_of(logits.data(), 5, 3, 4);
    EXPECT_EQ(got.drawn.id, 3);
    EXPECT_NEAR(got.drawn.logprob, std::log(0.25), 1e-6);
    ASSERT_EQ(got.top.size(), 4u);
    const int ids[] = {1, 3, 0, 4};  // ties to the smaller id
    for (size_t i = 0; i < 4; i++) EXPECT_EQ(got.top[i].id, ids[i]);
    EXPECT_NEAR(got.top[0].logprob, std::log(0.5), 1e-6);
    EXPECT_EQ(logprobs_of(logits.data(), 5, 1, 9).top.size(), 5u);
    EXPECT_TRUE(logprobs_of(logits.data(), 5, 1, 0).top.empty());
}

TEST(Sampler, APenaltyWithWhatIsRuledOutAndNoNumber) {
    const int context[] = {3, 1};
    Sampling sampling{0, 1, 1, 1, {1}};
    sampling.repetition_penalty = 2;
    EXPECT_EQ(sample_token(std::vector<float>{1, NAN, 2, 3}.data(), 4, sampling, 1, {context, 0}), 2);
    sampling.n_ruled_out = 0;
    EXPECT_EQ(sample_token(std::vector<float>{1, NAN, 2, 3}.data(), 4, sampling, 1, {context, 0}), kNotFinite);
    EXPECT_EQ(sample_token(std::vector<float>{1, -INFINITY, 2, 3}.data(), 4, sampling, 1, {context, 0}), 2);
}

TEST(Sampler, TinyTopPIsGreedy) {
    const std::vector<float> logits{0.1f, 0.2f, 0.15f};
    for (uint64_t pos = 0; pos < 100; pos++) EXPECT_EQ(sample_token(logits.data(), 3, {1, 1e-6f, 5}, pos), 1);
}

TEST(Sampler, TopPOnEqualTokensTakesTheSmallerIds) {
    const std::vector<float> logits(10, 1.0f);
    const auto got = frequencies(logits, {1, 0.35f, 5}, kDraws);
    for (size_t i = 0; i < 10; i++) EXPECT_EQ(got[i] > 0, i < 4) << i;
}

TEST(Sampler, ManyTokensOfLittleProbability) {
    // 100 likely ones hold 0.909; 1000 unlikely ones share the rest.
    std::vector<float> logits(1100, std::log(1e-4f));
    for (size_t i = 500; i < 600; i++) logits[i] = std::log(1e-2f);
    const auto got = frequencies(logits, {1, 0.9f, 5}, kDraws);
    for (size_t i = 0; i < logits.size(); i++)
        if (i < 500 || i >= 600) {
            EXPECT_EQ(got[i], 0) << i;
        }
}

TEST(Sampler, HugeLogitsAndTinyTemperatureStayFinite) {
    const std::vector<float> logits{1e30f, -1e30f, 3e38f};
    EXPECT_EQ(sample_token(logits.data(), 3, {1e-3f, 0.9f, 1}, 0), 2);
}

TEST(Sampler, DrawsDependOnSeedAndPositionAlone) {
    EXPECT_EQ(random_uniform(1, 2), random_uniform(1, 2));
    EXPECT_NE(random_uniform(1, 2), random_uniform(1, 3));
    EXPECT_NE(random_uniform(1, 2), random_uniform(2, 2));
    EXPECT_NE(random_uniform(1, 2), random_uniform(2, 1));
}

TEST(Sampler, UniformIsUniform) {
    // Neighbouring seeds and positions, as real requests have them; 16 bins, chi squared, 15 degrees of freedom: 0.1 %
    // at 37.7.
    std::vector<double> bins(16);
    double n = 0;
    for (uint64_t seed = 0; seed < 100; seed++)
        for (uint64_t pos = 0; pos < 100; pos++, n++) {
            const double u = random_uniform(seed, pos);
            ASSERT_GE(u, 0.0);
            ASSERT_LT(u, 1.0);
            bins[size_t(u * 16)]++;
        }
    double chi = 0;
    for (const double b : bins) chi += (b - n / 16) * (b - n / 16) / (n / 16);
    EXPECT_LT(chi, 37.7);
}

}  // namespace
