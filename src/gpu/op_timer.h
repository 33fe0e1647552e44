// op_timer.h: how long each operation takes on the device, for --profile 1; and a wait after each, for --sync.
#pragma once
#include <utility>
#include <vector>

#include "engine.h"
#include "gpu/runtime.h"

class OpTimer {
  public:
    OpTimer(bool enabled, bool synchronous, const std::vector<const char*>& names);
    ~OpTimer();
    OpTimer(const OpTimer&) = delete;
    OpTimer& operator=(const OpTimer&) = delete;

    // Launches what is counted as operation `op`, which reads `bytes` of weights and KV cache.
    template <class F>
    void run(int op, int64_t bytes, gpu::Stream stream, F&& launch) {
        ops_[size_t(op)].bytes += bytes;
        if (enabled_) mark(stream);
        launch();
        if (enabled_) {
            mark(stream);
            pending_.push_back(op);
        }
        if (synchronous_) wait(op, stream);
    }
    // Once the stream has been synchronized: adds up what ran since the last call.
    void collect();
    const std::vector<EngineStats::Op>& ops() const { return ops_; }

  private:
    void mark(gpu::Stream stream);
    void wait(int op, gpu::Stream stream) const;

    const bool enabled_, synchronous_;
    std::vector<EngineStats::Op> ops_;
    std::vector<gpu::Event> events_;  // two for each of pending_, then unused ones
    size_t n_events_ = 0;
    std::vector<int> pending_;
};
