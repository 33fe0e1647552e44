// reference.cpp: the forward pass of gpt-oss, to be read from top to bottom. See model.h for the shape letters.
//
// Every weight is widened to f32 as it is used, and every sum is plain: results differ from exact arithmetic only by
// f32 rounding. Nothing here is meant to be fast; OpenMP is one line a loop.
#include "cpu/reference.h"

#include <algorithm>
#include <cmath>

namespace {

using Floats = std::vector<float>;

// x / sqrt(mean(x²) + eps) · g. (D) → (D)
Floats rmsnorm(const Floats& x, const Vector& g, float eps) {
    float squares = 0;
    for (const float v : x) squares += v * v;
    const float scale = 1.0f / std::sqrt(squares / float(x.size()) + eps);
    Floats y(x.size());
    for (size_t i = 0; i < x.size(); i++) y[i] = x[i] * scale * g[int64_t(i)];
    return y;
}

// Rotates every head of x (heads, P) in place. Element i of a head pairs with element i + P/2 ("half-split").
void rotate(Floats& x, const Floats& cos, const Floats& sin) {
    const size_t half = cos.size();
    for (size_t head = 0; head < x.size(); head += 2 * half)
        for (size_t i = 0; i < half; i++) {
            const float a = x[head + i], b = x[head + half + i];
            x[head + i] = a * cos[i] - b * sin[i];
            x[head + half + i] = b * cos[i] + a * sin[i];
        }
}

// The gate is clamped from above only. The linear half is clamped on both sides, and 1 is added to it.
float swiglu(float gate, float linear_half, const Config& config) {
    gate = std::min(gate, config.swiglu_limit);
    linear_half = std::clamp(linear_half, -config.swiglu_limit, config.swiglu_limit);
    return gate / (1.0f + std::exp(-config.swiglu_alpha * gate)) * (linear_half + 1.0f);
}

class GptOssReference : public Reference {
  public:
    GptOssReference(const GptOss& model, int max_sequences, int64_t max_positions)
        : Reference(model.config, max_sequences, max_positions),
          config_(model.config),
          weights_(model.weights),
          inv_freq_(rope_inv_freq(model.config)) {}

  private:
    Floats forward(Sequence& sequence, int token, int pos) const override;
    Floats attention(const LayerWeights& w, LayerKind kind, Cache& cache, const Floats& x, int pos) const;
    Floats experts(const LayerWeights& w, const Floats& x) const;

    const Config& config_;
    const Weights& weights_;
    const Floats inv_freq_;  // (P/2)
};

// Softmax attention over the visible keys of this token, with a learned logit a head, the sink, in the denominator.
// x (D) normed → (D)
Floats GptOssReference::attention(const LayerWeights& w, LayerKind kind, Cache& cache, const Floats& x, int pos) const {
    const Config& c = config_;
    Floats q = linear(w.w_q, x, w.b_q);  // (H, P)
    Floats k = linear(w.w_k, x, w.b_k);  // (G, P)
    const Floats v = linear(w.w_v, x, w.b_v);

    Floats cos(inv_freq_.size()), sin(inv_freq_.size());
    rope_cos_sin(c, inv_freq_, pos, cos.data(), sin.data());
    rotate(q, cos, sin);
    rotate(k, cos, sin);
    cache.k.insert(cache.k.end(), k.begin(), k.end());
    cache.v.insert(cache.v.end(), v.begin(), v.end());

    const int first = kind == LayerKind::kSliding ? std::max(0, pos - c.sliding_window + 1) : 0;
    const int heads_per_group = c.n_attn_heads / c.n_kv_heads;
    const size_t head_dim = size_t(c.head_dim), kv_dim = size_t(c.n_kv_heads) * head_dim;
    Floats out(q.size());
#pragma omp parallel for
    for (int h = 0; h < c.n_attn_heads; h++) {
        const float* query = &q[size_t(h) * head_dim];
        const size_t group = size_t(h / heads_per_group) * head_dim;
        const float sink = w.sinks[h];

        Floats score;  // (visible keys)
        float largest = sink;
        for (int j = first; j <= pos; j++) {
            const float* key = &cache.k[size_t(j) * kv_dim + group];
            float s = 0;
            for (size_t i = 0; i < head_dim; i++) s += query[i] * key[i];
            score.push_back(s / std::sqrt(float(head_dim)));
            largest = std::max(largest, score.back());
        }
        float sum = std::exp(sink - largest);
        for (float& s : score) {
            s = std::exp(s - largest);
            sum += s;
        }
        for (int j = first; j <= pos; j++) {
            const float weight = score[size_t(j - first)] / sum;
            const float* value = &cache.v[size_t(j) * kv_dim + group];
            for (size_t i = 0; i < head_dim; i++) out[size_t(h) * head_dim + i] += weight * value[i];
        }
    }
    return linear(w.w_o, out, w.b_o);
}

// The A experts with the largest router logits, weighted by the softmax over those logits. x (D) normed → (D)
Floats GptOssReference::experts(const LayerWeights& w, const Floats& x) const {
    const Config& c = config_;
    const Floats logits = linear(w.w_router, x, w.b_router);  // (E)

    std::vector<int> order(logits.size());
    for (size_t e = 0; e < order.size(); e++) order[e] = int(e);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[size_t(a)] > logits[size_t(b)]; });
    order.resize(size_t(c.experts_per_token));

    const float largest = logits[size_t(order[0])];
    float sum = 0;
    for (const int e : order) sum += std::exp(logits[size_t(e)] - largest);
    std::sort(order.begin(), order.end());  // experts' results are added in order of id
    Floats out(x.size());
    for (const int e : order) {
        const float weight = std::exp(logits[size_t(e)] - largest) / sum;
        const Floats up = linear(w.w_up[e], x, w.b_up, int64_t(e) * 2 * c.intermediate_dim);  // (2F)
        Floats act(size_t(c.intermediate_dim));
        for (size_t f = 0; f < act.size(); f++) act[f] = swiglu(up[2 * f], up[2 * f + 1], c);
        const Floats down = linear(w.w_down[e], act, w.b_down, int64_t(e) * c.hidden_dim);  // (D)
        for (size_t i = 0; i < out.size(); i++) out[i] += weight * down[i];
    }
    return out;
}

Floats GptOssReference::forward(Sequence& sequence, int token, int pos) const {
    const Config& c = config_;
    const Weights& w = weights_;

    Floats x(size_t(c.hidden_dim));  // the residual stream
    w.embed.row(token, x.data());
    const auto add = [&](const Floats& y) {
        for (size_t i = 0; i < x.size(); i++) x[i] += y[i];
    };
    for (size_t l = 0; l < w.layers.size(); l++) {
        const LayerWeights& layer = w.layers[l];
        add(attention(layer, c.layer_kind[l], sequence[l], rmsnorm(x, layer.g_attn, c.norm_eps), pos));
        add(experts(layer, rmsnorm(x, layer.g_mlp, c.norm_eps)));
    }
    return linear(w.unembed, rmsnorm(x, w.g_final, c.norm_eps));
}

}  // namespace

std::unique_ptr<Replica> make_reference(const Model& model, int max_sequences, int64_t max_positions) {
    if (model.is_gpt2()) return make_gpt2_reference(model.gpt2(), max_sequences, max_positions);
    return std::make_unique<GptOssReference>(model.gpt_oss(), max_sequences, max_positions);
}
