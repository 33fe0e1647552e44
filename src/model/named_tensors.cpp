// named_tensors.cpp: the names and shapes of the published checkpoints.
#include "model/named_tensors.h"

#include "error.h"
#include "model/tensor.h"

namespace {

using Holds = NamedTensor::Holds;

class Table {
  public:
    void vector(const std::string& name, std::vector<Vector*> parts) {
        int64_t n = 0;
        for (const Vector* part : parts) n += part->n;
        tensors_.push_back({Holds::kVectors, name, {n}, std::move(parts), {}, nullptr});
    }
    // An (E, n) table of biases, which is one vector here.
    void expert_bias(const std::string& name, Vector* bias, int64_t n_experts) {
        tensors_.push_back({Holds::kVectors, name, {n_experts, bias->n / n_experts}, {bias}, {}, nullptr});
    }
    void matrix(const std::string& name, std::vector<Matrix*> parts) {
        int64_t n_out = 0;
        for (const Matrix* part : parts) n_out += part->n_out;
        const int64_t n_in = parts[0]->n_in;
        tensors_.push_back({Holds::kMatrices, name, {n_out, n_in}, {}, std::move(parts), nullptr});
    }
    void dense_experts(const std::string& name, ExpertMatrices* w) {
        tensors_.push_back({Holds::kExperts, name, {w->n_experts, w->first.n_in, w->first.n_out}, {}, {}, w});
    }
    void mxfp4_experts(const std::string& blocks, const std::string& scales, ExpertMatrices* w) {
        const int64_t n_blocks = w->first.n_in / kMxBlock;
        const std::vector<int64_t> shape = {w->n_experts, w->first.n_out, n_blocks};
        tensors_.push_back({Holds::kBlocks, blocks, {shape[0], shape[1], n_blocks, kMxBlockBytes}, {}, {}, w});
        tensors_.push_back({Holds::kScales, scales, shape, {}, {}, w});
    }
    std::vector<NamedTensor> take() { return std::move(tensors_); }

  private:
    std::vector<NamedTensor> tensors_;
};

}  // namespace

Weights shaped_weights(const Config& c) {
    const auto vector = [](int64_t n) { return Vector{DType::kBF16, n, nullptr}; };
    const auto matrix = [](int64_t n_out, int64_t n_in) {
        return Matrix{DType::kBF16, false, n_out, n_in, nullptr, nullptr};
    };
    const int64_t vocab = c.vocab_size, dim = c.hidden_dim, n_experts = c.n_experts, ffn = c.intermediate_dim;
    const int64_t q_dim = int64_t(c.n_attn_heads) * c.head_dim, kv_dim = int64_t(c.n_kv_heads) * c.head_dim;

    LayerWeights layer;
    layer.g_attn = layer.g_mlp = layer.b_o = vector(dim);
    layer.w_q = matrix(q_dim, dim);
    layer.w_k = layer.w_v = matrix(kv_dim, dim);
    layer.b_q = vector(q_dim);
    layer.b_k = layer.b_v = vector(kv_dim);
    layer.sinks = vector(c.n_attn_heads);
    layer.w_o = matrix(dim, q_dim);
    layer.w_router = matrix(n_experts, dim);
    layer.b_router = vector(n_experts);
    layer.w_up = {matrix(2 * ffn, dim), c.n_experts};
    layer.b_up = vector(n_experts * 2 * ffn);
    layer.w_down = {matrix(dim, ffn), c.n_experts};
    layer.b_down = vector(n_experts * dim);
    return {matrix(vocab, dim), std::vector<LayerWeights>(size_t(c.n_layers), layer), vector(dim), matrix(vocab, dim)};
}

std::vector<NamedTensor> huggingface_tensors(const Config& c, Weights& w, const TensorOptions& options) {
    Table table;
    table.matrix("model.embed_tokens.weight", {&w.embed});
    for (int l = 0; l < c.n_layers; l++) {
        LayerWeights& layer = w.layers[size_t(l)];
        const std::string prefix = fmt::format("model.layers.{}.", l);
        const auto projection = [&](const char* name, Matrix* matrix, Vector* bias) {
            table.matrix(prefix + name + ".weight", {matrix});
            if (options.attention_bias) table.vector(prefix + name + ".bias", {bias});
        };
        const auto experts = [&](const char* name, ExpertMatrices* matrices, Vector* bias) {
            const std::string full = prefix + "mlp.experts." + name;
            if (options.mxfp4)
                table.mxfp4_experts(full + "_blocks", full + "_scales", matrices);
            else
                table.dense_experts(full, matrices);
            table.expert_bias(full + "_bias", bias, c.n_experts);
        };
        table.vector(prefix + "input_layernorm.weight", {&layer.g_attn});
        projection("self_attn.q_proj", &layer.w_q, &layer.b_q);
        projection("self_attn.k_proj", &layer.w_k, &layer.b_k);
        projection("self_attn.v_proj", &layer.w_v, &layer.b_v);
        projection("self_attn.o_proj", &layer.w_o, &layer.b_o);
        table.vector(prefix + "self_attn.sinks", {&layer.sinks});
        table.vector(prefix + "post_attention_layernorm.weight", {&layer.g_mlp});
        table.matrix(prefix + "mlp.router.weight", {&layer.w_router});
        table.vector(prefix + "mlp.router.bias", {&layer.b_router});
        experts("gate_up_proj", &layer.w_up, &layer.b_up);
        experts("down_proj", &layer.w_down, &layer.b_down);
    }
    table.vector("model.norm.weight", {&w.g_final});
    if (!options.tied_embeddings) table.matrix("lm_head.weight", {&w.unembed});
    return table.take();
}

std::vector<NamedTensor> original_tensors(const Config& c, Weights& w) {
    Table table;
    table.matrix("embedding.weight", {&w.embed});
    for (int l = 0; l < c.n_layers; l++) {
        LayerWeights& layer = w.layers[size_t(l)];
        const std::string attn = fmt::format("block.{}.attn.", l), mlp = fmt::format("block.{}.mlp.", l);
        table.vector(attn + "norm.scale", {&layer.g_attn});
        table.matrix(attn + "qkv.weight", {&layer.w_q, &layer.w_k, &layer.w_v});
        table.vector(attn + "qkv.bias", {&layer.b_q, &layer.b_k, &layer.b_v});
        table.vector(attn + "sinks", {&layer.sinks});
        table.matrix(attn + "out.weight", {&layer.w_o});
        table.vector(attn + "out.bias", {&layer.b_o});
        table.vector(mlp + "norm.scale", {&layer.g_mlp});
        table.matrix(mlp + "gate.weight", {&layer.w_router});
        table.vector(mlp + "gate.bias", {&layer.b_router});
        table.mxfp4_experts(mlp + "mlp1_weight.blocks", mlp + "mlp1_weight.scales", &layer.w_up);
        table.expert_bias(mlp + "mlp1_bias", &layer.b_up, c.n_experts);
        table.mxfp4_experts(mlp + "mlp2_weight.blocks", mlp + "mlp2_weight.scales", &layer.w_down);
        table.expert_bias(mlp + "mlp2_bias", &layer.b_down, c.n_experts);
    }
    table.vector("norm.scale", {&w.g_final});
    table.matrix("unembedding.weight", {&w.unembed});
    return table.take();
}
