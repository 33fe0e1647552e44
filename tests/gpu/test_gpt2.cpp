// test_gpt2.cpp: GPT-2 on a GPU, real or emulated: against float64, against the CPU with the same roundings, from every
// form of file, and that a request's bits depend neither on what runs beside it nor on how many GPUs there are.
#include <algorithm>

#include "cpu/kernels.h"
#include "emulated_devices.h"
#include "gpt2_model.h"
#include "gpu/runtime.h"
#include "support/forward_checks.h"
#include "text_checks.h"

namespace {

EngineOptions gpu_options(int max_sequences, int n_gpus = 1, int gpus_per_replica = 1) {
    return options_of(n_gpus, gpus_per_replica, max_sequences, 0);
}

// With the roundings that the GPU makes: the CPU's bf16 instructions have some of their own.
EngineOptions cpu_options() {
    EngineOptions options = gpu_options(8);
    options.gpu = false;
    const std::vector<const Kernels*>& sets = available_kernels();
    options.cpu_isa = (*std::find_if(sets.begin(), sets.end(), [](const Kernels* k) { return !k->packed; }))->flag;
    return options;
}

struct Distance {
    double rms = 0, largest = 0;  // of the difference
    double scale = 0;             // rms of what is right
};

// Of the logits of all positions that `want` has, from its first one on.
Distance distance(const std::vector<Generated>& got, const std::vector<Oracle::Logits>& want) {
    Distance d;
    double n = 0;
    for (size_t i = 0; i < want.size(); i++)
        for (size_t r = 0; r < want[i].rows.size(); r++)
            for (size_t v = 0; v < want[i].rows[r].size(); v++, n++) {
                const double right = want[i].rows[r][v];
                const double off = double(got[i].logits.at(size_t(want[i].first_position) + r)[v]) - right;
                d.rms += off * off;
                d.scale += right * right;
                d.largest = std::max(d.largest, std::fabs(off));
            }
    d.rms = std::sqrt(d.rms / n);
    d.scale = std::sqrt(d.scale / n);
    return d;
}

void expect_same_bits(const std::vector<Generated>& a, const std::vector<Generated>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); i++) {
        EXPECT_EQ(a[i].tokens, b[i].tokens) << "prompt " << i;
        EXPECT_TRUE(a[i].logits == b[i].logits) << "prompt " << i;
    }
}

// Lengths around those of tiles, of blocks that norm their rows, and of pages; the last ends at the last position.
std::vector<Prompt> some_prompts(const CommonConfig& config) {
    std::vector<Prompt> prompts;
    for (const int length : {1, 2, 15, 16, 17, 31, 33, config.max_context - 3}) {
        Prompt prompt{{}, std::min(3, config.max_context - length)};
        for (int t = 0; t < length; t++) prompt.ids.push_back((31 * t + 7 * length) % config.vocab_size);
        prompts.push_back(prompt);
    }
    return prompts;
}

class GpuGpt2 : public testing::TestWithParam<const char*> {};

// As tests/test_gpt2_forward.cpp has it for the CPU: rounding every matrix input to bf16 costs 0.45 % of rms in exact
// arithmetic, and greedy tokens must agree while their lead is above the noise.
TEST_P(GpuGpt2, IsNearFloat64) {
    const Oracle oracle(GetParam());
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
        const Gpt2Model gpt2(GetParam(), dtype, /*padding=*/1e30f);
        const std::vector<Generated> answers = run(gpt2.model(), oracle.prompts, gpu_options(8));
        const Distance d = distance(answers, oracle.logits);
        EXPECT_LE(d.rms, 0.012 * d.scale);
        EXPECT_LE(d.largest, 0.08 * d.scale);
        for (size_t i = 0; i < answers.size(); i++)
            for (size_t t = 0; t < oracle.greedy[i].size() && oracle.leads[i][t] >= 0.1 * d.scale; t++)
                EXPECT_EQ(answers[i].tokens.at(t), oracle.greedy[i][t]) << "case " << i << ", token " << t;
    }
}

// The same roundings after sums in another order: the two differ by less than either does from float64.
TEST_P(GpuGpt2, IsNearerToTheCpuInBf16) {
    const Gpt2Model gpt2(GetParam(), DType::kBF16);
    const std::vector<Prompt> prompts = some_prompts(gpt2.model().common());
    const std::vector<Generated> cpu = run(gpt2.model(), prompts, cpu_options());
    std::vector<Oracle::Logits> want;
    for (const Generated& answer : cpu) want.push_back({0, answer.logits});
    const Distance d = distance(run(gpt2.model(), prompts, gpu_options(8)), want);
    EXPECT_LE(d.rms, 0.006 * d.scale);
    EXPECT_LE(d.largest, 0.04 * d.scale);
}

