// synthetic_model.h: models of gpt-oss's shapes without a checkpoint. All tensors are views of a few buffers in memory, so
// that 120b takes 1.3 GB here, and on the device as much as ever; it computes nonsense that is finite and spreads tokens over
// experts.
#pragma once
#include <algorithm>
#include <vector>

#include "model.h"

// Of 20b and 120b alike but for experts and layers.
inline Config gpt_oss_config(bool large) {
    Config c;
    c.vocab_size = 201088;
    c.hidden_dim = c.intermediate_dim = 2880;
    c.n_layers = large ? 36 : 24;
    c.n_attn_heads = 64;
    c.n_kv_heads = 8;
    c.head_dim = 64;
    c.n_experts = large ? 128 : 32;
    c.experts_per_token = 4;
    c.sliding_window = 128;
    c.max_context = 131072;
    c.rope_factor = 32;
    return c;
}

class SyntheticModel {
  public:
    explicit SyntheticModel(const Config& config) {
        model_.config = config;
        Config& c = model_.config;
        c.layer_kind.clear();
        for (int l = 0; l < c.n_layers; l++)
            c.layer_kind.push_back(l % 2 == 0 ? LayerKind::kSliding : LayerKind::kFull);
        const int64_t d = c.hidden_dim, f = c.intermediate_dim, e = c.n_experts, p = c.head_dim;
        const int64_t heads = c.n_attn_heads * p, kv = c.n_kv_heads * p;
        const int64_t most = std::max({c.vocab_size * d, heads * d, e * d, e * 2 * f, e * 2 * f * d / 4});
        noise_.resize(size_t(most));
        fill_noise();
        ones_.assign(size_t(d), to_bf16(1));
        scales_.assign(size_t(e * 2 * f * (std::max(d, f) / 32)), 120);  // 2^-7

        LayerWeights w;
        w.g_attn = w.g_mlp = {DType::kBF16, d, ones_.data()};
        w.w_q = matrix(heads, d);
        w.w_k = w.w_v = matrix(kv, d);
        w.b_q = vector(heads);
        w.b_k = w.b_v = vector(kv);
        w.sinks = vector(c.n_attn_heads);
        w.w_o = matrix(d, heads);
        w.b_o = vector(d);
        w.w_router = matrix(e, d);
        w.b_router = vector(e);
        w.w_up = {mxfp4(2 * f, d), c.n_experts};
        w.b_up = vector(e * 2 * f);
        w.w_down = {mxfp4(d, f), c.n_experts};
        w.b_down = vector(e * d);
        model_.weights.layers.assign(size_t(c.n_layers), w);
        model_.weights.embed = model_.weights.unembed = matrix(c.vocab_size, d);
        model_.weights.g_final = w.g_attn;
    }
    SyntheticModel(const SyntheticModel&) = delete;
    SyntheticModel& operator=(const SyntheticModel&) = delete;

    const Model& model() const { return model_; }

  private:
    // As bf16 ± 2^-7 to 2^-5, as codes anything; repeated after a prime number of elements, so that no two rows are the same.
    void fill_noise() {
        const size_t n_own = std::min<size_t>(noise_.size(), 15485863);
        uint64_t state = 88172645463325252u;
        for (size_t i = 0; i < n_own; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            noise_[i].bits = uint16_t((state & 0x80ff) | 0x3c00);
        }
        for (size_t i = n_own; i < noise_.size(); i++) noise_[i] = noise_[i - n_own];
    }
    Vector vector(int64_t n) const { return {DType::kBF16, n, noise_.data()}; }
    Matrix matrix(int64_t n_out, int64_t n_in) const {
        return {DType::kBF16, false, n_out, n_in, noise_.data(), nullptr};
    }
    Matrix mxfp4(int64_t n_out, int64_t n_in) const {
        return {DType::kMXFP4, false, n_out, n_in, noise_.data(), scales_.data()};
    }

    std::vector<bf16> noise_, ones_;
    std::vector<uint8_t> scales_;
    Model model_;
};
