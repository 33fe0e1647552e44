// test_router.cpp: the experts of a token and their weights, against doubles; ties, NaN; and that a token is alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "device_array.h"
#include "kernels/kernels.h"
#include "noise.h"

namespace {

constexpr float kEps = 1e-5f, kNaN = std::numeric_limits<float>::quiet_NaN();

struct Case {
    int n_tok, hidden_dim, n_experts, n_chosen;
    bool w_is_f32 = false;
    std::vector<float> x, gain, w, bias;  // w: values of bf16 unless w_is_f32

    Case(int tokens, int dim, int experts, int chosen)
        : n_tok(tokens), hidden_dim(dim), n_experts(experts), n_chosen(chosen) {
        x.resize(size_t(n_tok) * hidden_dim);
        for (size_t i = 0; i < x.size(); i++) x[i] = 20 * noise(1, i);
        gain.resize(size_t(hidden_dim));
        for (size_t i = 0; i < gain.size(); i++) gain[i] = 1 + noise(2, i) / 2;
        w.resize(size_t(n_experts) * hidden_dim);
        for (size_t i = 0; i < w.size(); i++) w[i] = to_f32(to_bf16(3 * noise(3, i) / std::sqrt(float(hidden_dim))));
        bias.resize(size_t(n_experts));
        for (size_t i = 0; i < bias.size(); i++) bias[i] = noise(4, i);
    }
    const float* x_row(int t) const { return x.data() + int64_t(t) * hidden_dim; }
};

struct Result {
    std::vector<bf16> h;
    std::vector<int> expert;
    std::vector<float> weight;
};

Result run(const Case& c) {
    std::vector<bf16> w_bf16;
    for (const float v : c.w) w_bf16.push_back(to_bf16(v));
    const Guarded<float> x(c.x), gain(c.gain), bias(c.bias), w_f32(c.w);
    const Guarded<bf16> w(w_bf16);
    const size_t n_slots = size_t(c.n_tok) * c.n_chosen;
    const Guarded<bf16> h(size_t(c.n_tok) * round_up(c.hidden_dim, kDepthStep));
    const Guarded<int> expert(n_slots);
    const Guarded<float> weight(n_slots);
    const void* const d_w = c.w_is_f32 ? static_cast<const void*>(w_f32.data()) : w.data();
    router(h.data(), expert.data(), weight.data(), x.data(), gain.data(), d_w, c.w_is_f32, bias.data(), c.n_tok,
           c.hidden_dim, c.n_experts, c.n_chosen, kEps, nullptr);
    return {h.download("h"), expert.download("expert"), weight.download("weight")};
}

struct Logits {
    std::vector<double> value, bound;
};

// The bound: a lane sums at most D / 32 + 8 products, then 6 sums and the bias; the norm has an error of less than 40
// roundings (rmsnorm.hip). Each is at most 2^-24 of the terms' absolute sum.
Logits logits_of(const Case& c, int t) {
    const float* x = c.x_row(t);
    double squares = 0;
    for (int i = 0; i < c.hidden_dim; i++) squares += double(x[i]) * x[i];
    const double scale = 1 / std::sqrt(squares / c.hidden_dim + kEps);
    Logits logits;
    for (int e = 0; e < c.n_experts; e++) {
        double sum = c.bias[size_t(e)], terms = std::fabs(sum);
        for (int i = 0; i < c.hidden_dim; i++) {
            const double term = x[i] * scale * c.gain[size_t(i)] * c.w[size_t(e) * c.hidden_dim + i];
            sum += term;
            terms += std::fabs(term);
        }
        logits.value.push_back(sum);
        logits.bound.push_back((c.hidden_dim / 32 + 8 + 7 + 40) * 0x1p-24 * terms);
    }
    return logits;
}

void expect_routed(const Case& c) {
    const Result got = run(c);
    for (int t = 0; t < c.n_tok; t++) {
        const Logits logits = logits_of(c, t);
        std::vector<int> order(size_t(c.n_experts));
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(),
                         [&](int i, int j) { return logits.value[size_t(i)] > logits.value[size_t(j)]; });
        double bound = 0;
        for (const double b : logits.bound) bound = std::max(bound, b);
        if (c.n_chosen < c.n_experts) {
            const double last = logits.value[size_t(order[size_t(c.n_chosen) - 1])];
            ASSERT_GT(last - logits.value[size_t(order[size_t(c.n_chosen)])], 2 * bound) << "choose other data";
        }
        order.resize(size_t(c.n_chosen));
        double sum = 0;
        for (const int e : order) sum += std::exp(logits.value[size_t(e)]);
        std::sort(order.begin(), order.end());
        for (int a = 0; a < c.n_chosen; a++) {
            const size_t slot = size_t(t) * c.n_chosen + a;
            ASSERT_EQ(got.expert[slot], order[size_t(a)]) << "token " << t << " choice " << a;
            const double want = std::exp(logits.value[size_t(order[size_t(a)])]) / sum;
            // Two logits' errors, and 16 roundings of 2^-24 in expf, sum and quotient.
            ASSERT_NEAR(got.weight[slot], want, want * (4 * bound + 0x1p-20)) << "token " << t << " choice " << a;
        }
    }
}

