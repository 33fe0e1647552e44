// reference.cpp: the forward pass of gpt-oss, to be read from top to bottom. See model.h for the shape letters.
//
// Every weight is widened to f32 as it is used, and every sum is plain: results differ from exact arithmetic only by
// f32 rounding. Nothing here is meant to be fast; OpenMP is one line a loop.
#include "cpu/reference.h"

#include <algorithm>
#include <cmath>

#include "sampler.h"

namespace {

using Floats = std::vector<float>;

// y = W x + b. (n_out, n_in) · (n_in) + (n_out) → (n_out). `first_bias` is where b begins in a longer vector.
Floats linear(const Matrix& w, const Floats& x, const Vector& b = {}, int64_t first_bias = 0) {
    Floats y(size_t(w.n_out));
#pragma omp parallel
    {
        Floats row(x.size());
#pragma omp for
        for (int64_t o = 0; o < w.n_out; o++) {
            w.row(o, row.data());
            float sum = 0;
            for (size_t i = 0; i < x.size(); i++) sum += row[i] * x[i];
            y[size_t(o)] = sum + b[first_bias + o];
        }
    }
    return y;
}

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

// The gate is clamped above only; the linear half on both sides, and offset by one.
float swiglu(float gate, float linear_half, const Config& config) {
    gate = std::min(gate, config.swiglu_limit);
    linear_half = std::clamp(linear_half, -config.swiglu_limit, config.swiglu_limit);
    return gate / (1.0f + std::exp(-config.swiglu_alpha * gate)) * (linear_half + 1.0f);
}

}  // namespace

Reference::Reference(const Model& model, int max_sequences, int64_t max_positions)
    : model_(model), inv_freq_(rope_inv_freq(model.config)), sequences_(size_t(max_sequences)) {
    // Its caches just grow; it has pages only because the scheduler counts in them.
    constexpr int kChunk = 1;  // steps gain nothing from more, and a short one can be stopped sooner
    capacity_.max_sequences = max_sequences;
    capacity_.prefill_chunk = kChunk;
    capacity_.max_batch_tokens = max_sequences + kChunk;
    capacity_.n_pages = 2 * pages_for(max_positions) * max_sequences;
    capacity_.max_prefill_tokens_beside_decode = kChunk;
    capacity_.keeps_pages = false;
}

// Softmax attention over the visible keys of this token, with a learned logit a head, the sink, in the denominator.
// x (D) normed → (D)
Floats Reference::attention(const LayerWeights& w, LayerKind kind, Cache& cache, const Floats& x, int pos) const {
    const Config& c = model_.config;
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
Floats Reference::experts(const LayerWeights& w, const Floats& x) const {
    const Config& c = model_.config;
    const Floats logits = linear(w.w_router, x, w.b_router);  // (E)

    std::vector<int> order(logits.size());
    for (size_t e = 0; e < order.size(); e++) order[e] = int(e);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[size_t(a)] > logits[size_t(b)]; });
    order.resize(size_t(c.experts_per_token));

    const float largest = logits[size_t(order[0])];
    float sum = 0;
    for (const int e : order) sum += std::exp(logits[size_t(e)] - largest);
    std::sort(order.begin(), order.end());  // added in order of expert id
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

Floats Reference::forward(Sequence& sequence, int token, int pos) const {
    const Config& c = model_.config;
    const Weights& w = model_.weights;

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

void Reference::collect(StepResult& result) {
    const Batch& batch = *batch_;
    result.sampled.assign(batch.rows.size(), -1);
    size_t row = 0;  // rows are in the order of their tokens
    for (size_t t = 0; t < batch.tokens.size(); t++) {
        if (batch.unwanted && batch.unwanted()) return;
        const Batch::Token& token = batch.tokens[t];
        Sequence& sequence = sequences_[size_t(batch.seqs[size_t(token.seq)].slot)];
        if (token.pos == 0) sequence.assign(model_.weights.layers.size(), {});
        const Floats logits = forward(sequence, token.id, token.pos);
        for (; row < batch.rows.size() && batch.rows[row].token == int(t); row++) {
            const Batch::Row& r = batch.rows[row];
            if (r.want_logits) batch.on_logits(int(row), logits.data());
            if (r.sample)
                result.sampled[row] =
                    sample_token(logits.data(), model_.config.vocab_size, r.sampling, uint64_t(token.pos));
        }
    }
}
