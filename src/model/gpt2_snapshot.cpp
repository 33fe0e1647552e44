// gpt2_snapshot.cpp: GPT-2 as Hugging Face has it. The matrices of its blocks are stored transposed, (n_in, n_out).
#include <cstring>

#include "base/file.h"
#include "error.h"
#include "model/config.h"
#include "model/gpt2.h"
#include "model/readers.h"
#include "model/tensor.h"

namespace {

using Holds = NamedTensor::Holds;

const char* const kHead = "lm_head.weight";

// GPT-2 uses its embedding as its head. A snapshot may hold it a second time, as lm_head.weight.
void check_tied(const Matrix& embed, const TensorFiles& files, const std::string& directory) {
    if (!files.has(kHead)) return;
    Matrix head = embed;
    files.bind({Holds::kMatrices, kHead, {head.n_out, head.n_in}, {}, {&head}, nullptr});
    if (head.dtype != embed.dtype || std::memcmp(head.data, embed.data, size_t(embed.bytes())) != 0)
        fail("{}: {}: expected the same numbers as wte.weight, as every GPT-2 has, found others", directory, kHead);
}

}  // namespace

Gpt2Weights shaped_gpt2_weights(const Gpt2Config& c) {
    const auto vector = [](int64_t n) { return Vector{DType::kBF16, n, nullptr}; };
    const auto matrix = [](int64_t n_out, int64_t n_in) {
        return Matrix{DType::kBF16, false, n_out, n_in, nullptr, nullptr};
    };
    const int64_t dim = c.hidden_dim, ffn = c.intermediate_dim;
    const LayerNorm norm{vector(dim), vector(dim)};
    Gpt2Layer layer;
    layer.norm_attn = layer.norm_mlp = norm;
    layer.w_qkv = matrix(3 * dim, dim);
    layer.b_qkv = vector(3 * dim);
    layer.w_o = matrix(dim, dim);
    layer.b_o = layer.b_down = vector(dim);
    layer.w_up = matrix(ffn, dim);
    layer.b_up = vector(ffn);
    layer.w_down = matrix(dim, ffn);
    return {matrix(c.vocab_size, dim), matrix(c.max_context, dim), std::vector<Gpt2Layer>(size_t(c.n_layers), layer),
            norm};
}

std::vector<NamedTensor> gpt2_tensors(const Gpt2Config& c, Gpt2Weights& w, const std::string& prefix) {
    std::vector<NamedTensor> tensors;
    const auto vector = [&](const std::string& name, Vector* v) {
        tensors.push_back({Holds::kVectors, name, {v->n}, {v}, {}, nullptr});
    };
    const auto norm = [&](const std::string& name, LayerNorm* n) {
        vector(name + ".weight", &n->gain);
        vector(name + ".bias", &n->bias);
    };
    const auto conv1d = [&](const std::string& name, Matrix* m, Vector* bias) {
        tensors.push_back({Holds::kConv1d, name + ".weight", {m->n_in, m->n_out}, {}, {m}, nullptr});
        vector(name + ".bias", bias);
    };
    const auto table = [&](const std::string& name, Matrix* m) {
        tensors.push_back({Holds::kMatrices, name, {m->n_out, m->n_in}, {}, {m}, nullptr});
    };
    table(prefix + "wte.weight", &w.embed);
    table(prefix + "wpe.weight", &w.positions);
    for (int l = 0; l < c.n_layers; l++) {
        Gpt2Layer& layer = w.layers[size_t(l)];
        const std::string block = fmt::format("{}h.{}.", prefix, l);
        norm(block + "ln_1", &layer.norm_attn);
        conv1d(block + "attn.c_attn", &layer.w_qkv, &layer.b_qkv);
        conv1d(block + "attn.c_proj", &layer.w_o, &layer.b_o);
        norm(block + "ln_2", &layer.norm_mlp);
        conv1d(block + "mlp.c_fc", &layer.w_up, &layer.b_up);
        conv1d(block + "mlp.c_proj", &layer.w_down, &layer.b_down);
    }
    norm(prefix + "ln_f", &w.norm_final);
    return tensors;
}

Model open_gpt2_snapshot(const std::string& directory) {
    const std::string config = directory + "/config.json", generation = directory + "/generation_config.json";
    Gpt2 gpt2;
    gpt2.config = read_gpt2_config(read_config_file(config), config);
    if (is_file(generation)) read_generation_config(read_config_file(generation), generation, gpt2.config);
    gpt2.weights = shaped_gpt2_weights(gpt2.config);

    const TensorFiles files = TensorFiles::in_directory(directory, false);
    const std::string long_prefix = "transformer.";
    const std::string prefix = files.has(long_prefix + "wte.weight") ? long_prefix : "";
    Model model;
    bind_all(model, gpt2_tensors(gpt2.config, gpt2.weights, prefix), files);
    if (files.has(fmt::format("{}h.{}.ln_1.weight", prefix, gpt2.config.n_layers)))
        fail("{}: n_layer: expected as many as there are tensors for, found {}, and tensors for more", config,
             gpt2.config.n_layers);
    check_tied(gpt2.weights.embed, files, directory);
    model.kind = CheckpointKind::kHuggingFace;
    model.architecture = std::move(gpt2);
    return model;
}
