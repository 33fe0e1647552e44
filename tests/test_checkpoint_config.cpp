// test_checkpoint_config.cpp: config.json in its spellings, and what is wrong with one.
#include <gtest/gtest.h>

#include <cmath>

#include "model/config.h"
#include "model/legacy.h"
#include "support/checkpoint_checks.h"
#include "support/json.h"

using nlohmann::json;

namespace {

// As published with 20b, but small.
json huggingface() {
    return json_of(R"({
        "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "attention_bias": true, "eos_token_id": 900,
        "experts_per_token": 3, "head_dim": 16, "hidden_size": 96, "initial_context_length": 4096,
        "intermediate_size": 64, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "max_position_embeddings": 131072, "num_attention_heads": 6, "num_experts_per_tok": 3, "num_hidden_layers": 3,
        "num_key_value_heads": 2, "num_local_experts": 5, "pad_token_id": 901, "rms_norm_eps": 1e-05,
        "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096,
                         "rope_type": "yarn", "truncate": false},
        "rope_theta": 150000, "sliding_window": 128, "swiglu_limit": 7.0, "tie_word_embeddings": false,
        "vocab_size": 1000, "quantization_config": {"quant_method": "mxfp4"}})");
}

// The readers take text; here they are given values.
HuggingFaceConfig read_huggingface_config(const json& config, const std::string& file) {
    return ::read_huggingface_config(config.dump(), file);
}
Config read_original_config(const json& config, const std::string& file) {
    return ::read_original_config(config.dump(), file);
}
void read_generation_config(const json& config, const std::string& file, Config& c) {
    ::read_generation_config(config.dump(), file, c);
}

Config read(const json& config) {
    return read_huggingface_config(config, "dir/config.json").config;
}
std::string config_error(const json& config) {
    return error_of([&] { read(config); });
}

TEST(CheckpointConfig, HuggingFaceAsPublished) {
    const HuggingFaceConfig hf = read_huggingface_config(huggingface(), "f");
    const Config& c = hf.config;
    EXPECT_TRUE(hf.attention_bias);
    EXPECT_FALSE(hf.tied_embeddings);
    EXPECT_EQ(hf.quantization, "mxfp4");
    EXPECT_EQ(c.vocab_size, 1000);
    EXPECT_EQ(c.hidden_dim, 96);
    EXPECT_EQ(c.intermediate_dim, 64);
    EXPECT_EQ(c.n_layers, 3);
    EXPECT_EQ(c.n_attn_heads, 6);
    EXPECT_EQ(c.n_kv_heads, 2);
    EXPECT_EQ(c.head_dim, 16);
    EXPECT_EQ(c.n_experts, 5);
    EXPECT_EQ(c.experts_per_token, 3);
    EXPECT_EQ(c.sliding_window, 128);
    EXPECT_EQ(c.layer_kind, (std::vector<LayerKind>{LayerKind::kSliding, LayerKind::kFull, LayerKind::kSliding}));
    EXPECT_EQ(c.max_context, 131072);
    EXPECT_EQ(c.norm_eps, 1e-5f);
    EXPECT_EQ(c.swiglu_limit, 7.0f);
    EXPECT_EQ(c.swiglu_alpha, 1.702f);
    EXPECT_EQ(c.rope_theta, 150000.0f);
    EXPECT_EQ(c.rope_factor, 32.0f);
    EXPECT_EQ(c.rope_beta_fast, 32.0f);
    EXPECT_EQ(c.rope_beta_slow, 1.0f);
    EXPECT_FALSE(c.rope_truncate);
    EXPECT_EQ(c.rope_original_context, 4096);
    EXPECT_EQ(c.rope_attention_factor, float(1.3465735902799727));
    EXPECT_EQ(c.stop_ids, std::vector<int>{900});
}

