// test_checkpoint_quantization.cpp: how the experts are stored, and config.json, which may say otherwise.
#include <gtest/gtest.h>

#include "support/checkpoint_checks.h"
#include "support/json.h"
#include "support/safetensors_parts.h"

namespace {

// The tensors decide how the experts are stored; config.json may say otherwise, or nothing.
TEST(CheckpointQuantization, QuantizationConfigMayBeWrong) {
    const TinyModel dense("bf16", kOneLayer), mxfp4("mxfp4", kOneLayer);
    const auto with = [](const TinyModel& tiny, const nlohmann::json& quantization) {
        edit_json(tiny.path() + "/config.json", [&](auto& j) { j["quantization_config"] = quantization; });
        return open_error(tiny.path());
    };
    for (const nlohmann::json& left_over : {nlohmann::json{{"quant_method", "mxfp4"}},
                                            nlohmann::json{{"quant_method", "awq"}}, nlohmann::json::object()}) {
        EXPECT_EQ(with(dense, left_over), "") << left_over;
        EXPECT_EQ(open_model(dense.path()).gpt_oss().weights.layers[0].w_up.first.dtype, DType::kBF16);
        EXPECT_EQ(with(mxfp4, left_over), "") << left_over;
        EXPECT_EQ(open_model(mxfp4.path()).gpt_oss().weights.layers[0].w_up.first.dtype, DType::kMXFP4);
    }
    EXPECT_EQ(with(mxfp4, nullptr), "");
    EXPECT_EQ(open_model(mxfp4.path()).gpt_oss().weights.layers[0].w_up.first.dtype, DType::kMXFP4);
}

// A fork in a format that this program cannot read: the error names the format, and the first tensor that shows it.
TEST(CheckpointQuantization, OtherQuantizationsAreNamed) {
    const struct {
        const char *key, *tensor;
        nlohmann::json quantization;
        std::vector<std::string> words;
    } cases[] = {
        {"quantization_config", "mlp.experts.gate_up_proj", {{"quant_method", "awq"}, {"bits", 4}}, {"\"awq\""}},
        {"quantization_config", "self_attn.q_proj.weight", {{"quant_method", "gptq"}}, {"\"gptq\""}},
        {"quantization_config",
         "self_attn.q_proj.weight",
         {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}},
         {"\"modelopt NVFP4\""}},
        {"quantization_config",
         "self_attn.o_proj.weight",
         {{"quant_method", "compressed-tensors"}, {"format", "float-quantized"}},
         {"\"compressed-tensors float-quantized\""}},
        {"quantization", "mlp.router.weight", {{"group_size", 64}, {"bits", 4}}, {"\"MLX\""}},
    };
    for (const auto& c : cases) {
        const TinyModel tiny("bf16", kOneLayer);
        const std::string file = tiny.path() + "/model.safetensors", name = std::string("model.layers.0.") + c.tensor;
        edit_json(tiny.path() + "/config.json", [&](auto& j) { j[c.key] = c.quantization; });
        SafetensorsParts parts(file);
        parts.header[name + "_packed"] = parts.header[name];
        parts.header.erase(name);
        parts.write(file);
        EXPECT_TRUE(has(open_error(tiny.path()), {"config.json", "quantization", "MXFP4", name, "none of that name"}));
        EXPECT_TRUE(has(open_error(tiny.path()), c.words));
    }
    // FP8 keeps the names.
    const TinyModel tiny("bf16", kOneLayer);
    const std::string file = tiny.path() + "/model.safetensors", name = "model.layers.0.self_attn.q_proj.weight";
    edit_json(tiny.path() + "/config.json", [](auto& j) { j["quantization_config"] = {{"quant_method", "fp8"}}; });
    SafetensorsParts parts(file);
    parts.header[name]["dtype"] = "F8_E4M3";
    parts.header[name]["shape"][1] = 2 * int(parts.header[name]["shape"][1]);
    parts.write(file);
    EXPECT_TRUE(has(open_error(tiny.path()), {"config.json", "\"fp8\"", name}));
}

}  // namespace
