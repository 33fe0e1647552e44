// config_huggingface.cpp: Hugging Face's config.json and generation_config.json. RoPE scaling is read as
// modeling_rope_utils of HF transformers reads it.
#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/json_fields.h"
#include "error.h"
#include "model/config.h"

using nlohmann::json;

namespace {

void read_yarn(const JsonFields& f, Config& c) {
    c.rope_original_context = f.integer_or("original_max_position_embeddings", c.max_context, 1, kMaxContext);
    c.rope_factor =
        float(f.number_or("factor", std::max(1.0, double(c.max_context) / c.rope_original_context), 1, kMaxFloat));
    c.rope_beta_fast = float(f.number_or("beta_fast", 32, kMinFloat, kMaxFloat));
    c.rope_beta_slow = float(f.number_or("beta_slow", 1, kMinFloat, kMaxFloat));
    c.rope_truncate = f.boolean_or("truncate", true);
    // 0 counts as absent in the two weights.
    const double mscale = f.number_or("mscale", 0, 0, kMaxFloat);
    const double mscale_all_dim = f.number_or("mscale_all_dim", 0, 0, kMaxFloat);
    double attention_factor = yarn_attention_factor(c.rope_factor);
    if (mscale != 0 && mscale_all_dim != 0)
        attention_factor =
            yarn_attention_factor(c.rope_factor, mscale) / yarn_attention_factor(c.rope_factor, mscale_all_dim);
    c.rope_attention_factor =
        float(f.number_or("attention_factor", attention_factor, kMinAttentionFactor, kMaxAttentionFactor));
}

// transformers 4 writes `rope_scaling` beside `rope_theta`, 5 writes `rope_parameters` with the theta inside.
void read_rope(const JsonFields& f, Config& c) {
    c.rope_original_context = c.max_context;  // plain RoPE, if nothing else is said
    const char* key = f.either("rope_parameters", "rope_scaling");
    const char* kTheta = "rope_theta";
    if (!f.has(key)) {
        c.rope_theta = float(f.number(kTheta, kMinTheta, kMaxFloat));
        return;
    }
    const JsonFields rope = f.object(key);
    c.rope_theta = float((rope.has(kTheta) ? rope : f).number(kTheta, kMinTheta, kMaxFloat));
    const char* type_key = rope.either("rope_type", "type");
    const std::string type = rope.string_or(type_key, "default");
    if (type == "yarn")
        read_yarn(rope, c);
    else if (type != "default")
        rope.wrong(type_key, "\"yarn\" or \"default\"");
}

void read_layers(const JsonFields& f, Config& c) {
    c.layer_kind = alternating_layers(c.n_layers);
    const Json* types = f.find("layer_types");
    if (!types) return;
    if (!types->is_array() || types->size() != c.n_layers)
        f.wrong("layer_types", fmt::format("an array of num_hidden_layers = {} strings", c.n_layers));
    size_t l = 0;
    for (const Json& type : *types) {
        const std::string kind = type.is_string() ? type.string() : "";
        if (kind != "sliding_attention" && kind != "full_attention")
            wrong(f.path("layer_types"), "\"sliding_attention\" or \"full_attention\" for every layer", type);
        c.layer_kind[l++] = kind == "sliding_attention" ? LayerKind::kSliding : LayerKind::kFull;
    }
}

void check_architecture(const JsonFields& f) {
    if (f.string_or("model_type", "") == "gpt_oss") return;
    if (f.has("model_type")) f.wrong("model_type", "\"gpt_oss\" or \"gpt2\", the architectures that this program runs");
    const Json* names = f.find("architectures");
    if (names && names->is_array() && !names->empty())
        wrong(f.path("model_type"), "\"gpt_oss\"", "none, and architectures of " + shown(*names->begin()));
    f.wrong("model_type", "\"gpt_oss\"");
}

// The quantization's name, which only errors use: the tensors decide. MLX has a field of its own.
std::string read_quantization(const JsonFields& f) {
    if (f.has("quantization") && !f.has("quantization_config")) return "MLX";
    if (!f.has("quantization_config")) return "";
    const JsonFields quantization = f.object("quantization_config");
    const std::string method = quantization.string_or("quant_method", "");
    const char* detail = quantization.either("quant_algo", "format");  // "modelopt" and "NVFP4"
    return quantization.has(detail) ? method + " " + quantization.string_or(detail, "") : method;
}

}  // namespace

void read_stop_ids(const JsonFields& f, CommonConfig& c) {
    const char* kKey = "eos_token_id";
    const Json* ids = f.find(kKey);
    if (!ids) return;
    c.stop_ids.clear();
    const auto add = [&](const Json& value) {
        const std::optional<int64_t> id = value.is_number() ? value.integer() : std::nullopt;
        if (!id || *id < 0) f.wrong(kKey, "a token id or a list of token ids");
        if (*id < c.vocab_size) c.stop_ids.push_back(int(*id));
    };
    if (!ids->is_array())
        add(*ids);
    else
        for (const Json& id : *ids) add(id);
}

double shortest(float f) {
    return std::strtod(fmt::format("{}", f).c_str(), nullptr);
}