// Each case changes the published config and names what must come of it.
TEST(CheckpointConfig, SpellingsAndDefaults) {
    json config = huggingface();
    config["rope_parameters"] = config["rope_scaling"];  // transformers 5
    config["rope_parameters"]["rope_theta"] = 5000.5;
    config.erase("rope_scaling");
    config.erase("rope_theta");
    EXPECT_EQ(read(config).rope_theta, 5000.5f);
    EXPECT_EQ(read(config).rope_factor, 32.0f);

    config = huggingface();
    for (const char* key : {"rope_scaling", "num_experts_per_tok", "layer_types", "rms_norm_eps", "swiglu_limit",
                            "eos_token_id", "quantization_config", "tie_word_embeddings", "attention_bias"})
        config.erase(key);
    config["swiglu_alpha"] = 1.5;
    const Config plain = read(config);
    EXPECT_EQ(plain.experts_per_token, 3) << "experts_per_token is the other spelling";
    EXPECT_EQ(plain.rope_factor, 1.0f);
    EXPECT_EQ(plain.rope_attention_factor, 1.0f);
    EXPECT_EQ(plain.layer_kind, (std::vector<LayerKind>{LayerKind::kSliding, LayerKind::kFull, LayerKind::kSliding}));
    EXPECT_EQ(plain.norm_eps, 1e-5f);
    EXPECT_EQ(plain.swiglu_limit, 7.0f);
    EXPECT_EQ(plain.swiglu_alpha, 1.5f);
    EXPECT_TRUE(plain.stop_ids.empty());
    EXPECT_EQ(read_huggingface_config(config, "f").quantization, "");

    for (const char* type : {"rope_type", "type"}) {
        config = huggingface();
        config["rope_scaling"] = {{type, "default"}, {"factor", 8.0}};
        EXPECT_EQ(read(config).rope_factor, 1.0f) << "the default type has no factor";
    }
    config = huggingface();
    config["rope_scaling"] = nullptr;
    EXPECT_EQ(read(config).rope_factor, 1.0f);
    config = huggingface();
    config["num_local_experts"] = nullptr;
    config["num_experts"] = 7;
    config["tie_word_embeddings"] = true;
    config["attention_bias"] = false;
    EXPECT_EQ(read(config).n_experts, 7);
    EXPECT_TRUE(read_huggingface_config(config, "f").tied_embeddings);
    EXPECT_FALSE(read_huggingface_config(config, "f").attention_bias);
    config = huggingface();
    config["layer_types"] = {"full_attention", "full_attention", "full_attention"};
    config.erase("sliding_window");
    EXPECT_EQ(read(config).layer_kind, std::vector<LayerKind>(3, LayerKind::kFull));
}

TEST(CheckpointConfig, YarnAsTransformersReadsIt) {
    const auto with = [](const json& changes) {
        json config = huggingface();
        config["rope_scaling"].update(changes);
        for (auto it = changes.begin(); it != changes.end(); ++it)
            if (it->is_null()) config["rope_scaling"].erase(it.key());
        return read(config);
    };
    EXPECT_TRUE(with({{"truncate", nullptr}}).rope_truncate) << "the default";
    EXPECT_EQ(with({{"beta_fast", nullptr}}).rope_beta_fast, 32.0f);
    EXPECT_EQ(with({{"beta_slow", nullptr}}).rope_beta_slow, 1.0f);
    EXPECT_EQ(with({{"beta_slow", 2.5}}).rope_beta_slow, 2.5f);
    EXPECT_EQ(with({{"attention_factor", 1.25}}).rope_attention_factor, 1.25f);
    EXPECT_EQ(with({{"factor", 8}}).rope_attention_factor, float(0.1 * std::log(8.0) + 1));
    EXPECT_EQ(with({{"factor", 1}}).rope_attention_factor, 1.0f);
    // 131072 / 8192
    EXPECT_EQ(with({{"factor", nullptr}, {"original_max_position_embeddings", 8192}}).rope_factor, 16.0f);
    EXPECT_EQ(with({{"original_max_position_embeddings", nullptr}}).rope_original_context, 131072);
    EXPECT_EQ(with({{"mscale", 2}, {"mscale_all_dim", 0.5}}).rope_attention_factor,
              float((0.2 * std::log(32.0) + 1) / (0.05 * std::log(32.0) + 1)));
    EXPECT_EQ(with({{"mscale", 2}}).rope_attention_factor, float(1.3465735902799727)) << "needs both weights";
    EXPECT_EQ(with({{"mscale", 2}, {"mscale_all_dim", 0}}).rope_attention_factor, float(1.3465735902799727));
}

