// test_rope.cpp: frequencies against values worked out by hand from the published formula (f64) for gpt-oss.
#include <gtest/gtest.h>

#include <cmath>

#include "model.h"

namespace {

Config gpt_oss() {
    Config c;
    c.head_dim = 64;
    c.rope_theta = 150000;
    c.rope_factor = 32;
    c.rope_original_context = 4096;
    c.rope_attention_factor = 1.3465735902799727f;
    return c;
}

TEST(Rope, FrequenciesOfGptOss) {
    const std::vector<float> f = rope_inv_freq(gpt_oss());
    ASSERT_EQ(f.size(), 32u);
    const struct {
        size_t i;
        double value;
    } want[] = {{0, 1},
                {1, 0.689044306},
                {4, 0.225418},
                {8, 0.0508132748},
                {9, 0.0317056962},
                {10, 0.0193350011},
                {13, 0.00386035932},
                {16, 0.000456483919},
                {17, 0.000129318701},
                {18, 3.83088124e-05},
                {24, 4.09997848e-06},
                {31, 3.02351143e-07}};
    for (const auto& w : want) EXPECT_NEAR(f[w.i] / w.value, 1, 2e-6) << "pair " << w.i;
}

TEST(Rope, TruncatedRampDiffersInTheMiddle) {
    Config c = gpt_oss();
    c.rope_truncate = true;
    const std::vector<float> f = rope_inv_freq(c);
    EXPECT_NEAR(f[9] / 0.0316207523, 1, 2e-6);
    EXPECT_NEAR(f[17] / 0.000227947796, 1, 2e-6);
    EXPECT_NEAR(f[18] / 3.83088124e-05, 1, 2e-6);
}

TEST(Rope, FactorOneIsPlainRope) {
    Config c = gpt_oss();
    c.rope_factor = 1;
    const std::vector<float> f = rope_inv_freq(c);
    for (size_t i = 0; i < f.size(); i++) EXPECT_NEAR(f[i] * std::pow(150000.0, double(i) / 32), 1, 1e-6) << i;
}

TEST(Rope, CosAndSinCarryTheAttentionFactor) {
    const Config c = gpt_oss();
    const std::vector<float> f = rope_inv_freq(c);
    float cos[32], sin[32];
    const struct {
        int pos;
        size_t i;
        double cos, sin;
    } want[] = {{127, 9, -0.852739, -1.042160}, {4096, 13, -1.339288, -0.139883}, {1, 0, 0.727557, 1.133103}};
    for (const auto& w : want) {
        rope_cos_sin(c, f, w.pos, cos, sin);
        // The angle is a product of f32 numbers: 2^-24 of it, three times over.
        const double angle_error = w.pos * double(f[w.i]) * 3 * 0x1p-24;
        EXPECT_NEAR(cos[w.i], w.cos, 1e-6 + 1.35 * angle_error) << w.pos;
        EXPECT_NEAR(sin[w.i], w.sin, 1e-6 + 1.35 * angle_error) << w.pos;
    }
}

}  // namespace
