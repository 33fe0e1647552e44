// config_gpt2.cpp: GPT-2's config.json, as Hugging Face has it.
#include <nlohmann/json.hpp>

#include "base/json_fields.h"
#include "error.h"
#include "model/config.h"
#include "model/gpt2.h"

namespace {

// Switches that change the arithmetic, with their values in every GPT-2 that OpenAI published.
constexpr struct {
    const char* key;
    bool published;
} kSwitches[] = {
    {"scale_attn_weights", true},
    {"scale_attn_by_inverse_layer_idx", false},
    {"reorder_and_upcast_attn", false},
    {"add_cross_attention", false},
};

}  // namespace

Gpt2Config read_gpt2_config(std::string_view text, const std::string& file) {
    const JsonFields f(parse_json(text, file), file, ": ");
    for (const auto& [key, published] : kSwitches)
        if (f.boolean_or(key, published) != published) f.wrong(key, published ? "true" : "false");
    const std::string activation = f.string_or("activation_function", "gelu_new");
    if (activation != "gelu_new" && activation != "gelu_pytorch_tanh")
        f.wrong("activation_function", "\"gelu_new\" or \"gelu_pytorch_tanh\"");

    Gpt2Config c;
    c.vocab_size = f.integer("vocab_size", 1, kMaxVocab);
    c.max_context = f.integer(f.either("n_positions", "n_ctx"), 1, kMaxContext);
    c.n_layers = f.integer("n_layer", 1, kMaxLayers);
    c.hidden_dim = f.integer("n_embd", 1, kMaxDim / 4);
    c.n_attn_heads = c.n_kv_heads = f.integer("n_head", 1, kMaxHeads);
    if (c.hidden_dim % c.n_attn_heads != 0)
        f.wrong("n_head", fmt::format("a divisor of n_embd, which is {}", c.hidden_dim));
    c.head_dim = c.hidden_dim / c.n_attn_heads;
    if (c.head_dim > kMaxHeadDim) f.wrong("n_head", fmt::format("heads of at most {} elements", kMaxHeadDim));
    c.intermediate_dim = f.integer_or("n_inner", 4 * c.hidden_dim, 1, kMaxDim);
    c.norm_eps = float(f.number_or("layer_norm_epsilon", double(c.norm_eps), kMinEps, kMaxEps));
    c.layer_kind.assign(size_t(c.n_layers), LayerKind::kFull);
    read_stop_ids(f, c);
    return c;
}

nlohmann::json gpt2_config_json(const Gpt2Config& c) {
    nlohmann::json object = {
        {"architectures", {"GPT2LMHeadModel"}},
        {"model_type", "gpt2"},
        {"activation_function", "gelu_new"},
        {"layer_norm_epsilon", shortest(c.norm_eps)},
        {"n_ctx", c.max_context},
        {"n_embd", c.hidden_dim},
        {"n_head", c.n_attn_heads},
        {"n_inner", c.intermediate_dim == 4 * c.hidden_dim ? nlohmann::json() : nlohmann::json(c.intermediate_dim)},
        {"n_layer", c.n_layers},
        {"n_positions", c.max_context},
        {"vocab_size", c.vocab_size},
    };
    if (!c.stop_ids.empty()) object["bos_token_id"] = object["eos_token_id"] = c.stop_ids[0];
    return object;
}
