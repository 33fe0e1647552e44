// test_faults.cpp: emulated GPUs that break at a launch: others go on with their requests, to the same bits; the error
// says what broke.
#include <filesystem>

#include "emulated_devices.h"
#include "error.h"
#include "gpu/runtime.h"
#include "mode_test.h"
#include "short_model.h"
#include "support/forward_checks.h"

namespace {

bool is_emulated() {
    return gpu::device_info(0).name.rfind("emulated", 0) == 0;
}

EngineOptions fault_options(int n_gpus, int gpus_per_replica) {
    return options_of(n_gpus, gpus_per_replica, 2, 100);
}

// Six requests, more than run at once; every third scored.
std::vector<Generated> answers_of(const Model& model, const EngineOptions& options) {
    return run_jobs(model, options, 6, [&](size_t i, Generated& answer) {
        std::vector<int> ids;
        for (size_t t = 0; t < 3 + 5 * i; t++) ids.push_back(int(7919 * t + 31 * i) % model.common().vocab_size);
        auto job = std::make_unique<ScoredJob>(answer, ids, 4, model.common().vocab_size);
        job->want_logits = i % 3 == 1;
        job->sampling = {i % 2 ? 0.0f : 1.0f, 0.9f, i};
        return job;
    });
}

TEST(GpuFaults, AnyLaunchOfAnyDeviceMayFail) {
    if (!is_emulated()) GTEST_SKIP() << "needs devices that break when they are told to";
    const ShortModel tiny("mxfp4", {"num_hidden_layers=2", "vocab_size=64", "hidden_size=64", "intermediate_size=64"});
    const std::vector<Generated> want = answers_of(tiny.model(), fault_options(1, 1));
    const struct {
        int n_gpus, gpus_per_replica;
        const char* fault;
        const char* place;
    } kCases[] = {
        {2, 1, "0:embed:0", "GPU 0: step 0, embed: embed_kernel: an emulated fault"},  // the first prompts' step
        {2, 1, "0:sample:1", "sample: sample_kernel"},                                 // while it decodes
        {2, 1, "0:gemm:9", "GPU 0: step "},
        {4, 2, "1:rmsnorm:0", "GPU 1: step 0, "},  // in a chain's second device
        {4, 2, "3:sample:2", "GPU 3: step 2, sample"},
    };
    for (const auto& c : kCases) {
        const EmulatedDevices devices(c.n_gpus, true, c.fault);
        testing::internal::CaptureStderr();
        const std::vector<Generated> got = answers_of(tiny.model(), fault_options(c.n_gpus, c.gpus_per_replica));
        const std::string log = testing::internal::GetCapturedStderr();
        EXPECT_NE(log.find("a device has failed, and the others go on with its requests: "), std::string::npos)
            << c.fault << ": " << log;
        EXPECT_NE(log.find(c.place), std::string::npos) << c.fault << ": " << log;
        for (size_t i = 0; i < want.size(); i++) {
            EXPECT_EQ(got[i].tokens, want[i].tokens) << c.fault << ", request " << i;
            EXPECT_EQ(got[i].logits, want[i].logits) << c.fault << ", request " << i;
        }
    }
}

TEST(GpuFaults, WhileWeightsAreLoadedThereIsAnErrorAtOnce) {
    if (!is_emulated()) GTEST_SKIP() << "needs devices that break when they are told to";
    const ShortModel tiny("mxfp4", {"num_hidden_layers=2", "vocab_size=64", "hidden_size=64"});
    const EmulatedDevices devices(2, true, "1:pack:3");
    testing::internal::CaptureStderr();
    try {
        const Engine engine(tiny.model(), fault_options(2, 1));
        ADD_FAILURE() << "no error";
    } catch (const gpu::DeviceError& e) {
        EXPECT_EQ(std::string(e.what()).rfind("GPU 1: ", 0), 0u) << e.what();
    }
    testing::internal::GetCapturedStderr();
}

class GpuFaultsOfGetp : public ModeTest {};

TEST_F(GpuFaultsOfGetp, KeepsTheAnswersThatWereDone) {
    if (!is_emulated()) GTEST_SKIP() << "needs devices that break when they are told to";
    const EmulatedDevices devices(1, true, "0:sample:30");
    options.device = "gpu";
    options.precision = Precision::kBF16;
    options.step_limit_s = 0;
    options.max_in_flight = 2;
    options.steps = 12;
    options.temperature = 0;
    std::string requests = "12\n";
    for (int i = 0; i < 12; i++) requests += "ab\n";
    EXPECT_EQ(run_mode(getp, requests), kExitPartial) << error;
    EXPECT_NE(report.find("\nrun: GPU 0: step "), std::string::npos) << report;
    const std::string answers = folder.read("answers.part");
    const auto n = std::count(answers.begin(), answers.end(), '\n');
    EXPECT_GE(n, 1) << report;
    EXPECT_LT(n, 12) << report;
    EXPECT_NE(report.find(std::to_string(n) + " of 12 requests are answered in "), std::string::npos) << report;
}

}  // namespace
