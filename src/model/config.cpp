// config.cpp: what all kinds of configuration have in common: constants of the published models, and checks.
#include "model/config.h"

#include <algorithm>
#include <cmath>

#include "base/json_fields.h"
#include "error.h"

Config read_dimensions(const JsonFields& f) {
    Config c;
    c.vocab_size = f.integer("vocab_size", 1, kMaxVocab);
    c.hidden_dim = f.integer("hidden_size", 1, kMaxDim);
    c.intermediate_dim = f.integer("intermediate_size", 1, kMaxDim);
    c.n_layers = f.integer("num_hidden_layers", 1, kMaxLayers);
    c.n_attn_heads = f.integer("num_attention_heads", 1, kMaxHeads);
    c.n_kv_heads = f.integer("num_key_value_heads", 1, kMaxHeads);
    c.head_dim = f.integer("head_dim", 2, kMaxHeadDim);
    return c;
}

std::vector<LayerKind> alternating_layers(int n_layers) {
    std::vector<LayerKind> kinds(static_cast<size_t>(n_layers));
    for (size_t l = 0; l < kinds.size(); l++) kinds[l] = l % 2 == 0 ? LayerKind::kSliding : LayerKind::kFull;
    return kinds;
}

double yarn_attention_factor(double factor, double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

std::vector<int> published_stop_ids(int vocab_size) {
    std::vector<int> ids;
    for (const int id : {200002, 199999, 200012})
        if (id < vocab_size) ids.push_back(id);
    return ids;
}

void check_config(const Config& c, const std::string& file) {
    if (c.n_attn_heads % c.n_kv_heads != 0)
        fail("{}: attention heads: expected a multiple of the {} key-value heads, found {}", file, c.n_kv_heads,
             c.n_attn_heads);
    if (c.head_dim % 2 != 0) fail("{}: head dimension: expected an even number, found {}", file, c.head_dim);
    if (c.experts_per_token > c.n_experts)
        fail("{}: experts per token: expected at most the {} experts, found {}", file, c.n_experts,
             c.experts_per_token);
    if (!(c.rope_attention_factor >= kMinAttentionFactor && c.rope_attention_factor <= kMaxAttentionFactor))
        fail("{}: RoPE attention factor: expected a number from {} to {}, found {}", file, kMinAttentionFactor,
             kMaxAttentionFactor, c.rope_attention_factor);
    if (c.rope_beta_fast < c.rope_beta_slow)
        fail("{}: RoPE beta_fast: expected at least beta_slow, {}, found {}", file, c.rope_beta_slow, c.rope_beta_fast);
}

void check_published_value(const std::string& kind, const char* what, float value, float published) {
    if (value == published) return;
    fail("{}: {}: expected {}, as this kind of checkpoint has no field for it, found {}", kind, what, published, value);
}

void check_published(const Config& c, const std::string& kind) {
    const Config published;
    check_published_value(kind, "RMS norm epsilon", c.norm_eps, published.norm_eps);
    check_published_value(kind, "SwiGLU alpha", c.swiglu_alpha, published.swiglu_alpha);
    check_published_value(kind, "RoPE truncate", c.rope_truncate, published.rope_truncate);
    check_published_value(kind, "RoPE attention factor", c.rope_attention_factor,
                          float(yarn_attention_factor(c.rope_factor)));
    if (c.layer_kind != alternating_layers(c.n_layers))
        fail("{}: layers: expected sliding and full in turn, as this kind of checkpoint has no field for it", kind);
}
