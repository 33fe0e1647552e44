// forward.cpp: the model as a list of launches; src/cpu/reference.cpp says what they compute together.
#include "gpu/forward.h"

#include <algorithm>
#include <numeric>

#include "gpu/ops.h"
#include "gpu/tune.h"

namespace {

// Of experts, those that n_slots choices can be at most: what is read. Fewer are if tokens agree.
int64_t expert_bytes(const PackedMatrix& w, int n_slots) {
    const int64_t scales = w.mxfp4 ? packed_scale_bytes(w.n_out, w.n_in) : 0;
    return std::min(n_slots, w.n_experts) * (packed_tile_bytes(w.mxfp4, w.n_out, w.n_in) + scales);
}

int64_t dense_bytes(const PackedMatrix& w) {
    return packed_tile_bytes(false, w.n_out, w.n_in);
}

}  // namespace

Workspace lay_out_workspace(const Config& config, int max_tokens, int max_rows, int max_spans, Layout& layout) {
    const int64_t t = max_tokens, slots = t * config.experts_per_token;
    const int64_t padded_hidden = round_up(config.hidden_dim, kDepthStep);
    const int64_t heads = int64_t(config.n_attn_heads) * config.head_dim;
    const int64_t n_tiles = max_expert_tiles(int(slots), config.n_experts, 16);
    const int64_t rows = std::min(max_rows, kLogitRowsAtOnce);
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

void Forward::layers(const StepView& step) {
    timer_.run(kEmbed, int64_t(step.tokens.n) * config_.hidden_dim * 2, stream_,
               [&] { embed(work_.x, model_.embed, step.tokens, config_.hidden_dim, stream_); });
    for (int l = 0; l < config_.n_layers; l++) {
        attention_block(step, l);
        expert_block(step, model_.layers[size_t(l)]);
    }
}

void Forward::attention_block(const StepView& step, int l) {
    const DeviceLayer& w = model_.layers[size_t(l)];
    const KvLayer& kv = kv_.layers[size_t(l)];
    const Tokens& tokens = step.tokens;
    timer_.run(kNorm, 0, stream_, [&] {
        rmsnorm(work_.h, work_.x, w.g_attn, l > 0 ? work_.down : nullptr, l > 0 ? work_.weight : nullptr, tokens.n,
                config_.hidden_dim, config_.experts_per_token, config_.norm_eps, stream_);
    });
    timer_.run(kQkv, dense_bytes(w.qkv.q) + dense_bytes(w.qkv.k) + dense_bytes(w.qkv.v), stream_,
               [&] { qkv(work_.q, kv, work_.h, w.qkv, model_.cos_sin, tokens, config_.head_dim, stream_); });
    timer_.run(kAttention, 0, stream_, [&] {
        attention(work_.att, work_.q, kv, w.sinks, step.tiles, step.n_tiles,
                  kv.window > 0 ? step.ring_spans : step.full_spans, tokens, config_.n_attn_heads, config_.n_kv_heads,
                  config_.head_dim, work_.attention, stream_);
    });
    timer_.run(kOut, dense_bytes(w.o), stream_, [&] { gemm_residual(work_.x, work_.att, w.o, tokens.n, stream_); });
}

void Forward::expert_block(const StepView& step, const DeviceLayer& w) {
    const int n_tok = step.tokens.n, n_slots = n_tok * config_.experts_per_token;
    const int tile_rows = expert_tile_rows(n_slots, config_.n_experts, wave_groups_);
    timer_.run(kRouter, int64_t(config_.n_experts) * config_.hidden_dim * (w.router_is_f32 ? 4 : 2), stream_, [&] {
        router(work_.h, work_.expert, work_.weight, work_.x, w.g_mlp, w.w_router, w.router_is_f32, w.b_router, n_tok,
               config_.hidden_dim, config_.n_experts, config_.experts_per_token, config_.norm_eps, stream_);
    });
    const ExpertTiles& tiles = n_tok == 1 ? work_.one_token : work_.tiles;
    if (n_tok > 1)
        timer_.run(kSort, 0, stream_,
                   [&] { moe_sort(tiles, work_.expert, n_slots, config_.n_experts, tile_rows, stream_); });
    timer_.run(kMoeUp, expert_bytes(w.up, n_slots), stream_, [&] {
        moe_up(work_.act, work_.h, w.up, tiles, n_slots, tile_rows, config_.experts_per_token, config_.swiglu_limit,
               config_.swiglu_alpha, stream_);
    });
    timer_.run(kMoeDown, expert_bytes(w.down, n_slots), stream_,
               [&] { moe_down(work_.down, work_.act, w.down, tiles, n_slots, tile_rows, stream_); });
}

void Forward::logits(const StepView& step, int begin, int n) {
    timer_.run(kNorm, 0, stream_, [&] {
        rmsnorm_rows(work_.rows_h, work_.x, step.row_token + begin, model_.g_final, work_.down, work_.weight, n,
                     config_.hidden_dim, config_.experts_per_token, config_.norm_eps, stream_);
    });
    timer_.run(kLmHead, dense_bytes(model_.unembed), stream_,
               [&] { gemm_logits(work_.logits, work_.rows_h, model_.unembed, n, stream_); });
}

void Forward::sample(const StepView& step, int begin, int n) {
    timer_.run(kSample, 0, stream_, [&] {
        ::sample(step.sampled + begin, work_.logits, step.sampling + begin, n, config_.vocab_size, stream_);
    });
}
