// gpt_oss_forward.cpp: gpt-oss as a list of launches; src/cpu/reference.cpp says what they compute together.
#include <algorithm>
#include <numeric>

#include "gpu/architecture.h"
#include "gpu/gpt_oss_weights.h"
#include "gpu/ops.h"

namespace {

// Bytes of the experts that are read: at most as many experts as there are choices. If tokens agree, there are fewer.
int64_t expert_bytes(const PackedMatrix& w, int n_slots) {
    const int64_t scales = w.mxfp4 ? packed_scale_bytes(w.n_out, w.n_in) : 0;
    return std::min(n_slots, w.n_experts) * (packed_tile_bytes(w.mxfp4, w.n_out, w.n_in) + scales);
}

// Device buffers for up to a number of tokens.
struct ExpertBuffers {
    int* expert = nullptr;    // (T, A)
    float* weight = nullptr;  // (T, A)
    ExpertTiles tiles;
    ExpertTiles one_token;  // what sorting would give for one token, whose experts are in order already
    bf16* act = nullptr;    // (T · A, Fp) in expert order
    float* down = nullptr;  // (T, A, D)
};

ExpertBuffers lay_out_experts(const Config& config, int max_tokens, Layout& layout) {
    const int64_t slots = int64_t(max_tokens) * config.experts_per_token;
    const int64_t n_tiles = max_expert_tiles(int(slots), config.n_experts, 16);
    ExpertBuffers b;
    b.expert = layout.take<int>(slots);
    b.weight = layout.take<float>(slots);
    b.tiles.n_tiles = layout.take<int>(1);
    b.tiles.expert = layout.take<int>(n_tiles);
    b.tiles.first = layout.take<int>(n_tiles);
    b.tiles.n_rows = layout.take<int>(n_tiles);
    b.tiles.slot = layout.take<int>(slots);
    b.one_token = {layout.take<int>(1), b.expert, layout.take<int>(config.experts_per_token),
                   layout.take<int>(config.experts_per_token), layout.take<int>(config.experts_per_token)};
    b.act = layout.take<bf16>(slots * round_up(config.intermediate_dim, kDepthStep));
    b.down = layout.take<float>(slots * config.hidden_dim);
    return b;
}

// Fills in the tiles of one token, which never change.
void fill_one_token(const Config& config, const ExpertTiles& one_token, gpu::Stream stream) {
    const int n = config.experts_per_token;
    std::vector<int> ascending(static_cast<size_t>(n));
    std::iota(ascending.begin(), ascending.end(), 0);
    const std::vector<int> ones(size_t(n), 1);
    const auto send = [&](int* to, const int* from, int count) {
        gpu::copy_to_device(to, from, count * int64_t(sizeof(int)), stream);
    };
    send(one_token.n_tiles, &n, 1);
    send(one_token.first, ascending.data(), n);
    send(one_token.slot, ascending.data(), n);
    send(one_token.n_rows, ones.data(), n);
    gpu::synchronize(stream);
}

class GptOssForward : public Forward {
  public:
    // config: of the span alone.
    GptOssForward(const Config& config, const GptOss& model, const ForwardPlace& place)
        : Forward(config, config.hidden_dim, place),
          config_(config),
          model_(load_gpt_oss(model, place.span, place.weight_bytes)),
          experts_(lay_out_experts(config, place.max_tokens, layout_)) {
        fill_one_token(config, experts_.one_token, stream_);
    }

    void layers(const StepView& step) override;
    void logits(const StepView& step, int begin, int n) override;

  private:
    Work norm_work(int n_rows, bool adds_experts) const;
    void attention_block(const StepView& step, int l);
    void expert_block(const StepView& step, const GptOssDeviceLayer& w);

