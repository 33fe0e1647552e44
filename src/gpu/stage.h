// stage.h: what a replica has on one device: weights of a span of layers, workspace, KV pages, and the forward pass
// over them.
#pragma once
#include <map>
#include <memory>

#include "gpu/memory_plan.h"
#include "gpu/page_tables.h"
#include "gpu/step_input.h"
#include "gpu/timeline.h"

class Stage {
  public:
    // Loads the weights. sampled: in pinned memory; where the sampled tokens go. Throws Error.
    Stage(const Architecture& model, const EngineOptions& options, const StagePlan& plan, const Capacity& capacity,
          int* sampled);
    ~Stage();
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    int device() const { return device_; }
    gpu::Stream stream() const { return stream_; }
    float* residual() const { return forward_->buffers().x; }  // (T, D): of the stage before, then this one's

    // These make the device current, and put all their work on the stream.
    void begin(const Batch& batch, const StepInput& input, const StepShape& shape);  // pages and input
    // Launches all kernels of a step that has begun. If the stage samples and rows want logits, waits for these and
    // hands them out. Logits of the n-th row that takes them will be in taken, (n, V) in pinned memory, when the step
    // is done. Returns bytes of weights and KV cache that are read.
    int64_t run(const Batch& batch, const StepShape& shape, float* taken);

    // Call it when the oldest step that is not collected is done.
    Timeline::Share collect();
    std::vector<EngineStats::Op> ops() const;
    // The operation during which run() has thrown; "" if there is none.
    const char* running() const { return timer_.running(); }

  private:
    int64_t launch(const StepView& view, const Batch& batch, float* taken);
    int64_t launch_recorded(const StepView& view);
    void hand_out_logits(const Batch& batch, int row, int in_buffer);
    float* take_logits(const Batch& batch, int begin, int end, float* taken);
    int64_t key_bytes(const StepShape& shape) const;

    const CommonConfig config_;  // of the span alone
    const Span span_;
    const int device_;
    OpTimer timer_;
    const gpu::Stream stream_;
    DeviceMemory step_input_;
    PageTables kv_;
    const std::unique_ptr<Forward> forward_;
    Timeline timeline_;
    int* const sampled_;
    std::unique_ptr<PinnedMemory> logits_host_;  // (V)
    struct Recorded {
        gpu::Graph graph = nullptr;
        int64_t weight_bytes = 0;  // that one replay reads
    };
    std::map<std::pair<int, int>, Recorded> graphs_;  // (tokens, spans)
    int64_t kv_bytes_ = 0;
};