TEST(Router, HiddenDims) {
    for (const int hidden_dim : {32, 64, 96, 2880, 8192}) expect_routed({2, hidden_dim, 8, 2});
}
TEST(Router, ExpertsAndChoices) {
    for (const int n_experts : {4, 8, 32, 128, 256})
        for (const int n_chosen : {1, 2, 4, 8})
            if (n_chosen <= n_experts) expect_routed({2, 64, n_experts, n_chosen});
}
TEST(Router, OddNumberOfExperts) {
    expect_routed({2, 64, 37, 3});
}
TEST(Router, AllExpertsAreChosen) {
    expect_routed({2, 64, 8, 8});
}
TEST(Router, SizeOfTheModel) {
    expect_routed({1, 2880, 32, 4});
}
TEST(Router, WeightsInF32) {
    Case c(2, 96, 8, 4);
    c.w_is_f32 = true;
    for (size_t i = 0; i < c.w.size(); i++) c.w[i] += 1e-3f * noise(5, i);
    expect_routed(c);
}

TEST(Router, TiesGoToTheSmallerId) {
    Case c(2, 64, 32, 4);
    for (size_t i = 0; i < c.w.size(); i++) c.w[i] = c.w[i % 64];
    c.bias.assign(32, 0.5f);
    c.bias[20] = 1;
    const Result got = run(c);
    for (int t = 0; t < c.n_tok; t++) {
        EXPECT_EQ(std::vector<int>(got.expert.begin() + 4 * t, got.expert.begin() + 4 * t + 4),
                  (std::vector<int>{0, 1, 2, 20}));
        EXPECT_GT(got.weight[size_t(4 * t + 3)], got.weight[size_t(4 * t)]);
        EXPECT_EQ(got.weight[size_t(4 * t)], got.weight[size_t(4 * t + 2)]);
    }
}

TEST(Router, NaNLogitsAreTakenLast) {
    Case c(1, 64, 8, 4);
    c.bias.assign(8, kNaN);
    c.bias[3] = c.bias[7] = 0;
    EXPECT_EQ(run(c).expert, (std::vector<int>{0, 1, 3, 7}));
    c.x[5] = kNaN;
    EXPECT_EQ(run(c).expert, (std::vector<int>{0, 1, 2, 3}));
}

TEST(Router, WritesTheNormRounded) {
    const Case c(3, 96, 8, 2);
    const Guarded<float> gain(c.gain);
    const Guarded<float> x(c.x);
    const Guarded<bf16> h(3 * 128);
    rmsnorm(h.data(), x.data(), gain.data(), nullptr, nullptr, 3, 96, 0, kEps, nullptr);
    const std::vector<bf16> got = run(c).h, want = h.download("h");
    for (size_t i = 0; i < want.size(); i++)
        ASSERT_NEAR(to_f32(got[i]), to_f32(want[i]), 0x1p-7 * std::fabs(to_f32(want[i]))) << "element " << i;
}

// One block takes four tokens if there are many; 131 leaves a last block with three. With few experts a wave takes two
// of the four; 1,120 values are more than one quad for each of a token's threads then.
TEST(Router, ATokenIsAlone) {
    const struct { int dim, n_experts; } kShapes[] = {{96, 37}, {1120, 12}};
    for (const auto& shape : kShapes) {
        const Case c(131, shape.dim, shape.n_experts, 2);
        const size_t padded = size_t(round_up(shape.dim, kDepthStep));
        const Result all = run(c);
        for (const int n_tok : {1, 9}) {
            for (const int first : {0, 66, 131 - n_tok}) {
                Case some(n_tok, shape.dim, shape.n_experts, 2);
                some.x.assign(c.x_row(first), c.x_row(first) + n_tok * shape.dim);
                const Result got = run(some);
                for (size_t i = 0; i < got.expert.size(); i++) {
                    EXPECT_EQ(got.expert[i], all.expert[size_t(2 * first) + i]);
                    EXPECT_EQ(got.weight[i], all.weight[size_t(2 * first) + i]);
                }
                for (size_t i = 0; i < got.h.size(); i++)
                    ASSERT_EQ(got.h[i].bits, all.h[padded * size_t(first) + i].bits) << "element " << i;
            }
        }
    }
}
TEST(Router, ManyTokens) {
    expect_routed({131, 1120, 12, 4});
    expect_routed({131, 64, 37, 2});
}

}  // namespace