    const Config config_;
    const GptOssDeviceModel model_;
    const ExpertBuffers experts_;
};

// Reads x, writes h and, if it adds the experts' results, reads those and writes x.
Work GptOssForward::norm_work(int n_rows, bool adds_experts) const {
    const int64_t elements = int64_t(n_rows) * config_.hidden_dim;
    return {0, elements * (4 + 2 + (adds_experts ? 4 + 4 * config_.experts_per_token : 0)), 0};
}

void GptOssForward::layers(const StepView& step) {
    if (span_.embeds) embed_tokens(step, model_.embed, nullptr);
    for (int l = 0; l < config_.n_layers; l++) {
        attention_block(step, l);
        expert_block(step, model_.layers[size_t(l)]);
    }
    if (span_.samples) return;
    timer_.run(kNorm, norm_work(step.tokens.n, true), stream_, [&] {  // adds to x what is needed; h is not used
        rmsnorm(buffers_.h, buffers_.x, model_.layers.back().g_mlp, experts_.down, experts_.weight, step.tokens.n,
                config_.hidden_dim, config_.experts_per_token, config_.norm_eps, stream_);
    });
}

void GptOssForward::attention_block(const StepView& step, int l) {
    const GptOssDeviceLayer& w = model_.layers[size_t(l)];
    const KvLayer& kv = kv_.layers[size_t(l)];
    const Tokens& tokens = step.tokens;
    const int heads_dim = config_.n_attn_heads * config_.head_dim, kv_dim = config_.n_kv_heads * config_.head_dim;
    timer_.run(kNorm, norm_work(tokens.n, l > 0), stream_, [&] {
        rmsnorm({buffers_.h, dense_order(tokens.n)}, buffers_.x, w.g_attn, l > 0 ? experts_.down : nullptr,
                l > 0 ? experts_.weight : nullptr, tokens.n, config_.hidden_dim, config_.experts_per_token,
                config_.norm_eps, stream_);
    });
    const int64_t qkv_bytes = dense_bytes(w.qkv.q) + dense_bytes(w.qkv.k) + dense_bytes(w.qkv.v);
    timer_.run(kQkv, product_work(qkv_bytes, tokens.n, heads_dim + 2 * kv_dim, config_.hidden_dim, 2), stream_,
               [&] { qkv(buffers_.q, kv, buffers_.h, w.qkv, model_.cos_sin, tokens, config_.head_dim, stream_); });
    attend(step, l, w.sinks);
    add_attention(step, w.o);
}

void GptOssForward::expert_block(const StepView& step, const GptOssDeviceLayer& w) {
    const int n_tok = step.tokens.n, n_slots = n_tok * config_.experts_per_token;
    const int tile_rows = expert_tile_rows(n_slots, config_.n_experts);
    const int64_t router_bytes = int64_t(config_.n_experts) * config_.hidden_dim * (w.router_is_f32 ? 4 : 2);
    Work routed = norm_work(n_tok, false);
    routed.bytes = router_bytes;  // f32 products: not for matrix cores
    timer_.run(kRouter, routed, stream_, [&] {
        router({buffers_.h, expert_order(tile_rows)}, experts_.expert, experts_.weight, buffers_.x, w.g_mlp, w.w_router,
               w.router_is_f32, w.b_router, n_tok, config_.hidden_dim, config_.n_experts, config_.experts_per_token,
               config_.norm_eps, stream_);
    });
    const ExpertTiles& tiles = n_tok == 1 ? experts_.one_token : experts_.tiles;
    if (n_tok > 1)
        timer_.run(kSort, {0, 8 * int64_t(n_slots), 0}, stream_,
                   [&] { moe_sort(tiles, experts_.expert, n_slots, config_.n_experts, tile_rows, stream_); });
    // A row's inputs are read once for all its experts. Two results become one that is written.
    Work up = product_work(expert_bytes(w.up, n_slots), n_slots, w.up.n_out, w.up.n_in, 1);
    up.activations -= 2 * int64_t(n_slots - n_tok) * w.up.n_in;
    timer_.run(kMoeUp, up, stream_, [&] {
        moe_up(experts_.act, buffers_.h, w.up, tiles, n_slots, tile_rows, config_.experts_per_token,
               config_.swiglu_limit, config_.swiglu_alpha, stream_);
    });
    timer_.run(kMoeDown, product_work(expert_bytes(w.down, n_slots), n_slots, w.down.n_out, w.down.n_in, 4), stream_,
               [&] { moe_down(experts_.down, experts_.act, w.down, tiles, n_slots, tile_rows, stream_); });
}

void GptOssForward::logits(const StepView& step, int begin, int n) {
    timer_.run(kNorm, norm_work(n, true), stream_, [&] {
        rmsnorm_rows({buffers_.rows_h, dense_order(n)}, buffers_.x, step.row_token + begin, model_.g_final,
                     experts_.down, experts_.weight, n, config_.hidden_dim, config_.experts_per_token, config_.norm_eps,
                     stream_);
    });
    multiply_head(model_.unembed, n);
}

class GptOssArchitecture : public Architecture {
  public:
    explicit GptOssArchitecture(const GptOss& model) : model_(model) {}
    const CommonConfig& config() const override { return model_.config; }
    ModelSizes sizes() const override { return gpt_oss_sizes(model_.config, gpt_oss_weight_bytes(model_)); }
    std::vector<const char*> op_names() const override { return gpt_oss_op_names(); }
    std::unique_ptr<Forward> make_forward(const ForwardPlace& place) const override {
        return std::make_unique<GptOssForward>(config_of(model_.config, place.span), model_, place);
    }

  private:
    const GptOss& model_;
};

}  // namespace

ModelSizes gpt_oss_sizes(const Config& config, const WeightBytes& weights) {
    const auto workspace = [config](const Span& span, int max_tokens) {
        Layout layout;
        lay_out_buffers(config, config.hidden_dim, span, max_tokens, layout);
        lay_out_experts(config, max_tokens, layout);
        return layout.used();
    };
    return {config, config.hidden_dim * int64_t(sizeof(float)), weights, workspace};
}

std::unique_ptr<Architecture> make_gpt_oss(const GptOss& model) {
    const Config& c = model.config;
    need(c.head_dim == 32 || c.head_dim == 64 || c.head_dim == 128, "head_dim", "32, 64 or 128", c.head_dim);
    need(c.n_attn_heads / c.n_kv_heads <= 16, "query heads a KV head", "at most 16", c.n_attn_heads / c.n_kv_heads);
    need(c.hidden_dim % 32 == 0 && c.hidden_dim <= 8192, "hidden size", "a multiple of 32 up to 8192", c.hidden_dim);
    need(c.intermediate_dim % 32 == 0, "intermediate size", "a multiple of 32", c.intermediate_dim);
    need(c.vocab_size < kMostSampledVocab, "vocab_size", "less than 524288", c.vocab_size);
    need(c.n_experts <= 256, "experts", "at most 256", c.n_experts);
    need(c.experts_per_token <= 8, "experts a token", "at most 8", c.experts_per_token);
    return std::make_unique<GptOssArchitecture>(model);
}
