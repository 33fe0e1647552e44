// test_layernorm.cpp: GPT-2's norm against doubles, at all its widths; and that a row is alone.
#include <gtest/gtest.h>

#include <cmath>

#include "matrix_checks.h"

namespace {

constexpr float kEps = 1e-5f;

struct Case {
    int n_rows, dim;
    float offset = 0;  // of every element: what the mean takes away
    std::vector<float> x = {}, gain = {}, bias = {};

    Case(int rows, int hidden_dim, float shift = 0) : n_rows(rows), dim(hidden_dim), offset(shift) {
        x = random_f32(1, int64_t(n_rows) * dim);
        for (float& v : x) v = 30 * v + offset;
        gain = random_f32(2, dim);
        for (float& v : gain) v += 1;
        bias = random_f32(3, dim);
    }
    size_t stride() const { return size_t(round_up(dim, kDepthStep)); }
};

std::vector<bf16> run(const Case& c, const std::vector<int>& rows = {}, KOrder order = KOrder::kPlain) {
    const Guarded<float> x(c.x), gain(c.gain), bias(c.bias);
    const Guarded<int> row_token(rows);
    const int n = rows.empty() ? c.n_rows : int(rows.size());
    const Guarded<bf16> h(size_t(n) * c.stride());
    layernorm({h.data(), order}, x.data(), rows.empty() ? nullptr : row_token.data(),
              {gain.data(), bias.data(), c.dim, kEps}, n, nullptr);
    return h.download("h");
}

// Of one rounding to bf16, and of f32: layernorm.h's bounds on the mean, times scale and gain, on the scale, and three
// roundings of the product and the sum.
void expect_norm(const Case& c) {
    const std::vector<bf16> got = run(c);
    for (int r = 0; r < c.n_rows; r++) {
        const float* const x = &c.x[size_t(r) * size_t(c.dim)];
        double mean = 0, magnitude = 0, variance = 0;
        for (int i = 0; i < c.dim; i++) mean += x[i] / double(c.dim), magnitude += std::fabs(x[i]) / double(c.dim);
        for (int i = 0; i < c.dim; i++) variance += (x[i] - mean) * (x[i] - mean) / c.dim;
        const double scale = 1 / std::sqrt(variance + kEps);
        for (int i = 0; i < int(c.stride()); i++) {
            const double got_h = to_f32(got[size_t(r) * c.stride() + size_t(i)]);
            if (i >= c.dim) {
                ASSERT_EQ(got_h, 0) << "padding, row " << r << " element " << i;
                continue;
            }
            const double product = (x[i] - mean) * scale * c.gain[size_t(i)], want = product + c.bias[size_t(i)];
            const double of_mean = 20 * 0x1p-24 * magnitude * scale * std::fabs(c.gain[size_t(i)]);
            const double error = of_mean + 5e-6 * (std::fabs(product) + std::fabs(c.bias[size_t(i)]));
            ASSERT_NEAR(got_h, want, 0x1p-8 * (std::fabs(want) + error) + error) << "row " << r << " element " << i;
        }
    }
}

std::vector<int> bits(const std::vector<bf16>& rows, size_t row, size_t stride) {
    std::vector<int> out;
    for (size_t i = row * stride; i < (row + 1) * stride; i++) out.push_back(rows[i].bits);
    return out;
}

TEST(LayerNorm, OneRow) {
    expect_norm({1, 768});
}
TEST(LayerNorm, OddNumbersOfRows) {
    for (const int n : {2, 3, 5, 17, 33}) expect_norm({n, 64});
}
TEST(LayerNorm, WidthsOfTheFamily) {
    for (const int dim : {768, 1024, 1280, 1600}) expect_norm({3, dim});
}
TEST(LayerNorm, PaddingAfterTheRow) {
    for (const int dim : {32, 96, 160}) expect_norm({3, dim});
}
TEST(LayerNorm, WidestRow) {
    expect_norm({2, kMostNormedDim});
}
TEST(LayerNorm, TheMeanGoesAway) {
    expect_norm({3, 768, 1000});
}

TEST(LayerNorm, ARowOfOneNumberBecomesTheBias) {
    Case c(1, 64);
    c.x.assign(64, 7.0f);
    const std::vector<bf16> h = run(c);
    for (size_t i = 0; i < 64; i++) EXPECT_EQ(h[i].bits, to_bf16(c.bias[i]).bits) << i;
}

TEST(LayerNorm, ARowIsAlone) {
    const Case c(9, 800);
    const std::vector<int> rows{5, 0, 8, 8};
    const std::vector<bf16> all = run(c), some = run(c, rows);
    for (size_t r = 0; r < rows.size(); r++)
        EXPECT_EQ(bits(some, r, c.stride()), bits(all, size_t(rows[r]), c.stride())) << "row " << r;
}

// As a product of many rows wants them, where there are such.
TEST(LayerNorm, OrderOfManyRows) {
    const Case c(3, 160);
    const KOrder order = gpu::device_info(0).wave_groups ? KOrder::kGrouped : KOrder::kPlain;
    const std::vector<bf16> ordered = in_plain_order(run(c, {}, order), order), plain = run(c);
    for (size_t r = 0; r < 3; r++) EXPECT_EQ(bits(ordered, r, c.stride()), bits(plain, r, c.stride())) << "row " << r;
}

}  // namespace