HuggingFaceConfig read_huggingface_config(std::string_view text, const std::string& file) {
    const JsonFields f(parse_json(text, file), file, ": ");
    check_architecture(f);
    HuggingFaceConfig hf;
    Config& c = hf.config;
    c = read_dimensions(f);
    c.n_experts = f.integer(f.either("num_local_experts", "num_experts"), 1, kMaxExperts);
    c.experts_per_token = f.integer(f.either("num_experts_per_tok", "experts_per_token"), 1, kMaxExperts);
    c.max_context = f.integer("max_position_embeddings", 1, kMaxContext);
    read_layers(f, c);
    const bool slides = std::count(c.layer_kind.begin(), c.layer_kind.end(), LayerKind::kSliding) > 0;
    c.sliding_window =
        slides ? f.integer("sliding_window", 1, kMaxContext) : f.integer_or("sliding_window", 1, 1, kMaxContext);
    c.norm_eps = float(f.number_or("rms_norm_eps", c.norm_eps, kMinEps, kMaxEps));
    c.swiglu_limit = float(f.number_or("swiglu_limit", c.swiglu_limit, kMinSwiglu, kMaxSwiglu));
    c.swiglu_alpha = float(f.number_or("swiglu_alpha", c.swiglu_alpha, kMinSwiglu, kMaxSwiglu));
    read_rope(f, c);
    read_stop_ids(f, c);
    check_config(c, file);

    hf.attention_bias = f.boolean_or("attention_bias", true);
    hf.tied_embeddings = f.boolean_or("tie_word_embeddings", false);
    hf.quantization = read_quantization(f);
    return hf;
}

void read_generation_config(std::string_view text, const std::string& file, CommonConfig& config) {
    const JsonFields f(parse_json(text, file), file, ": ");
    read_stop_ids(f, config);
    SamplingDefaults& s = config.sampling;
    if (f.has("do_sample")) s.do_sample = f.boolean_or("do_sample", false);
    if (f.has("temperature")) s.temperature = float(f.number("temperature", 0, kMaxTemperature));
    if (f.has("top_p")) s.top_p = float(f.number("top_p", 0, 1));
    if (f.has("top_k")) s.top_k = std::max(f.integer("top_k", -1, kMaxVocab), 0);  // some write -1 for all
}

json huggingface_config_json(const Config& c, bool attention_bias, bool mxfp4) {
    json layer_types = json::array();
    for (const LayerKind kind : c.layer_kind)
        layer_types.push_back(kind == LayerKind::kSliding ? "sliding_attention" : "full_attention");
    json object = {
        {"architectures", {"GptOssForCausalLM"}},
        {"model_type", "gpt_oss"},
        {"attention_bias", attention_bias},
        {"experts_per_token", c.experts_per_token},
        {"head_dim", c.head_dim},
        {"hidden_act", "silu"},
        {"hidden_size", c.hidden_dim},
        {"initial_context_length", c.rope_original_context},
        {"intermediate_size", c.intermediate_dim},
        {"layer_types", layer_types},
        {"max_position_embeddings", c.max_context},
        {"num_attention_heads", c.n_attn_heads},
        {"num_experts_per_tok", c.experts_per_token},
        {"num_hidden_layers", c.n_layers},
        {"num_key_value_heads", c.n_kv_heads},
        {"num_local_experts", c.n_experts},
        {"rms_norm_eps", shortest(c.norm_eps)},
        {"rope_theta", shortest(c.rope_theta)},
        {"rope_scaling",
         {{"rope_type", "yarn"},
          {"factor", shortest(c.rope_factor)},
          {"beta_fast", shortest(c.rope_beta_fast)},
          {"beta_slow", shortest(c.rope_beta_slow)},
          {"truncate", c.rope_truncate},
          {"attention_factor", shortest(c.rope_attention_factor)},
          {"original_max_position_embeddings", c.rope_original_context}}},
        {"sliding_window", c.sliding_window},
        {"swiglu_alpha", shortest(c.swiglu_alpha)},
        {"swiglu_limit", shortest(c.swiglu_limit)},
        {"tie_word_embeddings", false},
        {"torch_dtype", "bfloat16"},
        {"vocab_size", c.vocab_size},
    };
    if (!c.stop_ids.empty()) object["eos_token_id"] = c.stop_ids.size() == 1 ? json(c.stop_ids[0]) : json(c.stop_ids);
    if (mxfp4)
        object["quantization_config"] = {
            {"quant_method", "mxfp4"},
            {"modules_to_not_convert",
             {"model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"}}};
    return object;
}

json generation_config_json(const CommonConfig& config) {
    json object = json::object();
    const SamplingDefaults& s = config.sampling;
    if (s.do_sample) object["do_sample"] = *s.do_sample;
    if (s.temperature) object["temperature"] = shortest(*s.temperature);
    if (s.top_p) object["top_p"] = shortest(*s.top_p);
    if (s.top_k) object["top_k"] = *s.top_k;
    if (!config.stop_ids.empty()) object["eos_token_id"] = config.stop_ids;
    return object;
}