TEST(CheckpointConfig, StopIds) {
    json config = huggingface();
    config["eos_token_id"] = {3, 999, 1000, 5};
    Config c = read(config);
    EXPECT_EQ(c.stop_ids, (std::vector<int>{3, 999, 5})) << "1000 is outside the vocabulary";
    read_generation_config({{"eos_token_id", {7, 8}}}, "g", c);
    EXPECT_EQ(c.stop_ids, (std::vector<int>{7, 8}));
    read_generation_config({{"eos_token_id", 9}}, "g", c);
    EXPECT_EQ(c.stop_ids, (std::vector<int>{9}));
    read_generation_config(json::object(), "g", c);
    EXPECT_EQ(c.stop_ids, (std::vector<int>{9})) << "a file without ids changes nothing";
    for (const json& wrong : {json("x"), json(-1), json({1, "x"}), json(1.5)})
        EXPECT_TRUE(has(error_of([&] {
                            read_generation_config({{"eos_token_id", wrong}}, "g.json", c);
                        }),
                        {"g.json", "eos_token_id", "token id"}));
}

TEST(CheckpointConfig, SamplingDefaults) {
    Config c = read(huggingface());
    const auto with = [&](const json& changes) {
        read_generation_config(changes, "g.json", c);
        return c.sampling;
    };
    const SamplingDefaults none = with({{"eos_token_id", 7}, {"temperature", nullptr}});
    EXPECT_FALSE(none.do_sample || none.temperature || none.top_p || none.top_k) << "what is not said stays open";
    EXPECT_EQ(generation_config_json(c), (json{{"eos_token_id", {7}}})) << "and nothing is written that was not said";
    const SamplingDefaults all = with({{"do_sample", false}, {"temperature", 0.6}, {"top_p", 0.95}, {"top_k", 20}});
    EXPECT_EQ(all.do_sample, false);
    EXPECT_EQ(all.temperature, 0.6f);
    EXPECT_EQ(all.top_p, 0.95f);
    EXPECT_EQ(all.top_k, 20);
    EXPECT_EQ(generation_config_json(c)["temperature"].dump(), "0.6") << "the shortest that reads back";
    const json written = generation_config_json(c);
    Config back = read(huggingface());
    read_generation_config(written, "g.json", back);
    EXPECT_EQ(generation_config_json(back), written);
    EXPECT_EQ(with({{"top_k", -1}}).top_k, 0) << "all tokens, in others' words";
    for (const auto& [key, value] : std::vector<std::pair<const char*, json>>{{"do_sample", 1},
                                                                              {"temperature", -0.1},
                                                                              {"temperature", "hot"},
                                                                              {"temperature", 1e9},
                                                                              {"top_p", 1.5},
                                                                              {"top_p", -1},
                                                                              {"top_k", -2},
                                                                              {"top_k", 2.5}})
        EXPECT_TRUE(has(error_of([&, k = key, v = value] { with({{k, v}}); }), {"g.json", key, "expected", "found"}));
}

struct Wrong {
    const char* key;  // dot: inside
    json value;       // null: the field is taken out
    std::vector<std::string> words;
};

