// forward.h: one step of a span of layers on one GPU: its kernels in order, and their buffers. Here is what all
// architectures share; gpt_oss_forward.cpp and gpt2_forward.cpp have the layers.
#pragma once
#include <vector>

#include "gpu/device_memory.h"
#include "gpu/op_timer.h"
#include "gpu/span.h"
#include "kernels/kernels.h"
#include "model.h"
#include "replica.h"

// What the step is about, in device memory.
struct StepView {
    Tokens tokens;
    const QueryTile* tiles = nullptr;  // (n_tiles)
    int n_tiles = 0;
    const QueryTile* group_tiles = nullptr;  // (n_group_tiles) of sequences with many tokens
    int n_group_tiles = 0;
    int full_spans = 0, ring_spans = 0;  // at least as many as any tile's keys lie in
    struct Keys {
        int64_t seen = 0;  // by all tokens together
        int64_t read = 0;  // of all sequences
    };
    Keys full_keys, ring_keys;       // for the account of a layer's work
    const int* row_token = nullptr;  // (n_rows)
    const RowSampling* sampling = nullptr;
    int n_rows = 0;
    int* sampled = nullptr;  // (places) rows' tokens go where `sampling` says
};

struct KvCache {
    std::vector<KvLayer> layers;  // (L)
};

// Device buffers of activations that every architecture has, for up to a number of tokens.
struct StepBuffers {
    float* x = nullptr;         // (T, D) residual stream
    bf16* h = nullptr;          // (T, Dp) normed
    bf16* q = nullptr;          // (T, H·P)
    bf16* att = nullptr;        // (T, H·P rounded up to 64)
    void* attention = nullptr;  // partial results of spans
    bf16* rows_h = nullptr;     // (kLogitRowsAtOnce, Dp)
    float* logits = nullptr;    // (kLogitRowsAtOnce, V)
};
// Without logits if the span does not sample.
StepBuffers lay_out_buffers(const CommonConfig& config, int hidden_dim, const Span& span, int max_tokens,
                            Layout& layout);

// What the planner has set aside, and what a step shares with others.
struct ForwardPlace {
    Span span;
    int64_t weight_bytes = 0, workspace_bytes = 0;
    int max_tokens = 0;
    const KvCache& kv;
    OpTimer& timer;
    gpu::Stream stream;
};

class Forward {
  public:
    virtual ~Forward() = default;
    Forward(const Forward&) = delete;
    Forward& operator=(const Forward&) = delete;

    // All layers. The residual x is made here if the span embeds, else it is there. If the span does not sample, x is
    // what the next one begins with.
    virtual void layers(const StepView& step) = 0;
    // Logits of rows [begin, begin + n), n at most kLogitRowsAtOnce, into the buffers.
    virtual void logits(const StepView& step, int begin, int n) = 0;
    // Draws their tokens.
    void sample(const StepView& step, int begin, int n);
    const StepBuffers& buffers() const { return buffers_; }

  protected:
    // On the current device. config: of the span alone. The workspace holds zeros.
    Forward(const CommonConfig& config, int hidden_dim, const ForwardPlace& place);

    void embed_tokens(const StepView& step, const bf16* embed, const bf16* positions);
    void attend(const StepView& step, int l, const float* sinks);
    // x += att · wᵀ + bias
    void add_attention(const StepView& step, const PackedMatrix& w_o);
    // logits = rows_h · wᵀ
    void multiply_head(const PackedMatrix& unembed, int n);

    int hidden_dim_;
    const CommonConfig common_;
    const Span span_;
    const KvCache& kv_;
    OpTimer& timer_;
    const gpu::Stream stream_;
    DeviceMemory workspace_;
    Layout layout_;  // of the workspace: an architecture's own buffers lie behind these
    StepBuffers buffers_;
};

// ---- the account of work ----

inline int64_t dense_bytes(const PackedMatrix& w) {
    return packed_tile_bytes(false, w.n_out, w.n_in);
}
// bf16 rows in; out_bytes: of a result, read and written.
inline Work product_work(int64_t bytes, int64_t n_rows, int64_t n_out, int64_t n_in, int out_bytes) {
    return {bytes, n_rows * (2 * n_in + out_bytes * n_out), 2.0 * double(n_rows) * double(n_out) * double(n_in)};
}
