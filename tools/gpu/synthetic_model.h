// synthetic_model.h: models of gpt-oss's shapes without a checkpoint. All tensors are views of a few buffers in memory,
// so that 120b takes 2.3 GB here (on the device as much as ever); it computes finite nonsense. Views begin at different
// places: with the same weights in every layer all tokens would come to the same experts.
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "model.h"

class SyntheticModel {
  public:
    explicit SyntheticModel(const Config& config) {
        model_.gpt_oss().config = config;
        const Config& c = model_.gpt_oss().config;
        const int64_t d = c.hidden_dim, f = c.intermediate_dim, e = c.n_experts, p = c.head_dim;
        const int64_t heads = c.n_attn_heads * p, kv = c.n_kv_heads * p;
        fill_noise(noise_, std::max({c.vocab_size * d, heads * d, e * d, e * 2 * f}));
        for (bf16& v : noise_) v.bits = uint16_t((v.bits & 0x80ff) | 0x3c00);  // ± 2^-7 to 2^-5
        fill_noise(codes_, e * 2 * f * d / 2);
        ones_.assign(size_t(d), to_bf16(1));
        scales_.assign(size_t(e * 2 * f * (std::max(d, f) / 32)), 120);  // 2^-7

        const Vector ones = {DType::kBF16, d, ones_.data()};
        for (int l = 0; l < c.n_layers; l++) {
            LayerWeights w;
            w.g_attn = w.g_mlp = ones;
            w.w_q = matrix(heads, d);
            w.w_k = matrix(kv, d);
            w.w_v = matrix(kv, d);
            w.b_q = vector(heads);
            w.b_k = vector(kv);
            w.b_v = vector(kv);
            w.sinks = vector(c.n_attn_heads);
            w.w_o = matrix(d, heads);
            w.b_o = vector(d);
            w.w_router = matrix(e, d);
            w.b_router = vector(e);
            w.w_up = {mxfp4(2 * f, d), c.n_experts};
            w.b_up = vector(e * 2 * f);
            w.w_down = {mxfp4(d, f), c.n_experts};
            w.b_down = vector(e * d);
            model_.gpt_oss().weights.layers.push_back(w);
        }
        model_.gpt_oss().weights.embed = matrix(c.vocab_size, d);
        model_.gpt_oss().weights.unembed = matrix(c.vocab_size, d);
        model_.gpt_oss().weights.g_final = ones;
    }
    SyntheticModel(const SyntheticModel&) = delete;
    SyntheticModel& operator=(const SyntheticModel&) = delete;

    const Model& model() const { return model_; }

  private:
    // Random bits for views of n elements, repeated after a prime number of them, so that no two rows are the same.
    template <class T>
    static void fill_noise(std::vector<T>& noise, int64_t n) {
        noise.resize(size_t(n + kPlaces));
        const size_t n_own = std::min<size_t>(noise.size(), 15485863);
        uint64_t state = 88172645463325252u;
        for (size_t i = 0; i < n_own; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            std::memcpy(&noise[i], &state, sizeof(T));
        }
        for (size_t i = n_own; i < noise.size(); i++) noise[i] = noise[i - n_own];
    }
    // The next view's place: some steps of 64 elements on, all of them different until they come round.
    int64_t place() {
        place_ = (place_ + 64 * 3571) % kPlaces;
        return place_;
    }
    Vector vector(int64_t n) { return {DType::kBF16, n, noise_.data() + place()}; }
    Matrix matrix(int64_t n_out, int64_t n_in) {
        return {DType::kBF16, false, n_out, n_in, noise_.data() + place(), nullptr};
    }
    Matrix mxfp4(int64_t n_out, int64_t n_in) {
        return {DType::kMXFP4, false, n_out, n_in, codes_.data() + place(), scales_.data()};
    }

    static constexpr int64_t kPlaces = 1 << 20;
    int64_t place_ = 0;

    std::vector<bf16> noise_, ones_;
    std::vector<uint8_t> codes_, scales_;
    Model model_;
};
