// test_engine_stats.cpp: no sum is left out when one moment's stats of an engine are subtracted from another's.
#include <gtest/gtest.h>

#include "engine.h"

namespace {

// Every number is another multiple of `scale`.
EngineStats numbered(int scale) {
    EngineStats s;
    s.prompt_tokens = 1 * scale;
    s.new_tokens = 2 * scale;
    s.prefill_steps = 3 * scale;
    s.decode_steps = 4 * scale;
    s.prefill_s = 5 * scale;
    s.decode_s = 6 * scale;
    s.prefill_new_tokens = 7 * scale;
    s.prefill_bytes = 8 * scale;
    s.decode_bytes = 9 * scale;
    s.host_s = 16 * scale;
    s.host_wait_s = 17 * scale;
    s.device_s = 18 * scale;
    s.device_idle_s = 19 * scale;
    s.put_back = 20 * scale;
    s.reused_tokens = 21 * scale;
    s.prefill_rows = 22 * scale;
    s.decode_rows = 23 * scale;
    s.ops = {{"attention", 10.0 * scale, 11 * scale, 12.0 * scale}, {"moe", 13.0 * scale, 14 * scale, 15.0 * scale}};
    return s;
}

void expect_equal(const EngineStats& a, const EngineStats& b) {
    EXPECT_EQ(a.prompt_tokens, b.prompt_tokens);
    EXPECT_EQ(a.new_tokens, b.new_tokens);
    EXPECT_EQ(a.prefill_steps, b.prefill_steps);
    EXPECT_EQ(a.decode_steps, b.decode_steps);
    EXPECT_EQ(a.prefill_s, b.prefill_s);
    EXPECT_EQ(a.decode_s, b.decode_s);
    EXPECT_EQ(a.prefill_new_tokens, b.prefill_new_tokens);
    EXPECT_EQ(a.prefill_bytes, b.prefill_bytes);
    EXPECT_EQ(a.decode_bytes, b.decode_bytes);
    EXPECT_EQ(a.host_s, b.host_s);
    EXPECT_EQ(a.host_wait_s, b.host_wait_s);
    EXPECT_EQ(a.device_s, b.device_s);
    EXPECT_EQ(a.device_idle_s, b.device_idle_s);
    EXPECT_EQ(a.put_back, b.put_back);
    EXPECT_EQ(a.reused_tokens, b.reused_tokens);
    EXPECT_EQ(a.prefill_rows, b.prefill_rows);
    EXPECT_EQ(a.decode_rows, b.decode_rows);
    ASSERT_EQ(a.ops.size(), b.ops.size());
    for (size_t i = 0; i < a.ops.size(); i++) {
        EXPECT_EQ(a.ops[i].name, b.ops[i].name);
        EXPECT_EQ(a.ops[i].seconds, b.ops[i].seconds);
        EXPECT_EQ(a.ops[i].bytes, b.ops[i].bytes);
        EXPECT_EQ(a.ops[i].roof_seconds, b.ops[i].roof_seconds) << "the profile's last column";
    }
}

TEST(EngineStats, DifferenceOfTwoMoments) {
    EngineStats stats = numbered(5);
    stats -= numbered(2);
    expect_equal(stats, numbered(3));
}

TEST(EngineStats, DifferenceToAnEngineThatHasNotRun) {
    EngineStats stats = numbered(5);
    stats -= EngineStats{};
    expect_equal(stats, numbered(5));
}

}  // namespace
