// config_original.cpp: the flat config.json of OpenAI's `original/` directory. It lacks stop ids; it also lacks the
// norm's epsilon, the layer pattern and SwiGLU's alpha, which are taken from the published models.
#include <nlohmann/json.hpp>

#include "base/json_fields.h"
#include "error.h"
#include "model/config.h"

using nlohmann::json;

Config read_original_config(std::string_view text, const std::string& file) {
    const JsonFields f(parse_json(text, file), file, ": ");
    Config c = read_dimensions(f);
    c.n_experts = f.integer("num_experts", 1, kMaxExperts);
    c.experts_per_token = f.integer("experts_per_token", 1, kMaxExperts);
    c.sliding_window = f.integer("sliding_window", 1, kMaxContext);
    c.layer_kind = alternating_layers(c.n_layers);
    c.swiglu_limit = float(f.number_or("swiglu_limit", c.swiglu_limit, kMinSwiglu, kMaxSwiglu));
    c.rope_theta = float(f.number("rope_theta", kMinTheta, kMaxFloat));
    c.rope_original_context = f.integer("initial_context_length", 1, kMaxContext);
    // The bound keeps the product below in an int.
    c.rope_factor = float(f.number("rope_scaling_factor", 1, double(kMaxContext) / c.rope_original_context));
    c.rope_beta_slow = float(f.number_or("rope_ntk_alpha", 1, kMinFloat, kMaxFloat));
    c.rope_beta_fast = float(f.number_or("rope_ntk_beta", 32, kMinFloat, kMaxFloat));
    c.rope_attention_factor = float(yarn_attention_factor(c.rope_factor));
    c.max_context = original_context(c);
    c.stop_ids = published_stop_ids(c.vocab_size);
    check_config(c, file);
    return c;
}

int original_context(const Config& c) {
    return int(c.rope_original_context * double(c.rope_factor));
}

void read_original_generation_config(std::string_view text, const std::string& file, Config& c) {
    read_generation_config(text, file, c);
    const JsonFields fields(parse_json(text, file), file, ": ");
    c.max_context = fields.integer_or(kOriginalContextKey, c.max_context, 1, kMaxContext);
}

json original_config_json(const Config& c) {
    return {
        {"num_hidden_layers", c.n_layers},
        {"num_experts", c.n_experts},
        {"experts_per_token", c.experts_per_token},
        {"vocab_size", c.vocab_size},
        {"hidden_size", c.hidden_dim},
        {"intermediate_size", c.intermediate_dim},
        {"swiglu_limit", c.swiglu_limit},
        {"head_dim", c.head_dim},
        {"num_attention_heads", c.n_attn_heads},
        {"num_key_value_heads", c.n_kv_heads},
        {"sliding_window", c.sliding_window},
        {"initial_context_length", c.rope_original_context},
        {"rope_theta", c.rope_theta},
        {"rope_scaling_factor", c.rope_factor},
        {"rope_ntk_alpha", c.rope_beta_slow},
        {"rope_ntk_beta", c.rope_beta_fast},
    };
}
