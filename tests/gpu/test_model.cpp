// test_model.cpp: the whole model on a GPU, real or emulated: against transformers in f32, against the CPU's batched
// path with the same roundings, and that a request's bits do not depend on what runs beside it.
#include <algorithm>

#include "checkpoint.h"
#include "cpu/kernels.h"
#include "short_model.h"
#include "support/demo_golden.h"
#include "support/f16_twin.h"
#include "support/forward_checks.h"

namespace {

EngineOptions gpu_options(int max_sequences) {
    EngineOptions options;
    options.gpu = true;
    options.step_limit_s = 0;  // emulated ones take as long as they take
    options.precision = Precision::kBF16;
    options.max_sequences = max_sequences;
    options.max_request_positions = 1000;
    return options;
}

std::vector<Generated> run_on_gpu(const Model& model, const std::vector<Prompt>& prompts, int max_sequences) {
    return run(model, prompts, gpu_options(max_sequences));
}

// Runs portable code, which rounds where GPUs do: the CPU's bf16 instructions round elsewhere, too.
std::vector<Generated> run_on_cpu(const Model& model, const std::vector<Prompt>& prompts,
                                  Precision precision = Precision::kBF16) {
    EngineOptions options = gpu_options(32);
    options.gpu = false;
    options.precision = precision;
    const std::vector<const Kernels*>& sets = available_kernels();
    const auto plain = std::find_if(sets.begin(), sets.end(), [](const Kernels* k) { return !k->packed; });
    options.cpu_isa = (*plain)->flag;
    return run(model, prompts, options);
}

// ‖got - want‖ / ‖want‖ over rows of logits.
double relative_l2(const std::vector<std::vector<float>>& got, const std::vector<std::vector<float>>& want) {
    EXPECT_EQ(got.size(), want.size());
    double difference = 0, norm = 0;
    for (size_t r = 0; r < want.size(); r++)
        for (size_t i = 0; i < want[r].size(); i++) {
            difference += (double(got[r][i]) - want[r][i]) * (double(got[r][i]) - want[r][i]);
            norm += double(want[r][i]) * want[r][i];
        }
    return std::sqrt(difference / norm);
}

// Prompts of a few tokens each; their lengths make full and partial tiles, pages and windows.
std::vector<Prompt> some_prompts(int vocab_size) {
    std::vector<Prompt> prompts;
    for (const int length : {1, 2, 15, 16, 17, 31, 33, 64, 70, 130}) {
        Prompt prompt{{}, 3};
        for (int i = 0; i < length; i++) prompt.ids.push_back((7919 * i + 31 * length) % vocab_size);
        prompts.push_back(prompt);
    }
    return prompts;
}

void expect_same_bits(const std::vector<Generated>& a, const std::vector<Generated>& b) {
    for (size_t i = 0; i < a.size(); i++) {
        EXPECT_EQ(a[i].tokens, b[i].tokens) << "prompt " << i;
        EXPECT_EQ(a[i].logits, b[i].logits) << "prompt " << i;
    }
}

TEST(GpuWeights, F16ComputeWhatTheSameValuesInF32Do) {
    for (const char* format : {"mxfp4", "bf16"}) {
        const ShortModel half(format, {"num_hidden_layers=1"}), single(format, {"num_hidden_layers=1"});
        rewrite_dense(half.path(), "F16");
        rewrite_dense(single.path(), "F32");
        const std::vector<Prompt> prompts{{{1, 2, 3}, 1}};
        expect_same_bits(run_on_gpu(open_model(half.path()), prompts, 2),
                         run_on_gpu(open_model(single.path()), prompts, 2));
    }
}

class GpuModel : public testing::TestWithParam<const char*> {};

// transformers' own bf16 run of these prompts differs from its f32 run by 2.8e-2, and rounds more often.
TEST_P(GpuModel, StaysCloseToTheOracle) {
    const ShortModel tiny(GetParam());
    const Oracle oracle("tiny");
    const std::vector<Generated> answers = run_on_gpu(tiny.model(), oracle.prompts, 32);
    std::vector<std::vector<float>> got, want;
    for (size_t i = 0; i < answers.size(); i++) {
        const Oracle::Logits& logits = oracle.logits[i];
        const auto first = answers[i].logits.begin() + logits.first_position;
        got.insert(got.end(), first, first + long(logits.rows.size()));
        want.insert(want.end(), logits.rows.begin(), logits.rows.end());
    }
    EXPECT_LE(relative_l2(got, want), 3e-2);
}

// The distance of each row of logits, in ascending order.
std::vector<double> row_distances(const Generated& got, const Generated& want) {
    std::vector<double> rows;
    for (size_t r = 0; r < want.logits.size(); r++) rows.push_back(relative_l2({got.logits.at(r)}, {want.logits[r]}));
    std::sort(rows.begin(), rows.end());
    return rows;
}

double median(const std::vector<double>& ascending) {
    return ascending[ascending.size() / 2];
}

// Both round at the same places, but sum in another order. They agree to 1e-5 until one sum is rounded the other way.
// From there on all roundings differ, and now and then another expert is chosen. So the typical row is compared: the
// two are closer to each other than the CPU's is to the result without rounding, in this prompt and in the typical one.
void expect_close_to_cpu(const Model& model, const std::vector<Prompt>& prompts, const std::vector<Generated>& got) {
    const std::vector<Generated> want = run_on_cpu(model, prompts);
    const std::vector<Generated> exact = run_on_cpu(model, prompts, Precision::kF32);
    std::vector<double> noise;
    for (size_t i = 0; i < got.size(); i++) noise.push_back(median(row_distances(want[i], exact[i])));
    std::vector<double> ascending = noise;
    std::sort(ascending.begin(), ascending.end());
    for (size_t i = 0; i < got.size(); i++)
        EXPECT_LE(median(row_distances(got[i], want[i])), std::min(noise[i], median(ascending))) << "prompt " << i;
}

TEST_P(GpuModel, StaysCloserToTheCpuInBf16) {
    const ShortModel tiny(GetParam());
    const std::vector<Prompt> prompts = some_prompts(tiny.model().common().vocab_size);
    const std::vector<Generated> got = run_on_gpu(tiny.model(), prompts, 32), want = run_on_cpu(tiny.model(), prompts);
    expect_close_to_cpu(tiny.model(), prompts, got);
    for (size_t i = 0; i < 7; i++)  // the short ones as a whole
        EXPECT_LE(relative_l2(got[i].logits, want[i].logits), 5e-3) << "prompt " << i;
}

TEST_P(GpuModel, SameBitsAloneAndInABatch) {
    const ShortModel tiny(GetParam());
    const std::vector<Prompt> prompts = some_prompts(tiny.model().common().vocab_size);
    const std::vector<Generated> together = run_on_gpu(tiny.model(), prompts, 32);
    expect_same_bits(run_on_gpu(tiny.model(), prompts, 1), together);
    expect_same_bits(run_on_gpu(tiny.model(), prompts, 3), together);
}

// Prefill and decode use different kernels, but give the same bits at the same positions.
TEST_P(GpuModel, SameBitsWhenTokensArriveAsAPromptOrAreGenerated) {
    const ShortModel tiny(GetParam());
    std::vector<Prompt> prompts = some_prompts(tiny.model().common().vocab_size);
    for (Prompt& prompt : prompts) prompt.max_new = 8;
    const std::vector<Generated> first = run_on_gpu(tiny.model(), prompts, 4);
    for (size_t i = 0; i < prompts.size(); i++) {
        prompts[i].ids.insert(prompts[i].ids.end(), first[i].tokens.begin(), first[i].tokens.end() - 1);
        prompts[i].max_new = 1;
    }
    const std::vector<Generated> second = run_on_gpu(tiny.model(), prompts, 4);
    for (size_t i = 0; i < prompts.size(); i++)
        EXPECT_EQ(second[i].tokens.at(0), first[i].tokens.back()) << "prompt " << i;
}

INSTANTIATE_TEST_SUITE_P(Formats, GpuModel, testing::Values("mxfp4", "bf16"),
                         [](const auto& param) { return std::string(param.param); });

// The token that the model would choose is a stop id, and it is too early for one: in the prompt's step and in the
// next.
TEST(GpuModelLeast, StopIdsAreNotDrawnTooEarly) {
    const ShortModel tiny("mxfp4", {"num_hidden_layers=1"});
    const auto tokens = [&](const std::vector<int>& stop_ids, int least) {
        const auto make = [&](size_t, Generated& answer) {
            auto job =
                std::make_unique<ScoredJob>(answer, std::vector<int>{1, 2, 3}, 4, tiny.model().common().vocab_size);
            job->want_logits = false;
            job->stop_ids = stop_ids;
            job->min_new_tokens = least;
            return job;
        };
        return run_jobs(tiny.model(), gpu_options(1), 1, make)[0].tokens;
    };
    const std::vector<int> plain = tokens({}, 0);
    EXPECT_EQ(tokens({plain[0]}, 0), std::vector<int>{plain[0]});
    const std::vector<int> longer = tokens({plain[0]}, 3);
    ASSERT_GE(longer.size(), 3u);
    EXPECT_EQ(std::count(longer.begin(), longer.begin() + 3, plain[0]), 0);
}

// This tests something only where there are graphs; without them both runs are the same.
TEST(GpuModelGraphs, BytesOfReplayedStepsAreCounted) {
    const ShortModel tiny("mxfp4");
    int64_t bytes[2];
    for (const bool graphs : {false, true}) {
        EngineOptions options = gpu_options(2);
        options.graphs = graphs;
        Engine engine(tiny.model(), options);
        Generated answer;
        bool given = false;
        engine.run([&]() -> std::unique_ptr<Job> {
            if (std::exchange(given, true)) return nullptr;
            auto job =
                std::make_unique<ScoredJob>(answer, std::vector<int>{1, 2, 3}, 12, tiny.model().common().vocab_size);
            job->want_logits = false;
            return job;
        });
        EXPECT_EQ(answer.tokens.size(), 12u);
        bytes[graphs] = engine.stats().decode_bytes;
    }
    EXPECT_GT(bytes[0], 0);
    EXPECT_EQ(bytes[1], bytes[0]);
}

TEST(GpuModelGeometry, OtherSizesAgreeWithTheCpu) {
    const struct {
        const char* name;
        std::vector<std::string> settings;
    } kCases[] = {
        {"heads of 32", {"head_dim=32"}},
        {"heads of 128", {"head_dim=128"}},
        {"no sharing of KV heads", {"num_key_value_heads=4", "num_attention_heads=4"}},
        {"five query heads a KV head", {"num_key_value_heads=1", "num_attention_heads=5"}},
        {"sixteen query heads a KV head", {"num_key_value_heads=1", "num_attention_heads=16"}},
        {"sizes that are odd multiples of 32", {"hidden_size=96", "intermediate_size=160"}},
        {"one expert a token", {"num_experts_per_tok=1"}},
        {"many experts, eight a token", {"num_local_experts=48", "num_experts_per_tok=8"}},
        {"a window of one", {"sliding_window=1"}},
        {"a window wider than any prompt", {"sliding_window=500"}},
    };
    for (const auto& c : kCases) {
        SCOPED_TRACE(c.name);
        const ShortModel tiny("mxfp4", c.settings);
        std::vector<Prompt> prompts = some_prompts(tiny.model().common().vocab_size);
        prompts.erase(prompts.begin() + 4, prompts.end() - 2);
        expect_close_to_cpu(tiny.model(), prompts, run_on_gpu(tiny.model(), prompts, 32));
    }
}

// A trained model: a quarter of the rows or more agree to 3e-7; one or two, presumably where the router's choice was
// close, differ by 7e-2.
TEST(GpuTrainedModel, LogitsAreThoseOfTheCpuInBf16) {
    const Model model = open_model("demo");
    std::vector<Prompt> prompts;
    for (size_t i = 0; i < 40; i += 10) prompts.push_back({golden_prompt(i), 1});
    const std::vector<Generated> got = run_on_gpu(model, prompts, 4), want = run_on_cpu(model, prompts);
    for (size_t i = 0; i < prompts.size(); i++) {
        const std::vector<double> rows = row_distances(got[i], want[i]);
        EXPECT_LE(rows[rows.size() * 8 / 10], 5e-3) << "prompt " << i;
    }
}

TEST(GpuDemo, WritesTheGoldenText) {
    expect_golden_text(gpu_options(16));
}

TEST(GpuDemo, WritesSomeOfTheGoldenTextOneByOne) {
    expect_golden_text(gpu_options(1), 10);
}

// For an emulation, where all of it takes a minute.
TEST(GpuDemo, WritesPartOfTheGoldenText) {
    expect_golden_text(gpu_options(16), 5);
}

}  // namespace
