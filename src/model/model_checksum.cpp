// model_checksum.cpp: tells two models apart without reading all of them: reading 65 GB takes a minute.
//
// A .bin's header holds a checksum of every tensor. Of other checkpoints small tensors are read whole, of large ones a
// piece every 2 MB: whatever changes all of a tensor, or one expert of 2 MB or more, changes a piece.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/checksum.h"
#include "checkpoint.h"
#include "model/tensor_spans.h"

namespace {

constexpr int64_t kWhole = int64_t(256) << 20;  // a model of so many bytes is read whole
constexpr int64_t kStride = int64_t(2) << 20, kPiece = 4096;
constexpr int64_t kWholeTensor = kStride;  // as are norms, biases, sinks and routers of any model: 1.5 MB at most

// All numbers that a forward pass takes from the config.
std::string config_text(const Model& model) {
    const CommonConfig& c = model.common();
    std::string text = fmt::format("{} {} {} {} {} {} {} {}", c.vocab_size, c.max_context, c.n_layers, c.n_attn_heads,
                                   c.n_kv_heads, c.head_dim, c.sliding_window, fmt::join(c.stop_ids, ","));
    for (const LayerKind kind : c.layer_kind) text += kind == LayerKind::kSliding ? 's' : 'f';
    if (model.is_gpt2()) return text + fmt::format(" {}", model.gpt2().config.norm_eps);
    const Config& g = model.gpt_oss().config;
    return text + fmt::format(" {} {} {} {} {} {} {} {} {} {} {}", g.experts_per_token, g.norm_eps, g.swiglu_limit,
                              g.swiglu_alpha, g.rope_theta, g.rope_factor, g.rope_beta_fast, g.rope_beta_slow,
                              g.rope_truncate, g.rope_original_context, g.rope_attention_factor);
}

std::string pieces_checksum(const TensorSpan& span) {
    Checksum checksum;
    if (span.n_bytes <= kWholeTensor) {
        checksum.add(span.data, span.n_bytes);
        return checksum.hex();
    }
    for (int64_t at = 0; at < span.n_bytes; at += kStride)
        checksum.add(span.data + at, std::min(kPiece, span.n_bytes - at));
    checksum.add(span.data + span.n_bytes - kPiece, kPiece);
    return checksum.hex();
}

void add_container_header(const Model::Mapping& file, Checksum& checksum) {
    uint64_t n_bytes = 0;
    std::memcpy(&n_bytes, file.data, sizeof n_bytes);  // open_model() has checked it
    checksum.add(file.data, int64_t(sizeof n_bytes + n_bytes));
}

// By all threads: a piece that is not in memory yet costs waiting, not work.
void add_tensors(const Model& model, Checksum& checksum) {
    const std::vector<TensorSpan> spans = tensor_spans(model);
    std::vector<std::string> found(spans.size());
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t i = 0; i < spans.size(); i++) found[i] = pieces_checksum(spans[i]);
    for (size_t i = 0; i < spans.size(); i++) {
        const std::string text = fmt::format("{} {} {};", spans[i].name, spans[i].n_bytes, found[i]);
        checksum.add(text.data(), int64_t(text.size()));
    }
}

}  // namespace

std::string model_checksum(const Model& model) {
    Checksum checksum;
    int64_t n_bytes = 0;
    for (const Model::Mapping& mapping : model.mappings) n_bytes += mapping.n_bytes;
    if (model.kind == CheckpointKind::kContainer)
        add_container_header(model.mappings.at(0), checksum);
    else if (n_bytes <= kWhole)
        for (const Model::Mapping& mapping : model.mappings) checksum.add(mapping.data, mapping.n_bytes);
    else
        add_tensors(model, checksum);
    const std::string config = config_text(model);
    checksum.add(config.data(), int64_t(config.size()));
    return checksum.hex();
}