TEST_P(GpuGpt2, SameBitsAloneAndInABatch) {
    const Gpt2Model gpt2(GetParam(), DType::kBF16);
    const std::vector<Prompt> prompts = some_prompts(gpt2.model().common());
    const std::vector<Generated> together = run(gpt2.model(), prompts, gpu_options(32));
    expect_same_bits(run(gpt2.model(), prompts, gpu_options(1)), together);
    expect_same_bits(run(gpt2.model(), prompts, gpu_options(3)), together);
}

// Prefill and decode are different kernels; what they say of the same positions is the same.
TEST_P(GpuGpt2, SameBitsWhenTokensArriveAsAPromptOrAreGenerated) {
    const Gpt2Model gpt2(GetParam(), DType::kBF16);
    std::vector<Prompt> prompts = some_prompts(gpt2.model().common());
    prompts.pop_back();
    for (Prompt& prompt : prompts) prompt.max_new = 8;
    const std::vector<Generated> first = run(gpt2.model(), prompts, gpu_options(4));
    for (size_t i = 0; i < prompts.size(); i++) {
        prompts[i].ids.insert(prompts[i].ids.end(), first[i].tokens.begin(), first[i].tokens.end() - 1);
        prompts[i].max_new = 1;
    }
    const std::vector<Generated> second = run(gpt2.model(), prompts, gpu_options(4));
    for (size_t i = 0; i < prompts.size(); i++)
        EXPECT_EQ(second[i].tokens.at(0), first[i].tokens.back()) << "prompt " << i;
}

// The numbers are the same in all of them, and none has more bits than bf16.
TEST_P(GpuGpt2, EveryFileGivesTheSameBits) {
    const Oracle oracle(GetParam());
    const std::vector<Prompt> prompts{oracle.prompts[0]};
    const auto answers = [&](const Gpt2Model& gpt2) { return run(gpt2.model(), prompts, gpu_options(2)); };
    const std::vector<Generated> expected = answers(Gpt2Model(GetParam(), DType::kF32));
    expect_same_bits(answers(Gpt2Model(GetParam(), DType::kBF16)), expected);
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
        Gpt2Snapshot form;
        form.dtype = dtype;
        expect_same_bits(answers(Gpt2Model(GetParam(), form)), expected);
    }
}

TEST_P(GpuGpt2, AnyNumberOfReplicasAndDevicesGiveTheSameBits) {
    const EmulatedDevices devices(3);
    const Gpt2Model gpt2(GetParam(), DType::kBF16);
    std::vector<Prompt> prompts = some_prompts(gpt2.model().common());
    const int n_layers = gpt2.model().common().n_layers;
    const std::vector<Generated> want = run(gpt2.model(), prompts, gpu_options(4));
    const struct { int n_gpus, gpus_per_replica; } kCases[] = {{2, 1}, {3, 1}, {2, 2}, {3, 3}};
    for (const auto& c : kCases) {
        if (gpu::device_count() < c.n_gpus || n_layers < c.gpus_per_replica) continue;
        SCOPED_TRACE(std::to_string(c.n_gpus) + " GPUs, " + std::to_string(c.gpus_per_replica) + " a replica");
        testing::internal::CaptureStderr();
        const std::vector<Generated> got = run(gpt2.model(), prompts, gpu_options(4, c.n_gpus, c.gpus_per_replica));
        const std::string log = testing::internal::GetCapturedStderr();
        EXPECT_EQ(log.find("failed"), std::string::npos) << "and others went on: " << log;
        expect_same_bits(got, want);
    }
}

INSTANTIATE_TEST_SUITE_P(, GpuGpt2, testing::Values("gpt2-tiny", "gpt2-odd"),
                         [](const auto& preset) { return std::string(preset.param).substr(5); });

TEST(GpuGpt2Sizes, WhatNoKernelTakesIsRefused) {
    const auto error_of = [](int n_heads, int dim, int inner = 0) {
        TempFolder folder;
        write_llmc_gpt2(folder.path(), {1, n_heads, dim, 300, 32}, DType::kBF16);
        try {
            Model model = open_model(folder.path("model.bin"));
            if (inner > 0) std::get<Gpt2>(model.architecture).config.intermediate_dim = inner;
            Engine engine(model, gpu_options(1));
        } catch (const Error& e) {
            return std::string(e.what());
        }
        return std::string();
    };
    EXPECT_TRUE(has(error_of(2, 96), {"head size", "32, 64 or 128", "48", "--device cpu"})) << error_of(2, 96);
    EXPECT_TRUE(has(error_of(2, 64, 100), {"n_inner", "a multiple of 32", "100"})) << error_of(2, 64, 100);
    EXPECT_EQ(error_of(2, 64), "");
}

}  // namespace
