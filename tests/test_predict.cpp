// test_predict.cpp: the predictor against counts made by hand and, where something is measured, against that.
#include <gtest/gtest.h>

#include "../tools/gpt_oss_config.h"
#include "../tools/predict/simulation.h"

namespace {

double tokens_per_s(const char* device, int n_replicas, int chain, const Workload& workload) {
    return predict({predicted_device(device), n_replicas, chain, 0}, gpt_oss_config(false), workload).tokens_per_s;
}

TEST(Predict, TilesOfExperts) {
    const Config config = gpt_oss_config(false);
    const StepTime time(*predicted_device("H200"), config);
    EXPECT_NEAR(time.expected_tiles(1, 16), 4, 1e-9) << "four experts";
    EXPECT_NEAR(time.expected_tiles(4, 16), 32 * (1 - std::pow(28.0 / 32, 4)), 1e-9) << "some choose the same";
    EXPECT_NEAR(time.expected_tiles(256, 64), 32, 0.1) << "32 rows each, and hardly one has more than 64";
    EXPECT_NEAR(time.expected_tiles(4096, 96), 32 * 6, 32) << "512 rows each";
}

TEST(Predict, WorkOfAStep) {
    Batch batch;
    for (int pos = 100; pos < 200; pos++) batch.tokens.push_back({1, pos, 0});
    batch.tokens.push_back({1, 500, 1});
    batch.seqs.resize(2);
    batch.rows.resize(2);
    const StepWork work = work_of(batch, 128);
    EXPECT_EQ(work.n_tokens, 101);
    EXPECT_EQ(work.full_keys_read, 200 + 501);
    EXPECT_EQ(work.sliding_keys_read, 200 + 128) << "all of them, and a window";
    EXPECT_EQ(work.sliding_keys_seen, 27 * 114 + 73 * 128 + 128) << "101 to 127 keys, then the window";
}

// 15 % is what figures for other devices are worth at best. docs/performance.md has all cases, one of which is worse.
TEST(Predict, WhatWasMeasuredOnAnH200) {
    EXPECT_NEAR(tokens_per_s("H200", 1, 1, {1, 14, 64, 1}) / 524, 1, 0.15);
    EXPECT_NEAR(tokens_per_s("H200", 1, 1, {256, 14, 512, 256}) / 25221, 1, 0.15);
    EXPECT_NEAR(tokens_per_s("H200", 1, 1, {512, 14, 512, 512}) / 32634, 1, 0.15);
}

TEST(Predict, MoreDevicesWithAsMuchEachAreAsManyTimesAsFast) {
    const double one = tokens_per_s("MI250", 1, 1, {64, 14, 50, 64});
    EXPECT_NEAR(tokens_per_s("MI250", 3, 1, {192, 14, 50, 64}) / one, 3, 1e-6);
    EXPECT_GT(tokens_per_s("MI250-limit", 1, 1, {64, 14, 50, 64}), one);
}

}  // namespace
