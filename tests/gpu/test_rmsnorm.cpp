// test_rmsnorm.cpp: the norm and the experts' sum before it, against doubles; and that a token is alone.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "device_array.h"
#include "kernels/kernels.h"
#include "noise.h"

namespace {

constexpr float kEps = 1e-5f;

struct Case {
    int n_tok, hidden_dim;
    int n_down;  // 0: no experts' rows

    std::vector<float> x, gain, down, weight;

    Case(int tokens, int dim, int experts) : n_tok(tokens), hidden_dim(dim), n_down(experts) {
        x.resize(size_t(n_tok) * hidden_dim);
        for (size_t i = 0; i < x.size(); i++) x[i] = 30 * noise(1, i);
        gain.resize(size_t(hidden_dim));
        for (size_t i = 0; i < gain.size(); i++) gain[i] = 1 + noise(2, i);
        weight.resize(size_t(n_tok) * n_down);
        for (size_t i = 0; i < weight.size(); i++) weight[i] = 0.5f + noise(3, i) / 2;
        down.resize(weight.size() * hidden_dim);
        for (size_t i = 0; i < down.size(); i++) down[i] = 10 * noise(4, i);
    }
    // A case of one of its tokens.
    Case token(int t) const {
        Case one(1, hidden_dim, n_down);
        const auto part = [&](const std::vector<float>& from, int size) {
            return std::vector<float>(from.begin() + int64_t(t) * size, from.begin() + int64_t(t + 1) * size);
        };
        one.x = part(x, hidden_dim);
        one.weight = part(weight, n_down);
        one.down = part(down, n_down * hidden_dim);
        return one;
    }
    int padded_dim() const { return round_up(hidden_dim, kDepthStep); }
};

struct Result {
    std::vector<bf16> h;
    std::vector<float> x;
};

// rows: empty for rmsnorm, else those of rmsnorm_rows.
Result run(const Case& c, const std::vector<int>& rows = {}) {
    const Guarded<float> x(c.x);
    const Guarded<float> gain(c.gain), down(c.down), weight(c.weight);
    const Guarded<int> row_token(rows);
    const size_t n_rows = rows.empty() ? size_t(c.n_tok) : rows.size();
    const Guarded<bf16> h(n_rows * c.padded_dim());
    const float* const d_down = c.n_down ? down.data() : nullptr;
    const float* const d_weight = c.n_down ? weight.data() : nullptr;
    if (rows.empty())
        rmsnorm(h.data(), x.data(), gain.data(), d_down, d_weight, c.n_tok, c.hidden_dim, c.n_down, kEps, nullptr);
    else
        rmsnorm_rows(h.data(), x.data(), row_token.data(), gain.data(), d_down, d_weight, int(n_rows), c.hidden_dim,
                     c.n_down, kEps, nullptr);
    return {h.download("h"), x.download("x")};
}

// x: one rounding a product and a sum, each at most 2^-24 of the terms' absolute sum. h: that of bf16, 2^-8; three f32
// products and the sum of squares (rmsnorm.hip), below 1e-5 together; and the error of x.
void expect_norm(const Case& c) {
    const Result got = run(c);
    for (int t = 0; t < c.n_tok; t++) {
        std::vector<double> x(static_cast<size_t>(c.hidden_dim)), x_bound(x.size());
        double squares = 0;
        for (int i = 0; i < c.hidden_dim; i++) {
            x[i] = c.x[size_t(t) * c.hidden_dim + i];
            double terms = std::fabs(x[i]);
            for (int a = 0; a < c.n_down; a++) {
                const size_t slot = size_t(t) * c.n_down + a;
                const double term = double(c.weight[slot]) * c.down[slot * c.hidden_dim + i];
                x[i] += term;
                terms += std::fabs(term);
            }
            x_bound[i] = c.n_down ? (c.n_down + 1) * 0x1p-24 * terms : 0;
            squares += x[i] * x[i];
            ASSERT_NEAR(got.x[size_t(t) * c.hidden_dim + i], x[i], x_bound[i]) << "x, token " << t << " element " << i;
        }
        const double scale = 1 / std::sqrt(squares / c.hidden_dim + kEps);
        for (int i = 0; i < c.padded_dim(); i++) {
            const double got_h = to_f32(got.h[size_t(t) * c.padded_dim() + i]);
            if (i >= c.hidden_dim) {
                ASSERT_EQ(got_h, 0) << "padding, token " << t << " element " << i;
                continue;
            }
            const double want = x[i] * scale * c.gain[i], x_part = x_bound[i] * scale * std::fabs(c.gain[i]);
            ASSERT_NEAR(got_h, want, (0x1p-8 + 1e-5) * (std::fabs(want) + x_part) + x_part)
                << "h, token " << t << " element " << i;
        }
    }
}

template <class T>
std::vector<T> row(const std::vector<T>& rows, int r, int size) {
    return {rows.begin() + int64_t(r) * size, rows.begin() + int64_t(r + 1) * size};
}
std::vector<int> bits(const std::vector<bf16>& row) {
    std::vector<int> out;
    for (const bf16 v : row) out.push_back(v.bits);
    return out;
}

TEST(RmsNorm, OneBlockOf32) {
    expect_norm({2, 32, 0});
}
TEST(RmsNorm, ExactlyOneDepthStep) {
    expect_norm({1, 64, 0});
}
TEST(RmsNorm, PaddingAfterTheRow) {
    expect_norm({3, 96, 4});
}
TEST(RmsNorm, SizeOfTheModel) {
    expect_norm({2, 2880, 4});
}
TEST(RmsNorm, TwoQuadsAThread) {
    expect_norm({1, 4128, 4});
}
TEST(RmsNorm, LargestRow) {
    expect_norm({1, 8192, 0});
}
TEST(RmsNorm, AnyNumberOfExperts) {
    for (const int n_down : {1, 2, 3, 5, 8}) expect_norm({2, 64, n_down});
}

TEST(RmsNorm, ZerosStayZeros) {
    Case c(1, 64, 0);
    c.x.assign(64, 0.0f);
    for (const bf16 h : run(c).h) EXPECT_EQ(h.bits, 0);
}

TEST(RmsNorm, ATokenIsAlone) {
    for (const int hidden_dim : {96, 2880}) {
        const Case c(9, hidden_dim, 4);
        const Result all = run(c);
        for (const int t : {0, 5, 8}) {
            const Result one = run(c.token(t));
            EXPECT_EQ(bits(one.h), bits(row(all.h, t, c.padded_dim()))) << "token " << t;
            EXPECT_EQ(one.x, row(all.x, t, hidden_dim)) << "token " << t;
        }
    }
}

TEST(RmsNormRows, TheSameBitsInAnyOrderAndXStays) {
    for (const int n_down : {0, 4}) {
        const Case c(6, 96, n_down);
        const std::vector<int> rows{5, 0, 3, 3};
        const Result all = run(c), some = run(c, rows);
        for (size_t r = 0; r < rows.size(); r++)
            EXPECT_EQ(bits(row(some.h, int(r), c.padded_dim())), bits(row(all.h, rows[r], c.padded_dim())))
                << "row " << r;
        EXPECT_EQ(some.x, c.x);
    }
}

}  // namespace
