// forward.h: one step of a span of layers on one GPU: its kernels in order, and their buffers.
#pragma once
#include <vector>

#include "gpu/device_model.h"
#include "gpu/op_timer.h"
#include "model.h"
#include "replica.h"

// Device buffers of activations, for up to a number of tokens.
struct Workspace {
    float* x = nullptr;         // (T, D) residual stream
    bf16* h = nullptr;          // (T, Dp) normed
    bf16* q = nullptr;          // (T, H·P)
    bf16* att = nullptr;        // (T, H·P rounded up to 64)
    void* attention = nullptr;  // partial results of spans
    int* expert = nullptr;      // (T, A)
    float* weight = nullptr;    // (T, A)
    ExpertTiles tiles;
    ExpertTiles one_token;    // what sorting gives for one token: its experts' order is the routing's
    bf16* act = nullptr;      // (T · A, Fp) in expert order
    float* down = nullptr;    // (T, A, D)
    bf16* rows_h = nullptr;   // (kLogitRowsAtOnce, Dp)
    float* logits = nullptr;  // (kLogitRowsAtOnce, V)
};
// config: of the span alone. Without logits if it does not sample. In workspace_bytes() from `base` on.
Workspace lay_out_workspace(const Config& config, const Span& span, int max_tokens, char* base);
int64_t workspace_bytes(const Config& config, const Span& span, int max_tokens);
int64_t residual_bytes(const Config& config, int n_tokens);

// What never changes.
void fill_workspace(const Config& config, const Workspace& workspace, gpu::Stream stream);

// What the step is about, in device memory.
struct StepView {
    Tokens tokens;
    const QueryTile* tiles = nullptr;  // (n_tiles)
    int n_tiles = 0;
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

class Forward {
  public:
    // config: of the span alone. On the current device.
    Forward(const Config& config, const Span& span, const DeviceModel& model, const Workspace& workspace,
            const KvCache& kv, OpTimer& timer, gpu::Stream stream)
        : config_(config), span_(span), model_(model), work_(workspace), kv_(kv), timer_(timer), stream_(stream) {}

    // All layers. The residual x is made here if the span embeds, else it is there. Leaves x and the last layer's
    // experts' results, which are added to x if the span does not sample.
    void layers(const StepView& step);
    // Logits of rows [begin, begin + n), n at most kLogitRowsAtOnce, into the workspace.
    void logits(const StepView& step, int begin, int n);
    // Draws their tokens.
    void sample(const StepView& step, int begin, int n);

  private:
    Work norm_work(int n_rows, bool adds_experts) const;
    void attention_block(const StepView& step, int l);
    void expert_block(const StepView& step, const DeviceLayer& w);

    const Config& config_;
    const Span span_;
    const DeviceModel& model_;
    const Workspace& work_;
    const KvCache& kv_;
    OpTimer& timer_;
    const gpu::Stream stream_;
};