TEST(CheckpointConfig, EveryWrongFieldIsNamed) {
    std::vector<Wrong> cases = {
        {"model_type", "llama", {"model_type", "gpt_oss", "llama"}},
        {"model_type", nullptr, {"model_type", "\"gpt_oss\"", "architectures", "GptOssForCausalLM"}},
        {"num_attention_heads", 7, {"attention heads", "multiple of the 2", "7"}},
        {"head_dim", 15, {"head dimension", "even", "15"}},
        {"num_experts_per_tok", 6, {"experts per token", "5", "6"}},
        {"vocab_size", 1.5, {"vocab_size", "integer", "1.5"}},
        {"vocab_size", "1000", {"vocab_size", "integer", "1000"}},
        {"vocab_size", true, {"vocab_size", "integer", "true"}},
        {"rope_theta", 1, {"rope_theta", "1"}},
        {"rope_theta", nullptr, {"rope_theta", "nothing"}},
        {"rms_norm_eps", -1, {"rms_norm_eps", "-1"}},
        {"rms_norm_eps", 0, {"rms_norm_eps", "0"}},  // a row of zeros would be NaN
        {"rms_norm_eps", 1e-50, {"rms_norm_eps"}},   // 0 as f32
        {"rope_theta", 0, {"rope_theta", "0"}},
        {"swiglu_limit", 0, {"swiglu_limit"}},
        {"swiglu_limit", -7, {"swiglu_limit", "-7"}},
        {"swiglu_limit", 1e30, {"swiglu_limit"}},
        {"swiglu_alpha", 0, {"swiglu_alpha"}},
        {"swiglu_alpha", 1e38, {"swiglu_alpha"}},
        {"sliding_window", -1, {"sliding_window", "-1"}},
        {"sliding_window", 0, {"sliding_window", "0"}},
        {"sliding_window", nullptr, {"sliding_window", "nothing"}},
        {"layer_types", json::array({"full_attention"}), {"layer_types", "3"}},
        {"layer_types", json::array({"full_attention", "full_attention", "linear"}), {"layer_types", "linear"}},
        {"layer_types", "full_attention", {"layer_types"}},
        {"attention_bias", "yes", {"attention_bias", "true or false", "yes"}},
        {"quantization_config", 4, {"quantization_config", "object", "4"}},
        {"rope_scaling", "yarn", {"rope_scaling", "object"}},
        {"rope_scaling.rope_type", "llama3", {"rope_scaling.rope_type", "yarn", "llama3"}},
        {"rope_scaling.factor", 0.5, {"rope_scaling.factor", "0.5"}},
        {"rope_scaling.beta_fast", 0.5, {"beta_fast", "at least"}},
        {"rope_scaling.beta_slow", 0, {"rope_scaling.beta_slow"}},
        {"rope_scaling.truncate", 1, {"rope_scaling.truncate", "true or false"}},
        {"rope_scaling.original_max_position_embeddings", 0, {"rope_scaling.original_max_position_embeddings"}},
        {"rope_scaling.attention_factor", 1e40, {"rope_scaling.attention_factor"}},
        {"rope_scaling.attention_factor", 1e30, {"rope_scaling.attention_factor"}},  // q·k would be infinite
    };
    for (const char* key :
         {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
          "num_key_value_heads", "head_dim", "num_local_experts", "max_position_embeddings"}) {
        cases.push_back({key, nullptr, {key, "nothing"}});
        cases.push_back({key, 0, {key, "0"}});
        cases.push_back({key, -5, {key, "-5"}});
        cases.push_back({key, 2147483647, {key, "2147483647"}});
        cases.push_back({key, 1e300, {key}});
    }
    for (const Wrong& wrong : cases) {
        json config = huggingface();
        const std::string path = wrong.key;
        const size_t dot = path.find('.');
        json& object = dot == std::string::npos ? config : config[path.substr(0, dot)];
        object[path.substr(dot == std::string::npos ? 0 : dot + 1)] = wrong.value;
        const std::string error = config_error(config);
        EXPECT_TRUE(has(error, {"dir/config.json"})) << path;
        EXPECT_TRUE(has(error, wrong.words)) << path;
    }
    EXPECT_TRUE(has(config_error(json::array()), {"dir/config.json", "object"}));
}

TEST(CheckpointConfig, LargestDimensionsDoNotOverflow) {
    json config = huggingface();
    config.update({{"hidden_size", kMaxDim},
                   {"intermediate_size", kMaxDim},
                   {"num_local_experts", kMaxExperts},
                   {"vocab_size", kMaxVocab},
                   {"head_dim", kMaxHeadDim},
                   {"num_attention_heads", kMaxHeads},
                   {"num_key_value_heads", kMaxHeads},
                   {"num_hidden_layers", kMaxLayers},
                   {"layer_types", nullptr}});
    const double elements_of_experts = double(kMaxLayers) * kMaxExperts * 3.0 * kMaxDim * kMaxDim;
    EXPECT_EQ(double(kMaxDim) * kMaxDim, std::ldexp(1, 34));
    const Config c = read(config);
    EXPECT_GT(double(legacy_bytes(c, DType::kF32)), 4 * elements_of_experts);
}

