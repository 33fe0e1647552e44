// op_timer.h: how long each operation takes on the device, for --profile 1; and a wait after each, for --sync.
#pragma once
#include <deque>
#include <utility>
#include <vector>

#include "engine.h"
#include "gpu/roofs.h"

// The least work that an operation can do.
struct Work {
    int64_t bytes = 0;        // of weights, read
    int64_t activations = 0;  // bytes of all else, read and written
    double flop = 0;          // of matrix products
};

class OpTimer {
  public:
    // roofs: zeros if nobody wants to know how near the operations come.
    OpTimer(bool enabled, bool synchronous, const Roofs& roofs, const std::vector<const char*>& names);
    ~OpTimer();
    OpTimer(const OpTimer&) = delete;
    OpTimer& operator=(const OpTimer&) = delete;

    // Calls a function that launches kernels, which are counted as operation `op`.
    template <class F>
    void run(int op, const Work& work, gpu::Stream stream, F&& launch) {
        ops_[size_t(op)].bytes += work.bytes;
        ops_[size_t(op)].roof_seconds += roofs_.seconds(double(work.bytes + work.activations), work.flop);
        running_ = ops_[size_t(op)].name.c_str();
        const gpu::Event begin = enabled_ ? mark(stream) : nullptr;
        launch();
        if (enabled_) pending_.push_back({op, begin, mark(stream)});
        if (synchronous_) wait(op, stream);
        running_ = "";
    }
    // The operation that is being launched, or during which an exception was thrown; "" if there is none.
    const char* running() const { return running_; }
    // Call end_step() when all of a step is launched; and collect(), which adds up its times, when the oldest step that
    // was ended is done on the device.
    void end_step() { steps_.push_back(pending_.size()); }
    void collect();
    const std::vector<EngineStats::Op>& ops() const { return ops_; }
    int64_t weight_bytes() const;  // read by all that run() launched

  private:
    gpu::Event mark(gpu::Stream stream);
    void wait(int op, gpu::Stream stream) const;

    const bool enabled_, synchronous_;
    const Roofs roofs_;
    std::vector<EngineStats::Op> ops_;
    const char* running_ = "";
    struct Pending {
        int op;
        gpu::Event begin, end;
    };
    std::deque<Pending> pending_;   // operations launched and not added up yet, oldest first
    std::deque<size_t> steps_;      // the index into pending_ where each step ends
    std::vector<gpu::Event> free_;  // events to be used again
};
