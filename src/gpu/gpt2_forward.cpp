// gpt2_forward.cpp: GPT-2 as a list of launches; src/cpu/gpt2_reference.cpp says what they compute together. One token
// takes five launches a layer: each of the two norms is part of the product that follows it.
#include "gpu/architecture.h"
#include "gpu/gpt2_weights.h"
#include "gpu/ops.h"

namespace {

class Gpt2Forward : public Forward {
  public:
    // config: of the span alone.
    Gpt2Forward(const Gpt2Config& config, const Gpt2& model, const ForwardPlace& place)
        : Forward(config, config.hidden_dim, place),
          config_(config),
          model_(load_gpt2(model, place.span, place.weight_bytes)),
          act_(lay_out_act(config, place.max_tokens, layout_)) {}

    // (T, Fp)
    static bf16* lay_out_act(const Gpt2Config& config, int max_tokens, Layout& layout) {
        return layout.take<bf16>(int64_t(max_tokens) * round_up(config.intermediate_dim, kDepthStep));
    }

    void layers(const StepView& step) override {
        if (span_.embeds) embed_tokens(step, model_.embed, model_.positions);
        for (int l = 0; l < config_.n_layers; l++) {
            const Gpt2DeviceLayer& w = model_.layers[size_t(l)];
            project(step, l);
            attend(step, l, /*sinks=*/nullptr);
            add_attention(step, w.o);
            mlp(step, w);
        }
    }

    void logits(const StepView& step, int begin, int n) override {
        timer_.run(kNorm, norm_work(n), stream_, [&] {
            layernorm({buffers_.rows_h, dense_order(n)}, buffers_.x, step.row_token + begin, model_.norm_final, n,
                      stream_);
        });
        multiply_head(model_.unembed, n);
    }

  private:
    Work norm_work(int n_rows) const { return {0, int64_t(n_rows) * config_.hidden_dim * (4 + 2), 0}; }

    RowsToNorm normed_by(const LayerNormParams& norm) const { return {buffers_.x, norm, buffers_.h}; }

    void project(const StepView& step, int l) {
        const Gpt2DeviceLayer& w = model_.layers[size_t(l)];
        const int64_t bytes = dense_bytes(w.qkv.q) + dense_bytes(w.qkv.k) + dense_bytes(w.qkv.v);
        timer_.run(kQkv, product_work(bytes, step.tokens.n, 3 * config_.hidden_dim, config_.hidden_dim, 2), stream_,
                   [&] {
                       norm_qkv(buffers_.q, kv_.layers[size_t(l)], normed_by(w.norm_attn), w.qkv, step.tokens,
                                config_.head_dim, stream_);
                   });
    }

    void mlp(const StepView& step, const Gpt2DeviceLayer& w) {
        const int n = step.tokens.n;
        timer_.run(kUp, product_work(dense_bytes(w.up), n, w.up.n_out, w.up.n_in, 2), stream_, [&] {
            norm_gelu({act_, dense_order(n)}, normed_by(w.norm_mlp), w.up, n, stream_);
        });
        timer_.run(kDown, product_work(dense_bytes(w.down), n, w.down.n_out, w.down.n_in, 8), stream_,
                   [&] { gemm_residual(buffers_.x, act_, w.down, n, stream_); });
    }

    const Gpt2Config config_;
    const Gpt2DeviceModel model_;
    bf16* const act_;
};

class Gpt2Architecture : public Architecture {
  public:
    explicit Gpt2Architecture(const Gpt2& model) : model_(model) {}
    const CommonConfig& config() const override { return model_.config; }
    ModelSizes sizes() const override {
        const auto workspace = [config = model_.config](const Span& span, int max_tokens) {
            Layout layout;
            lay_out_buffers(config, config.hidden_dim, span, max_tokens, layout);
            Gpt2Forward::lay_out_act(config, max_tokens, layout);
            return layout.used();
        };
        return {model_.config, model_.config.hidden_dim * int64_t(sizeof(float)), gpt2_weight_bytes(model_), workspace};
    }
    std::vector<const char*> op_names() const override { return gpt2_op_names(); }
    std::unique_ptr<Forward> make_forward(const ForwardPlace& place) const override {
        return std::make_unique<Gpt2Forward>(config_of(model_.config, place.span), model_, place);
    }

  private:
    const Gpt2& model_;
};

}  // namespace

std::unique_ptr<Architecture> make_gpt2(const Gpt2& model) {
    const Gpt2Config& c = model.config;
    need(c.head_dim == 32 || c.head_dim == 64 || c.head_dim == 128, "head size", "32, 64 or 128", c.head_dim);
    need(c.hidden_dim % 32 == 0 && c.hidden_dim <= kMostNormedDim, "n_embd", "a multiple of 32 up to 4096",
         c.hidden_dim);
    need(c.vocab_size < kMostSampledVocab, "vocab_size", "less than 524288", c.vocab_size);
    need(c.intermediate_dim % 32 == 0, "n_inner", "a multiple of 32", c.intermediate_dim);
    return std::make_unique<Gpt2Architecture>(model);
}