TEST(CheckpointConfig, Original) {
    const json config = {{"num_hidden_layers", 5},   {"num_experts", 6},
                         {"experts_per_token", 2},   {"vocab_size", 201088},
                         {"hidden_size", 64},        {"intermediate_size", 32},
                         {"swiglu_limit", 6.5},      {"head_dim", 8},
                         {"num_attention_heads", 4}, {"num_key_value_heads", 2},
                         {"sliding_window", 77},     {"initial_context_length", 2048},
                         {"rope_theta", 150000},     {"rope_scaling_factor", 8.0},
                         {"rope_ntk_alpha", 2},      {"rope_ntk_beta", 24}};
    Config c = read_original_config(config, "f");
    EXPECT_EQ(c.n_layers, 5);
    EXPECT_EQ(c.n_experts, 6);
    EXPECT_EQ(c.experts_per_token, 2);
    EXPECT_EQ(c.hidden_dim, 64);
    EXPECT_EQ(c.intermediate_dim, 32);
    EXPECT_EQ(c.head_dim, 8);
    EXPECT_EQ(c.n_attn_heads, 4);
    EXPECT_EQ(c.n_kv_heads, 2);
    EXPECT_EQ(c.sliding_window, 77);
    EXPECT_EQ(c.swiglu_limit, 6.5f);
    EXPECT_EQ(c.rope_beta_slow, 2.0f);
    EXPECT_EQ(c.rope_beta_fast, 24.0f);
    EXPECT_EQ(c.rope_factor, 8.0f);
    EXPECT_FALSE(c.rope_truncate);
    EXPECT_EQ(c.rope_attention_factor, float(0.1 * std::log(8.0) + 1));
    EXPECT_EQ(c.max_context, 16384);
    EXPECT_EQ(c.layer_kind[0], LayerKind::kSliding);
    EXPECT_EQ(c.layer_kind[3], LayerKind::kFull);
    EXPECT_EQ(c.stop_ids, (std::vector<int>{200002, 199999, 200012}));
    expect_same_config(read_original_config(original_config_json(c), "f"), c);

    json without = config;
    without.erase("swiglu_limit");  // not in every copy
    EXPECT_EQ(read_original_config(without, "f").swiglu_limit, 7.0f);
    for (const auto& [key, value] : config.items()) {
        if (key == "swiglu_limit" || key.rfind("rope_ntk", 0) == 0) continue;
        without = config;
        without.erase(key);
        EXPECT_TRUE(has(error_of([&] { read_original_config(without, "o.json"); }), {"o.json", key, "nothing"}));
    }
}

TEST(CheckpointConfig, HuggingFaceJsonSaysEverything) {
    json config = huggingface();
    config["rms_norm_eps"] = 0.015;
    config["swiglu_alpha"] = 1.234567;
    config["swiglu_limit"] = 3.3;
    config["layer_types"] = {"full_attention", "sliding_attention", "sliding_attention"};
    config["rope_scaling"] = {{"rope_type", "yarn"},     {"factor", 7.7},
                              {"beta_fast", 30.1},       {"beta_slow", 1.3},
                              {"attention_factor", 1.1}, {"original_max_position_embeddings", 999}};
    const Config c = read(config);
    EXPECT_TRUE(c.rope_truncate);
    expect_same_config(read(huggingface_config_json(c, true, true)), c);
    EXPECT_FALSE(read_huggingface_config(huggingface_config_json(c, false, false), "f").attention_bias);
    EXPECT_EQ(read_huggingface_config(huggingface_config_json(c, false, false), "f").quantization, "");
    config["rope_scaling"] = nullptr;
    expect_same_config(read(huggingface_config_json(read(config), true, true)), read(config));
}

}  // namespace
