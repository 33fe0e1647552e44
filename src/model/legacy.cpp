// legacy.cpp: header and payload of the legacy .bin. What the header does not say is as in the published models.
#include "model/legacy.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.h"
#include "model/config.h"
#include "model/readers.h"
#include "model/tensor.h"

namespace {

// Some early files hold these two fields as floats. As an integer, a float from 1 to 2^24 is above a billion.
bool is_float_in_disguise(int32_t field) {
    float f;
    std::memcpy(&f, &field, sizeof f);
    return f >= 1 && f <= 16777216 && f == std::floor(f);
}

int64_t part_elements(const LegacyPart& part) {
    if (part.vector) return part.vector->n;
    const Matrix& m = part.matrix ? *part.matrix : part.experts->first;
    return m.n_out * m.n_in * (part.experts ? part.experts->n_experts : 1);
}

// The config that a header stands for.
Config read_legacy_header(const LegacyHeader& h, const std::string& path) {
    for (const int32_t field : {h.initial_context_length, h.sliding_window})
        if (is_float_in_disguise(field))
            fail(
                "{}: initial_context_length, sliding_window: expected integers, found floats, as an early exporter "
                "wrote them: re-export the model",
                path);
    const auto integer = [&](const char* name, int32_t value, int max) {
        if (value < 1 || value > max)
            fail("{}: {}: expected an integer from 1 to {}, found {}: not a checkpoint, or a damaged one", path, name,
                 max, value);
        return value;
    };
    const auto number = [&](const char* name, float value, double min, double max) {
        if (!(value >= min && value <= max))
            fail("{}: {}: expected a number from {} to {}, found {}", path, name, min, max, value);
        return value;
    };
    Config c;
    c.vocab_size = integer("vocab_size", h.vocab_size, kMaxVocab);
    c.hidden_dim = integer("hidden_dim", h.hidden_dim, kMaxDim);
    c.n_experts = integer("n_experts", h.n_experts, kMaxExperts);
    c.experts_per_token = integer("experts_per_token", h.experts_per_token, kMaxExperts);
    c.intermediate_dim = integer("intermediate_dim", h.intermediate_dim, kMaxDim);
    c.n_layers = integer("n_layers", h.n_layers, kMaxLayers);
    c.head_dim = integer("head_dim", h.head_dim, kMaxHeadDim);
    c.n_attn_heads = integer("n_attn_heads", h.n_attn_heads, kMaxHeads);
    c.n_kv_heads = integer("n_kv_heads", h.n_kv_heads, kMaxHeads);
    const int seq_len = integer("seq_len", h.seq_len, kMaxContext);
    c.rope_original_context = integer("initial_context_length", h.initial_context_length, kMaxContext);
    c.rope_theta = number("rope_theta", h.rope_theta, kMinTheta, kMaxFloat);
    c.rope_factor =
        number("rope_scaling_factor", h.rope_scaling_factor, 1, double(kMaxContext) / c.rope_original_context);
    c.rope_attention_factor = float(yarn_attention_factor(c.rope_factor));
    c.sliding_window = integer("sliding_window", h.sliding_window, kMaxContext);
    c.swiglu_limit = number("swiglu_limit", h.swiglu_limit, kMinSwiglu, kMaxSwiglu);
    c.layer_kind = alternating_layers(c.n_layers);
    // Most exporters wrote a seq_len far below what the model can do.
    c.max_context = std::max(seq_len, int(c.rope_original_context * double(c.rope_factor)));
    c.stop_ids = published_stop_ids(c.vocab_size);
    check_config(c, path);
    return c;
}

}  // namespace

