// test_bench_step.cpp: what the bench of whole steps says of their work, and the profile of their roofs, on a model
// small enough to be emulated.
#include <gtest/gtest.h>

#include "../../tools/gpu/step_bench.h"
#include "../../tools/gpu/synthetic_model.h"
#include "gpu/op_timer.h"
#include "small_config.h"

namespace {

// Bytes of one layer: q 128 × 64, k and v 64 × 64, o 64 × 128, router 4 × 64, all bf16; experts of 3 × 64 × 64 in
// MXFP4, 17 bytes for 32 weights. A key and its value: 2 × 64 bf16.
constexpr double kDense = 2 * (128 * 64 + 2 * 64 * 64 + 64 * 128 + 4 * 64), kExpert = 3 * 64 * 64 * 17 / 32, kKey = 256;
constexpr double kLogits = 320 * 64 * 2;

TEST(GpuBenchStep, DecodeReadsWhatItMust) {
    const SyntheticModel synthetic(small_config(2));
    StepBench bench(synthetic.model(), 3, 64);
    ASSERT_EQ(bench.max_sequences(), 3);
    const StepTime one = bench.decode(1, 40, 1), three = bench.decode(3, 40, 1);
    EXPECT_GT(one.seconds, 0);
    EXPECT_GE(one.idle, 0);
    EXPECT_LT(one.idle, 1);
    EXPECT_EQ(one.n_tokens, 1);
    EXPECT_DOUBLE_EQ(one.bytes, 2 * (kDense + 2 * kExpert) + kLogits + kKey * (16 + 40)) << "a window, and all";
    EXPECT_DOUBLE_EQ(three.bytes, 2 * (kDense + 3.5 * kExpert) + kLogits + 3 * kKey * (16 + 40))
        << "a choice of 2 out of 4 leaves out half of those left out before";
    EXPECT_DOUBLE_EQ(one.flop * 3, three.flop);
}

TEST(GpuBenchStep, PrefillReadsKeysOnceAndSamplesOnce) {
    const SyntheticModel synthetic(small_config(2));
    StepBench bench(synthetic.model(), 2, 64);
    const StepTime t = bench.prefill(2, 20, 1);
    EXPECT_EQ(t.n_tokens, 40);
    EXPECT_NEAR(t.bytes, 2 * (kDense + 4 * kExpert) + kLogits + 2 * kKey * (20 + 20), 1)
        << "40 tokens meet all experts";
    const double products = 40 * 2.0 * 2 * (kDense / 2 + 2 * 3 * 64 * 64) + 2 * 2 * 320 * 64;
    const double seen_full = 20 * 21 / 2, seen_window = 16 * 17 / 2 + 4 * 16;
    EXPECT_DOUBLE_EQ(t.flop, products + 2 * 4 * 128 * (seen_full + seen_window));
}

TEST(OpTimer, AddsUpTheRoofThatBinds) {
    OpTimer timer(false, false, Roofs{100, 1000}, {"a", "b"});
    const auto nothing = [] {};
    timer.run(0, {30, 20, 100}, nullptr, nothing);   // memory: 0.5 s, products 0.1
    timer.run(0, {30, 20, 2000}, nullptr, nothing);  // products: 2 s
    EXPECT_DOUBLE_EQ(timer.ops()[0].roof_seconds, 2.5);
    EXPECT_EQ(timer.ops()[0].bytes, 60);
    EXPECT_EQ(timer.ops()[1].roof_seconds, 0);
}

TEST(Roofs, OfADeviceThatIsNotInTheTable) {
    const Roofs roofs = measure_roofs(0, nullptr);
    EXPECT_GT(roofs.bytes_per_s, 0);
    EXPECT_DOUBLE_EQ((Roofs{100, 0}.seconds(50, 1e9)), 0.5) << "operations do not count";
    EXPECT_EQ(Roofs{}.seconds(50, 1e9), 0);
}

}  // namespace
