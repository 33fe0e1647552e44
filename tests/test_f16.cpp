// test_f16.cpp: weights saved in f16: every value, in every instruction set, and whole models: they compute, bit for
// bit, what the same values in f32 do.
#include <gtest/gtest.h>

#include <limits>

#include "base/file.h"
#include "cpu/kernels.h"
#include "support/checkpoint_checks.h"
#include "support/f16_twin.h"
#include "support/forward_checks.h"
#include "support/json.h"
#include "support/safetensors_parts.h"

namespace {

constexpr int kValues = 65536;

// IEEE 754-2019, §3.4, with k = 16, t = 10 and bias 15.
float value_of(int bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float sign = bits & 0x8000 ? -1.0f : 1.0f;
    if (exponent == 31) return fraction ? std::numeric_limits<float>::quiet_NaN() : sign * HUGE_VALF;
    if (exponent == 0) return sign * std::ldexp(float(fraction), -24);
    return sign * std::ldexp(float(1024 + fraction), exponent - 25);
}

bool same(float a, float b) {
    return std::isnan(b) ? std::isnan(a) : a == b && std::signbit(a) == std::signbit(b);
}

TEST(F16, EveryValueIsAFloat) {
    for (int bits = 0; bits < kValues; bits++)
        ASSERT_TRUE(same(to_f32(f16{uint16_t(bits)}), value_of(bits))) << std::hex << bits;
}

TEST(F16, EveryInstructionSetReadsEveryValue) {
    std::vector<f16> all;
    for (int bits = 0; bits < kValues; bits++) all.push_back({uint16_t(bits)});
    for (const Kernels* kernels : available_kernels()) {
        const float one[kBlock] = {1};
        std::vector<float> y(kValues);
        // A column: rows of one element each end inside a block.
        const Matrix column{DType::kF16, false, kValues, 1, all.data(), nullptr};
        kernels->dot(y.data(), kValues, one, kBlock, 1, column, 0, kValues);
        for (int bits = 0; bits < kValues; bits++)  // a sum of zeros has no sign
            ASSERT_TRUE(same(y[size_t(bits)] + 0.0f, value_of(bits) + 0.0f)) << kernels->name << std::hex << bits;
        // A row of a transposed matrix, whole registers but for the last.
        std::fill(y.begin(), y.end(), 0.0f);
        kernels->accumulate(y.data(), kValues, one, 1, 1, DType::kF16, all.data(), kValues, 1, kValues - 1);
        for (int bits = 0; bits < kValues - 1; bits++)
            ASSERT_TRUE(same(y[size_t(bits)], value_of(bits) + 0.0f)) << kernels->name << std::hex << bits;
        EXPECT_EQ(y.back(), 0.0f);
    }
}

class F16Model : public testing::TestWithParam<const char*> {};

TEST_P(F16Model, ComputesWhatTheSameValuesInF32Do) {
    const std::vector<std::string> two_layers{"num_hidden_layers=2"};
    const TinyModel half(GetParam(), two_layers), single(GetParam(), two_layers);
    rewrite_dense(half.path(), "F16");
    rewrite_dense(single.path(), "F32");
    const Model a = open_model(half.path()), b = open_model(single.path());
    EXPECT_EQ(a.gpt_oss().weights.embed.dtype, DType::kF16);
    EXPECT_EQ(a.gpt_oss().weights.layers[1].w_q.dtype, DType::kF16);
    EXPECT_EQ(a.gpt_oss().weights.layers[1].sinks.dtype, DType::kF16);
    expect_same_weights(a, b);

    std::vector<Prompt> prompts{{{5}, 3}, {{1, 2, 3, 4, 5, 6, 7}, 3}, {{}, 3}};
    for (int i = 0; i < 70; i++) prompts[2].ids.push_back(7919 * i % 1003);
    for (const Kernels* kernels : available_kernels())
        for (const Precision precision : {Precision::kF32, Precision::kBF16})
            for (const bool reference : {false, true}) {
                EngineOptions options;
                options.max_sequences = 3;
                options.max_request_positions = 200;
                options.precision = precision;
                options.cpu_isa = kernels->flag;
                options.reference = reference;
                const std::vector<Generated> got = run(a, prompts, options), want = run(b, prompts, options);
                for (size_t i = 0; i < prompts.size(); i++) {
                    EXPECT_EQ(got[i].tokens, want[i].tokens) << kernels->name;
                    EXPECT_EQ(got[i].logits, want[i].logits) << kernels->name;
                }
                if (reference) break;
            }
}

// One layer in f16 among others in bf16, as merged adapters leave it: the products with packed bf16 read bf16 only.
TEST(F16, OneTensorOfTheLastLayer) {
    const TinyModel mixed("mxfp4", {"num_hidden_layers=2"}), f32("mxfp4", {"num_hidden_layers=2"});
    for (const auto& [tiny, dtype] : {std::pair(&mixed, "F16"), std::pair(&f32, "F32")}) {
        const std::string file = tiny->path() + "/model.safetensors";
        const std::string name = "model.layers.1.self_attn.o_proj.weight";
        const SafetensorsParts narrow(file);
        rewrite_dense(tiny->path(), dtype);
        const SafetensorsParts wide(file);
        SafetensorsParts out = narrow;
        out.data.clear();
        for (auto& [tensor, info] : out.header.items()) {
            if (tensor == "__metadata__") continue;
            const SafetensorsParts& from = tensor == name ? wide : narrow;
            const size_t begin = from.header[tensor]["data_offsets"][0], end = from.header[tensor]["data_offsets"][1];
            info = from.header[tensor];
            info["data_offsets"] = {out.data.size(), out.data.size() + end - begin};
            out.data += from.data.substr(begin, end - begin);
        }
        out.write(file);
    }
    const Model a = open_model(mixed.path()), b = open_model(f32.path());
    EXPECT_EQ(a.gpt_oss().weights.layers[0].w_o.dtype, DType::kBF16);
    EXPECT_EQ(a.gpt_oss().weights.layers[1].w_o.dtype, DType::kF16);
    for (const Kernels* kernels : available_kernels()) {
        EngineOptions options;
        options.max_request_positions = 100;
        options.cpu_isa = kernels->flag;
        EXPECT_EQ(run(a, {{{1, 2, 3}, 2}}, options)[0].logits, run(b, {{{1, 2, 3}, 2}}, options)[0].logits)
            << kernels->name;
    }
}

TEST_P(F16Model, IsExportedAsItIs) {
    const TinyModel half(GetParam(), {"num_hidden_layers=1"});
    rewrite_dense(half.path(), "F16");
    const Model model = open_model(half.path());
    const TempFolder directory;
    for (const auto& [kind, name] :
         {std::pair(ExportKind::kContainer, "a.bin"), std::pair(ExportKind::kHuggingFace, "hf"),
          std::pair(ExportKind::kLegacyF32, "legacy.bin")}) {
        export_to(model, directory.path(name), kind);
        const Model back = open_model(directory.path(name));
        expect_same_weights(back, model);
        EXPECT_EQ(back.gpt_oss().weights.embed.dtype, kind == ExportKind::kLegacyF32 ? DType::kF32 : DType::kF16);
    }
    EXPECT_EQ(json_of(directory.read("hf/config.json"))["torch_dtype"], "float16");
    for (const auto& [kind, words] : {std::pair(ExportKind::kLegacyBF16, std::vector<std::string>{"bf16", "exactly"}),
                                      std::pair(ExportKind::kOriginal, std::vector<std::string>{"original"})}) {
        const std::string out = directory.path("no");
        EXPECT_TRUE(has(error_of([&, k = kind] { export_to(model, out, k); }), words));
        EXPECT_FALSE(std::filesystem::exists(out));
    }
}

INSTANTIATE_TEST_SUITE_P(Experts, F16Model, testing::Values("mxfp4", "bf16"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
