// forward.cpp: the launches that every architecture has.
#include "gpu/forward.h"

#include <algorithm>

#include "gpu/ops.h"
#include "gpu/step_sizes.h"

StepBuffers lay_out_buffers(const CommonConfig& config, int hidden_dim, const Span& span, int max_tokens,
                            Layout& layout) {
    const int64_t t = max_tokens, heads = int64_t(config.n_attn_heads) * config.head_dim;
    const int64_t padded_hidden = round_up(hidden_dim, kDepthStep);
    const int64_t rows = span.samples ? std::min(max_tokens, kLogitRowsAtOnce) : 0;
    const int max_spans = most_spans(config.max_context);
    StepBuffers b;
    b.x = layout.take<float>(t * hidden_dim);
    b.h = layout.take<bf16>(t * padded_hidden);
    b.q = layout.take<bf16>(t * heads);
    b.att = layout.take<bf16>(t * round_up(int(heads), kDepthStep));
    b.attention = layout.take<char>(attention_scratch_bytes(max_tokens, max_spans, config.n_kv_heads, config.head_dim));
    b.rows_h = layout.take<bf16>(rows * padded_hidden);
    b.logits = layout.take<float>(rows * config.vocab_size);
    return b;
}

Forward::Forward(const CommonConfig& config, int hidden_dim, const ForwardPlace& place)
    : hidden_dim_(hidden_dim),
      common_(config),
      span_(place.span),
      kv_(place.kv),
      timer_(place.timer),
      stream_(place.stream),
      workspace_(place.workspace_bytes, "workspace"),
      layout_(workspace_.data()),
      buffers_(lay_out_buffers(config, hidden_dim, place.span, place.max_tokens, layout_)) {
    gpu::fill(workspace_.data(), 0, workspace_.bytes(), stream_);
}

void Forward::embed_tokens(const StepView& step, const bf16* embed, const bf16* positions) {
    const int64_t embedded = int64_t(step.tokens.n) * hidden_dim_;
    timer_.run(kEmbed, {2 * embedded, (positions ? 6 : 4) * embedded, 0}, stream_,
               [&] { ::embed(buffers_.x, embed, positions, step.tokens, hidden_dim_, stream_); });
}

void Forward::attend(const StepView& step, int l, const float* sinks) {
    const KvLayer& kv = kv_.layers[size_t(l)];
    const StepView::Keys& keys = kv.window > 0 ? step.ring_keys : step.full_keys;
    const int heads_dim = common_.n_attn_heads * common_.head_dim, kv_dim = common_.n_kv_heads * common_.head_dim;
    const int64_t kv_and_rows = 4 * (keys.read * kv_dim + int64_t(step.tokens.n) * heads_dim);
    timer_.run(kAttention, {0, kv_and_rows, 4.0 * double(keys.seen) * heads_dim}, stream_, [&] {
        const RowsOut att = {buffers_.att, dense_order(step.tokens.n)};
        if (step.n_group_tiles > 0)
            attention_of_groups(att, buffers_.q, kv, sinks, step.group_tiles, step.n_group_tiles, step.tokens,
                                common_.n_attn_heads, common_.n_kv_heads, stream_);
        if (step.n_tiles > 0)
            attention(att, buffers_.q, kv, sinks, step.tiles, step.n_tiles,
                      kv.window > 0 ? step.ring_spans : step.full_spans, step.tokens, common_.n_attn_heads,
                      common_.n_kv_heads, common_.head_dim, buffers_.attention, stream_);
    });
}

void Forward::add_attention(const StepView& step, const PackedMatrix& w_o) {
    timer_.run(kOut, product_work(dense_bytes(w_o), step.tokens.n, w_o.n_out, w_o.n_in, 8), stream_,
               [&] { gemm_residual(buffers_.x, buffers_.att, w_o, step.tokens.n, stream_); });
}

void Forward::multiply_head(const PackedMatrix& unembed, int n) {
    timer_.run(kLmHead, product_work(dense_bytes(unembed), n, common_.vocab_size, hidden_dim_, 4), stream_,
               [&] { gemm_logits(buffers_.logits, buffers_.rows_h, unembed, n, stream_); });
}

void Forward::sample(const StepView& step, int begin, int n) {
    timer_.run(kSample, {0, 4 * int64_t(n) * common_.vocab_size, 0}, stream_,
               [&] { ::sample(step.sampled, buffers_.logits, step.sampling + begin, n, common_.vocab_size, stream_); });
}