std::vector<LegacyPart> legacy_parts(Weights& w) {
    std::vector<LegacyPart> parts;
    const auto vectors = [&](const char* name, Vector LayerWeights::*member) {
        for (LayerWeights& layer : w.layers) parts.push_back({name, &(layer.*member), nullptr, nullptr});
    };
    const auto matrices = [&](const char* name, Matrix LayerWeights::*member) {
        for (LayerWeights& layer : w.layers) parts.push_back({name, nullptr, &(layer.*member), nullptr});
    };
    const auto experts = [&](const char* name, ExpertMatrices LayerWeights::*member) {
        for (LayerWeights& layer : w.layers) parts.push_back({name, nullptr, nullptr, &(layer.*member)});
    };
    parts.push_back({"embedding", nullptr, &w.embed, nullptr});
    parts.push_back({"unembedding", nullptr, &w.unembed, nullptr});
    vectors("attention norm", &LayerWeights::g_attn);
    vectors("mlp norm", &LayerWeights::g_mlp);
    parts.push_back({"final norm", &w.g_final, nullptr, nullptr});
    for (LayerWeights& layer : w.layers)
        for (Matrix* part : {&layer.w_q, &layer.w_k, &layer.w_v})
            parts.push_back({"qkv weight", nullptr, part, nullptr});
    for (LayerWeights& layer : w.layers)
        for (Vector* part : {&layer.b_q, &layer.b_k, &layer.b_v}) parts.push_back({"qkv bias", part, nullptr, nullptr});
    matrices("o weight", &LayerWeights::w_o);
    vectors("o bias", &LayerWeights::b_o);
    vectors("sinks", &LayerWeights::sinks);
    matrices("router weight", &LayerWeights::w_router);
    vectors("router bias", &LayerWeights::b_router);
    experts("mlp1 weight", &LayerWeights::w_up);
    vectors("mlp1 bias", &LayerWeights::b_up);
    experts("mlp2 weight", &LayerWeights::w_down);
    vectors("mlp2 bias", &LayerWeights::b_down);
    return parts;
}

int64_t legacy_bytes(const Config& config, DType dtype) {
    Weights weights = shaped_weights(config);
    int64_t n = 0;
    for (const LegacyPart& part : legacy_parts(weights)) n += part_elements(part);
    return int64_t(sizeof(LegacyHeader)) + n * element_bytes(dtype);
}

LegacyHeader legacy_header(const Config& c) {
    const Config published;
    const std::string kind = "legacy .bin";
    check_published(c, kind);
    check_published_value(kind, "RoPE beta_fast", c.rope_beta_fast, published.rope_beta_fast);
    check_published_value(kind, "RoPE beta_slow", c.rope_beta_slow, published.rope_beta_slow);
    return {c.vocab_size,  c.hidden_dim,     c.n_experts,   c.experts_per_token, c.intermediate_dim,      c.n_layers,
            c.head_dim,    c.n_attn_heads,   c.n_kv_heads,  c.max_context,       c.rope_original_context, c.rope_theta,
            c.rope_factor, c.sliding_window, c.swiglu_limit};
}

Model open_legacy(const std::string& path, const OpenOptions& options) {
    const auto file = std::make_shared<const MappedFile>(path);
    LegacyHeader header;
    if (file->size() < int64_t(sizeof header))
        fail("{}: expected a header of {} bytes, found a file of {}", path, sizeof header, file->size());
    std::memcpy(&header, file->data(), sizeof header);

    Model model;
    model.kind = CheckpointKind::kLegacy;
    model.gpt_oss().config = read_legacy_header(header, path);
    const int64_t f32_bytes = legacy_bytes(model.gpt_oss().config, DType::kF32);
    const int64_t bf16_bytes = legacy_bytes(model.gpt_oss().config, DType::kBF16);
    if (file->size() != f32_bytes && file->size() != bf16_bytes)
        fail("{}: file size: expected {} bytes for f32 or {} for bf16, as its header says, found {}", path, f32_bytes,
             bf16_bytes, file->size());

    const DType dtype = file->size() == f32_bytes ? DType::kF32 : DType::kBF16;
    model.gpt_oss().weights = shaped_weights(model.gpt_oss().config);
    const uint8_t* data = file->data() + sizeof header;
    for (const LegacyPart& part : legacy_parts(model.gpt_oss().weights)) {
        if (part.vector) {
            part.vector->dtype = dtype;
            part.vector->data = data;
        } else {
            Matrix& matrix = part.matrix ? *part.matrix : part.experts->first;
            matrix.dtype = dtype;
            matrix.data = data;
        }
        data += part_elements(part) * element_bytes(dtype);
    }
    if (options.swap_legacy_embeddings)
        std::swap(model.gpt_oss().weights.embed.data, model.gpt_oss().weights.unembed.data);
    model.weight_bytes = file->size() - int64_t(sizeof header);
    model.mappings.push_back({file, file->data(), file->size()});
    return model;
}
