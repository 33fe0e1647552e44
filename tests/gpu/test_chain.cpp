// test_chain.cpp: several GPUs, real or emulated: replicas side by side and chains of them say the same bits as one;
// how memory is shared out before anything is loaded.
#include <cstdlib>

#include "checkpoint.h"
#include "emulated_devices.h"
#include "gpu/memory_plan.h"
#include "gpu/runtime.h"
#include "short_model.h"
#include "small_config.h"
#include "support/demo_golden.h"
#include "support/forward_checks.h"

namespace {

EngineOptions chain_options(int n_gpus, int gpus_per_replica) {
    return options_of(n_gpus, gpus_per_replica, 4, 1000);
}

// Some of them within a page, some over two, one of them scored.
std::vector<Generated> answers_of(const Model& model, const EngineOptions& options) {
    const std::vector<int> lengths = {3, 17, 40};
    return run_jobs(model, options, lengths.size(), [&](size_t i, Generated& answer) {
        std::vector<int> ids;
        for (int t = 0; t < lengths[i]; t++) ids.push_back((7919 * t + 31 * lengths[i]) % model.common().vocab_size);
        auto job = std::make_unique<ScoredJob>(answer, ids, 3 + int(i), model.common().vocab_size);
        job->want_logits = i % 3 == 1;
        job->sampling = {i % 2 ? 0.0f : 1.0f, 0.9f, i};
        return job;
    });
}

void expect_same(const std::vector<Generated>& got, const std::vector<Generated>& want) {
    for (size_t i = 0; i < want.size(); i++) {
        EXPECT_EQ(got[i].tokens, want[i].tokens) << "request " << i;
        EXPECT_EQ(got[i].logits, want[i].logits) << "request " << i;
    }
}

TEST(GpuChain, AnyNumberOfReplicasAndDevicesGiveTheSameBits) {
    const ShortModel tiny("mxfp4", {"num_hidden_layers=3"});
    const std::vector<Generated> want = answers_of(tiny.model(), chain_options(1, 1));
    const struct {
        int n_gpus, gpus_per_replica;
        bool peers;
    } kCases[] = {{2, 1, true}, {3, 1, true}, {2, 2, true}, {2, 2, false}, {3, 3, true}, {3, 3, false}, {3, 2, true}};
    for (const auto& c : kCases) {
        const EmulatedDevices devices(3, c.peers);
        if (gpu::device_count() < c.n_gpus) continue;  // a machine with real GPUs may have fewer
        SCOPED_TRACE(std::to_string(c.n_gpus) + " GPUs, " + std::to_string(c.gpus_per_replica) + " a replica");
        testing::internal::CaptureStderr();
        EngineOptions options = chain_options(c.n_gpus, c.gpus_per_replica);
        options.peer_copies = c.peers;
        const std::vector<Generated> got = answers_of(tiny.model(), options);
        const std::string log = testing::internal::GetCapturedStderr();
        EXPECT_EQ(log.find("failed"), std::string::npos) << "and others went on: " << log;
        expect_same(got, want);
    }
}

// A shorter test for the other emulations. They differ only in kernels, and this calls all that work where stages meet.
TEST(GpuChainOfThree, GivesTheSameBits) {
    const EmulatedDevices devices(3);
    if (gpu::device_count() < 3) GTEST_SKIP() << "needs three GPUs";
    const ShortModel tiny("mxfp4", {"num_hidden_layers=3"});
    testing::internal::CaptureStderr();
    expect_same(answers_of(tiny.model(), chain_options(3, 3)), answers_of(tiny.model(), chain_options(1, 1)));
    testing::internal::GetCapturedStderr();
}

TEST(GpuChain, WritesSomeOfTheGoldenText) {
    const EmulatedDevices devices(2);
    if (gpu::device_count() < 2) GTEST_SKIP() << "needs two GPUs";
    testing::internal::CaptureStderr();
    expect_golden_text(chain_options(2, 2), 10);
    testing::internal::GetCapturedStderr();
}

// Layers of 100 MB, an embedding of 250, a head of 160.
ModelSizes some_model(int n_layers) {
    WeightBytes weights;
    weights.layers.assign(size_t(n_layers), 100000000);
    weights.embed = 250000000;
    weights.head = 160000000;
    return gpt_oss_sizes(small_config(n_layers), weights);
}

std::vector<Room> rooms(int n, int64_t bytes) {
    std::vector<Room> all;
    for (int i = 0; i < n; i++) all.push_back({i, bytes, bytes});
    return all;
}

std::string error_of(int n_layers, const EngineOptions& options, const std::vector<Room>& rooms) {
    try {
        plan_replicas(some_model(n_layers), options, rooms);
    } catch (const Error& e) {
        return e.what();
    }
    return "";
}

std::vector<int> ends_of(const ReplicaPlan& plan) {
    std::vector<int> ends;
    for (const StagePlan& stage : plan.stages) ends.push_back(stage.span.end);
    return ends;
}

TEST(MemoryPlan, LayersAreSharedOutByWhatAStepReads) {
    const EngineOptions options = chain_options(0, 3);
    const auto plans = plan_replicas(some_model(8), options, rooms(3, int64_t(4) << 30));
    ASSERT_EQ(plans.size(), 1u);
    EXPECT_EQ(ends_of(plans[0]), (std::vector<int>{3, 6, 8})) << "300, 300 and 360 MB";
    EXPECT_TRUE(plans[0].stages[0].span.embeds);
    EXPECT_FALSE(plans[0].stages[1].span.embeds || plans[0].stages[1].span.samples);
    EXPECT_TRUE(plans[0].stages[2].span.samples);
    EXPECT_EQ(plans[0].stages[0].weight_bytes, 550000000);
    EXPECT_EQ(plans[0].capacity.steps_in_flight, 4);
    EXPECT_EQ(plans[0].capacity.steps_apart, 3);
    EXPECT_EQ(plans[0].capacity.max_sequences, 3 * options.max_sequences) << "they take turns";
}

TEST(MemoryPlan, LayersAreSharedOutByBytesWhereMemoryIsShort) {
    const EngineOptions options = chain_options(0, 3);
    const auto roomy = plan_replicas(some_model(8), options, rooms(3, int64_t(4) << 30));
    const int64_t too_little = roomy[0].stages[0].weight_bytes + roomy[0].stages[0].workspace_bytes;
    const auto plans = plan_replicas(some_model(8), options, rooms(3, too_little));
    EXPECT_EQ(ends_of(plans[0]), (std::vector<int>{2, 6, 8})) << "450, 400 and 360 MB";
}

TEST(MemoryPlan, TakesTheFewestDevicesThatHoldTheModel) {
    const struct {
        int n_devices;
        int64_t bytes;
        size_t n_replicas, n_stages;
    } kCases[] = {{1, 3000000000, 1, 1}, {4, 3000000000, 4, 1}, {4, 1000000000, 2, 2}, {5, 1000000000, 2, 2}};
    for (const auto& c : kCases) {
        const auto plans = plan_replicas(some_model(8), chain_options(0, 0), rooms(c.n_devices, c.bytes));
        EXPECT_EQ(plans.size(), c.n_replicas) << c.n_devices << " of " << c.bytes;
        EXPECT_EQ(plans[0].stages.size(), c.n_stages) << c.n_devices << " of " << c.bytes;
    }
}

TEST(MemoryPlan, RefusesWithNumbersAndAdvice) {
    const std::string why = error_of(8, chain_options(0, 0), rooms(1, 1000000000));
    EXPECT_NE(why.find("GPU 0: layers 0 to 7 need 1210 MB of weights"), std::string::npos) << why;
    EXPECT_NE(why.find("1000 MB of 1000 MB free are usable"), std::string::npos) << why;
    EXPECT_NE(why.find("2 such GPUs hold it: --gpus-per-replica 2"), std::string::npos) << why;
    EXPECT_NE(error_of(8, chain_options(0, 0), rooms(3, 1000000)).find("no number of such GPUs"), std::string::npos);
    EXPECT_NE(error_of(8, chain_options(0, 4), rooms(3, 3000000000)).find("expected at most 3"), std::string::npos);
    EXPECT_NE(error_of(2, chain_options(0, 3), rooms(3, 3000000000)).find("expected at most 2"), std::string::npos);
}

TEST(MemoryPlan, BytesInsteadOfAShare) {
    EngineOptions options = chain_options(0, 0);
    options.gpu_memory = 0.5;
    const Room half = room_on(0, options);
    EXPECT_EQ(half.usable_bytes, half.free_bytes / 2);
    options.gpu_memory_bytes = 1000000;
    EXPECT_EQ(room_on(0, options).usable_bytes, 1000000);
    options.gpu_memory_bytes = INT64_MAX;
    EXPECT_EQ(room_on(0, options).usable_bytes, room_on(0, options).free_bytes);
}

}  // namespace
