// test_drawn.cpp: requests whose tokens the host draws, or of which it tells log-probabilities, on a GPU.
#include "checkpoint.h"
#include "cpu/kernels.h"
#include "emulated_devices.h"
#include "gpu/runtime.h"
#include "short_model.h"
#include "support/drawn_checks.h"

namespace {

EngineOptions gpu_options(int max_sequences) {
    EngineOptions options;
    options.gpu = true;
    options.step_limit_s = 0;  // emulated ones take as long as they take
    options.max_sequences = max_sequences;
    options.max_request_positions = 1000;
    return options;
}

TEST(GpuDrawn, IsWhatTheSamplerDrawsFromTheLogits) {
    const ShortModel tiny("mxfp4", {"num_hidden_layers=1"});
    expect_drawn_from_own_logits(tiny.model(), gpu_options(8), 10);
}

TEST(GpuDrawn, NeighboursDoNotNotice) {
    const ShortModel tiny("mxfp4", {"num_hidden_layers=1"});
    expect_unnoticed(tiny.model(), gpu_options(8), 6, 8);
}

TEST(GpuDrawn, WithoutGraphsTheSameIsDrawn) {
    const ShortModel tiny("mxfp4", {"num_hidden_layers=1"});
    std::vector<Drawn> plain[2], special[2];
    for (const bool graphs : {false, true}) {
        EngineOptions options = gpu_options(30);
        options.graphs = graphs;
        draw(tiny.model(), options, 4, true, 8, plain[graphs], special[graphs]);
    }
    for (size_t i = 0; i < special[0].size(); i++) EXPECT_EQ(special[0][i].tokens, special[1][i].tokens) << i;
}

// More rows than logits are kept for take turns.
TEST(GpuDrawn, MoreRowsThanThereIsRoomFor) {
    const ShortModel tiny("mxfp4", {"num_hidden_layers=1"});
    const int v = tiny.model().common().vocab_size;
    std::vector<Drawn> answers(150);
    Engine engine(tiny.model(), gpu_options(150));
    size_t next = 0;
    Sampling sampling;
    sampling.presence_penalty = 1;
    sampling.n_logprobs = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (next == answers.size()) return nullptr;
        Drawn& answer = answers[next++];
        return std::make_unique<DrawingJob>(answer, std::vector<int>{1, 2, 3}, 4, v, sampling, false);
    });
    for (const Drawn& answer : answers) {
        EXPECT_EQ(answer.tokens, answers[0].tokens);
        ASSERT_EQ(answer.logprobs.size(), 4u);
        EXPECT_EQ(answer.logprobs[3].drawn.logprob, answers[0].logprobs[3].drawn.logprob);
    }
}

// Over a chain, steps run further ahead, and more of them are in vain.
TEST(GpuDrawn, AChainDrawsTheSame) {
    const ShortModel tiny("mxfp4", {"num_hidden_layers=3"});
    std::vector<Drawn> plain[2], special[2];
    draw(tiny.model(), options_of(1, 1, 6, 1000), 4, true, 8, plain[0], special[0]);
    const EmulatedDevices devices(3);
    if (gpu::device_count() < 3) GTEST_SKIP() << "needs three GPUs";
    draw(tiny.model(), options_of(3, 3, 6, 1000), 4, true, 8, plain[1], special[1]);
    for (size_t i = 0; i < 4; i++) EXPECT_EQ(plain[0][i].tokens, plain[1][i].tokens) << i;
    for (size_t i = 0; i < special[0].size(); i++) EXPECT_EQ(special[0][i].tokens, special[1][i].tokens) << i;
}

// Portable code rounds where GPUs do. Greedy draws of these few tokens are far enough apart.
TEST(GpuDrawn, GreedyTokensAreTheCpus) {
    const ShortModel tiny("mxfp4", {"num_hidden_layers=1"});
    EngineOptions cpu = gpu_options(8);
    cpu.gpu = false;
    cpu.precision = Precision::kBF16;
    const std::vector<const Kernels*>& sets = available_kernels();
    cpu.cpu_isa = (*std::find_if(sets.begin(), sets.end(), [](const Kernels* k) { return !k->packed; }))->flag;
    std::vector<Drawn> plain[2], special[2];
    draw(tiny.model(), gpu_options(8), 4, true, 6, plain[0], special[0]);
    draw(tiny.model(), cpu, 4, true, 6, plain[1], special[1]);
    const std::vector<DrawCase> cases = draw_cases();
    for (size_t i = 0; i < cases.size(); i++) {
        if (cases[i].sampling.temperature > 0) continue;
        EXPECT_EQ(special[0][i].tokens, special[1][i].tokens) << cases[i].name;
    }
}

}  // namespace
