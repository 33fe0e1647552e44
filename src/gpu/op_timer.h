// op_timer.h: how long each operation takes on the device, for --profile 1; and a wait after each, for --sync.
#pragma once
#include <utility>
#include <vector>

#include "engine.h"
#include "gpu/roofs.h"

// What an operation takes at least.
struct Work {
    int64_t bytes = 0;        // of weights, read
    int64_t activations = 0;  // bytes of all else, read and written
    double flop = 0;          // of matrix products
};

class OpTimer {
  public:
    // roofs: zeros if nobody asks how near they are.
    OpTimer(bool enabled, bool synchronous, const Roofs& roofs, const std::vector<const char*>& names);
    ~OpTimer();
    OpTimer(const OpTimer&) = delete;
    OpTimer& operator=(const OpTimer&) = delete;

    // Launches what is counted as operation `op`.
    template <class F>
    void run(int op, const Work& work, gpu::Stream stream, F&& launch) {
        ops_[size_t(op)].bytes += work.bytes;
        ops_[size_t(op)].roof_seconds += roofs_.seconds(double(work.bytes + work.activations), work.flop);
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
    int64_t weight_bytes() const;  // read by all that run() launched

  private:
    void mark(gpu::Stream stream);
    void wait(int op, gpu::Stream stream) const;

    const bool enabled_, synchronous_;
    const Roofs roofs_;
    std::vector<EngineStats::Op> ops_;
    std::vector<gpu::Event> events_;  // two for each of pending_, then unused ones
    size_t n_events_ = 0;
    std::vector<int> pending_;
};
