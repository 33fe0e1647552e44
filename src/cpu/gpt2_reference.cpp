// gpt2_reference.cpp: the forward pass of GPT-2, to be read from top to bottom. See model.h for the shape letters.
//
// Every weight is widened to f32 as it is used, and every sum is plain: results differ from exact arithmetic only by
// f32 rounding. Other than gpt-oss, GPT-2 has norms that subtract the mean, a table of positions in place of rotation,
// as many key heads as query heads, one dense block in place of experts, and the embedding as its head.
#include <algorithm>
#include <cmath>

#include "cpu/reference.h"

namespace {

using Floats = std::vector<float>;

// (x - mean) / sqrt(variance + eps) · gain + bias. (D) → (D)
Floats layernorm(const Floats& x, const LayerNorm& norm, float eps) {
    const auto n = float(x.size());
    float mean = 0, variance = 0;
    for (const float v : x) mean += v;
    mean /= n;
    for (const float v : x) variance += (v - mean) * (v - mean);
    variance /= n;
    const float scale = 1.0f / std::sqrt(variance + eps);
    Floats y(x.size());
    for (size_t i = 0; i < x.size(); i++) y[i] = (x[i] - mean) * scale * norm.gain[int64_t(i)] + norm.bias[int64_t(i)];
    return y;
}

// The form with tanh, with which GPT-2 was trained (Hendrycks and Gimpel, arXiv 1606.08415, §2).
float gelu(float u) {
    constexpr float kRootTwoOverPi = 0.7978845608028654f;
    return 0.5f * u * (1.0f + std::tanh(kRootTwoOverPi * (u + 0.044715f * u * u * u)));
}

class Gpt2Reference : public Reference {
  public:
    Gpt2Reference(const Gpt2& model, int max_sequences, int64_t max_positions)
        : Reference(model.config, max_sequences, max_positions), config_(model.config), weights_(model.weights) {}

  private:
    // Softmax attention over this token and those before it. x (D) normed → (D)
    Floats attention(const Gpt2Layer& w, Cache& cache, const Floats& x) const {
        const Floats qkv = linear(w.w_qkv, x, w.b_qkv);  // (3, H, P)
        const size_t dim = x.size(), head_dim = size_t(config_.head_dim);
        cache.k.insert(cache.k.end(), qkv.begin() + long(dim), qkv.begin() + long(2 * dim));
        cache.v.insert(cache.v.end(), qkv.begin() + long(2 * dim), qkv.end());
        const size_t n_keys = cache.k.size() / dim;

        Floats out(dim);
#pragma omp parallel for
        for (int h = 0; h < config_.n_attn_heads; h++) {
            const size_t head = size_t(h) * head_dim;
            Floats score(n_keys);
            for (size_t j = 0; j < n_keys; j++) {
                const float* key = &cache.k[j * dim + head];
                for (size_t i = 0; i < head_dim; i++) score[j] += qkv[head + i] * key[i];
                score[j] /= std::sqrt(float(head_dim));
            }
            const float largest = *std::max_element(score.begin(), score.end());
            float sum = 0;
            for (float& s : score) sum += s = std::exp(s - largest);
            for (size_t j = 0; j < n_keys; j++) {
                const float* value = &cache.v[j * dim + head];
                for (size_t i = 0; i < head_dim; i++) out[head + i] += score[j] / sum * value[i];
            }
        }
        return linear(w.w_o, out, w.b_o);
    }

    // x (D) normed → (D)
    Floats mlp(const Gpt2Layer& w, const Floats& x) const {
        Floats up = linear(w.w_up, x, w.b_up);  // (F)
        for (float& u : up) u = gelu(u);
        return linear(w.w_down, up, w.b_down);
    }

    Floats forward(Sequence& sequence, int token, int pos) const override {
        Floats x(size_t(config_.hidden_dim)), position(x.size());  // x: the residual stream
        const auto add = [&](const Floats& y) {
            for (size_t i = 0; i < x.size(); i++) x[i] += y[i];
        };
        weights_.embed.row(token, x.data());
        weights_.positions.row(pos, position.data());
        add(position);
        for (size_t l = 0; l < weights_.layers.size(); l++) {
            const Gpt2Layer& layer = weights_.layers[l];
            add(attention(layer, sequence[l], layernorm(x, layer.norm_attn, config_.norm_eps)));
            add(mlp(layer, layernorm(x, layer.norm_mlp, config_.norm_eps)));
        }
        return linear(weights_.embed, layernorm(x, weights_.norm_final, config_.norm_eps));
    }

    const Gpt2Config& config_;
    const Gpt2Weights& weights_;
};

}  // namespace

std::unique_ptr<Replica> make_gpt2_reference(const Gpt2& model, int max_sequences, int64_t max_positions) {
    return std::make_unique<Gpt2Reference>(model, max_sequences, max_positions);
}
