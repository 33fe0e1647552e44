// forward.cpp: the model as a list of launches; src/cpu/reference.cpp says what they compute together.
#include "gpu/forward.h"

#include <algorithm>
#include <numeric>

#include "gpu/ops.h"
#include "gpu/step_sizes.h"

namespace {

// Of experts, those that n_slots choices can be at most: what is read. Fewer are if tokens agree.
int64_t expert_bytes(const PackedMatrix& w, int n_slots) {
    const int64_t scales = w.mxfp4 ? packed_scale_bytes(w.n_out, w.n_in) : 0;
    return std::min(n_slots, w.n_experts) * (packed_tile_bytes(w.mxfp4, w.n_out, w.n_in) + scales);
}

int64_t dense_bytes(const PackedMatrix& w) {
    return packed_tile_bytes(false, w.n_out, w.n_in);
}

// bf16 rows in; out_bytes: of a result, read and written.
Work product_work(int64_t bytes, int64_t n_rows, int64_t n_out, int64_t n_in, int out_bytes) {
    return {bytes, n_rows * (2 * n_in + out_bytes * n_out), 2.0 * double(n_rows) * double(n_out) * double(n_in)};
}

Workspace lay_out(const Config& config, const Span& span, int max_tokens, Layout& layout) {
    const int64_t t = max_tokens, slots = t * config.experts_per_token;
    const int64_t padded_hidden = round_up(config.hidden_dim, kDepthStep);
    const int64_t heads = int64_t(config.n_attn_heads) * config.head_dim;
    const int64_t n_tiles = max_expert_tiles(int(slots), config.n_experts, 16);
    const int64_t rows = span.samples ? std::min(max_tokens, kLogitRowsAtOnce) : 0;
    const int max_spans = spans_of(config.max_context);
    Workspace w;
    w.x = layout.take<float>(t * config.hidden_dim);
    w.h = layout.take<bf16>(t * padded_hidden);
    w.q = layout.take<bf16>(t * heads);
    w.att = layout.take<bf16>(t * round_up(int(heads), kDepthStep));
    w.attention = layout.take<char>(attention_scratch_bytes(max_tokens, max_spans, config.n_kv_heads, config.head_dim));
    w.expert = layout.take<int>(slots);
    w.weight = layout.take<float>(slots);
    w.tiles.n_tiles = layout.take<int>(1);
    w.tiles.expert = layout.take<int>(n_tiles);
    w.tiles.first = layout.take<int>(n_tiles);
    w.tiles.n_rows = layout.take<int>(n_tiles);
    w.tiles.slot = layout.take<int>(slots);
    w.one_token = {layout.take<int>(1), w.expert, layout.take<int>(config.experts_per_token),
                   layout.take<int>(config.experts_per_token), layout.take<int>(config.experts_per_token)};
    w.act = layout.take<bf16>(slots * round_up(config.intermediate_dim, kDepthStep));
    w.down = layout.take<float>(slots * config.hidden_dim);
    w.rows_h = layout.take<bf16>(rows * padded_hidden);
    w.logits = layout.take<float>(rows * config.vocab_size);
    return w;
}

}  // namespace

Workspace lay_out_workspace(const Config& config, const Span& span, int max_tokens, char* base) {
    Layout layout(base);
    return lay_out(config, span, max_tokens, layout);
}

int64_t workspace_bytes(const Config& config, const Span& span, int max_tokens) {
    Layout layout;
    lay_out(config, span, max_tokens, layout);
    return layout.used();
}

int64_t residual_bytes(const Config& config, int n_tokens) {
    return int64_t(n_tokens) * config.hidden_dim * int64_t(sizeof(float));
}

void fill_workspace(const Config& config, const Workspace& workspace, gpu::Stream stream) {
    const int n = config.experts_per_token;
    std::vector<int> ascending(static_cast<size_t>(n));
    std::iota(ascending.begin(), ascending.end(), 0);
    const std::vector<int> ones(size_t(n), 1);
    const auto send = [&](int* to, const int* from, int count) {
        gpu::copy_to_device(to, from, count * int64_t(sizeof(int)), stream);
    };
    send(workspace.one_token.n_tiles, &n, 1);
    send(workspace.one_token.first, ascending.data(), n);
    send(workspace.one_token.slot, ascending.data(), n);
    send(workspace.one_token.n_rows, ones.data(), n);
    gpu::synchronize(stream);
}

// Reads x, writes h and, if it adds the experts' results, reads those and writes x.
Work Forward::norm_work(int n_rows, bool adds_experts) const {
    const int64_t elements = int64_t(n_rows) * config_.hidden_dim;
    return {0, elements * (4 + 2 + (adds_experts ? 4 + 4 * config_.experts_per_token : 0)), 0};
}

void Forward::layers(const StepView& step) {
    const int64_t embedded = int64_t(step.tokens.n) * config_.hidden_dim;
    if (span_.embeds)
        timer_.run(kEmbed, {2 * embedded, 4 * embedded, 0}, stream_,
                   [&] { embed(work_.x, model_.embed, nullptr, step.tokens, config_.hidden_dim, stream_); });
    for (int l = 0; l < config_.n_layers; l++) {
        attention_block(step, l);
        expert_block(step, model_.layers[size_t(l)]);
    }
    if (span_.samples) return;
    timer_.run(kNorm, norm_work(step.tokens.n, true), stream_, [&] {  // for what it adds to x; nobody reads h
        rmsnorm(work_.h, work_.x, model_.layers.back().g_mlp, work_.down, work_.weight, step.tokens.n,
                config_.hidden_dim, config_.experts_per_token, config_.norm_eps, stream_);
    });
}

void Forward::attention_block(const StepView& step, int l) {
    const DeviceLayer& w = model_.layers[size_t(l)];
    const KvLayer& kv = kv_.layers[size_t(l)];
    const Tokens& tokens = step.tokens;
    const int heads_dim = config_.n_attn_heads * config_.head_dim, kv_dim = config_.n_kv_heads * config_.head_dim;
    timer_.run(kNorm, norm_work(tokens.n, l > 0), stream_, [&] {
        rmsnorm({work_.h, dense_order(tokens.n)}, work_.x, w.g_attn, l > 0 ? work_.down : nullptr,
                l > 0 ? work_.weight : nullptr, tokens.n, config_.hidden_dim, config_.experts_per_token,
                config_.norm_eps, stream_);
    });
    const int64_t qkv_bytes = dense_bytes(w.qkv.q) + dense_bytes(w.qkv.k) + dense_bytes(w.qkv.v);
    timer_.run(kQkv, product_work(qkv_bytes, tokens.n, heads_dim + 2 * kv_dim, config_.hidden_dim, 2), stream_,
               [&] { qkv(work_.q, kv, work_.h, w.qkv, model_.cos_sin, tokens, config_.head_dim, stream_); });
    const StepView::Keys& keys = kv.window > 0 ? step.ring_keys : step.full_keys;
    const int64_t kv_and_rows = 4 * (keys.read * kv_dim + int64_t(tokens.n) * heads_dim);
    const Work attended = {0, kv_and_rows, 4.0 * double(keys.seen) * heads_dim};
    timer_.run(kAttention, attended, stream_, [&] {
        attention({work_.att, dense_order(tokens.n)}, work_.q, kv, w.sinks, step.tiles, step.n_tiles,
                  kv.window > 0 ? step.ring_spans : step.full_spans, tokens, config_.n_attn_heads, config_.n_kv_heads,
                  config_.head_dim, work_.attention, stream_);
    });
    timer_.run(kOut, product_work(dense_bytes(w.o), tokens.n, config_.hidden_dim, heads_dim, 8), stream_,
               [&] { gemm_residual(work_.x, work_.att, w.o, tokens.n, stream_); });
}

void Forward::expert_block(const StepView& step, const DeviceLayer& w) {
    const int n_tok = step.tokens.n, n_slots = n_tok * config_.experts_per_token;
    const int tile_rows = expert_tile_rows(n_slots, config_.n_experts);
    const int64_t router_bytes = int64_t(config_.n_experts) * config_.hidden_dim * (w.router_is_f32 ? 4 : 2);
    Work routed = norm_work(n_tok, false);
    routed.bytes = router_bytes;  // f32 products: not for matrix cores
    timer_.run(kRouter, routed, stream_, [&] {
        router({work_.h, expert_order(tile_rows)}, work_.expert, work_.weight, work_.x, w.g_mlp, w.w_router,
               w.router_is_f32, w.b_router, n_tok, config_.hidden_dim, config_.n_experts, config_.experts_per_token,
               config_.norm_eps, stream_);
    });
    const ExpertTiles& tiles = n_tok == 1 ? work_.one_token : work_.tiles;
    if (n_tok > 1)
        timer_.run(kSort, {0, 8 * int64_t(n_slots), 0}, stream_,
                   [&] { moe_sort(tiles, work_.expert, n_slots, config_.n_experts, tile_rows, stream_); });
    // A row's inputs are read once for all its experts; of each two results one is written.
    Work up = product_work(expert_bytes(w.up, n_slots), n_slots, w.up.n_out, w.up.n_in, 1);
    up.activations -= 2 * int64_t(n_slots - n_tok) * w.up.n_in;
    timer_.run(kMoeUp, up, stream_, [&] {
        moe_up(work_.act, work_.h, w.up, tiles, n_slots, tile_rows, config_.experts_per_token, config_.swiglu_limit,
               config_.swiglu_alpha, stream_);
    });
    timer_.run(kMoeDown, product_work(expert_bytes(w.down, n_slots), n_slots, w.down.n_out, w.down.n_in, 4), stream_,
               [&] { moe_down(work_.down, work_.act, w.down, tiles, n_slots, tile_rows, stream_); });
}

void Forward::logits(const StepView& step, int begin, int n) {
    timer_.run(kNorm, norm_work(n, true), stream_, [&] {
        rmsnorm_rows({work_.rows_h, dense_order(n)}, work_.x, step.row_token + begin, model_.g_final, work_.down,
                     work_.weight, n, config_.hidden_dim, config_.experts_per_token, config_.norm_eps, stream_);
    });
    timer_.run(kLmHead, product_work(dense_bytes(model_.unembed), n, config_.vocab_size, config_.hidden_dim, 4),
               stream_, [&] { gemm_logits(work_.logits, work_.rows_h, model_.unembed, n, stream_); });
}

void Forward::sample(const StepView& step, int begin, int n) {
    timer_.run(kSample, {0, 4 * int64_t(n) * config_.vocab_size, 0}, stream_,
               [&] { ::sample(step.sampled, work_.logits, step.sampling + begin, n, config_.vocab_size, stream_); });
}
