// timeline.h: when a device begins and ends its part of each step, and so how long it is busy, and idle in between.
#pragma once
#include <array>
#include <vector>

#include "gpu/runtime.h"

class Timeline {
  public:
    // On the current device.
    explicit Timeline(int steps_in_flight) : steps_(size_t(steps_in_flight) + 1) {
        for (Step& step : steps_) step = {gpu::make_event(), gpu::make_event()};
    }
    ~Timeline() {
        for (const Step& step : steps_)
            for (const gpu::Event event : step) gpu::destroy_event(event);
    }
    Timeline(const Timeline&) = delete;
    Timeline& operator=(const Timeline&) = delete;

    void begin(gpu::Stream stream) { gpu::record(at(n_begun_++)[0], stream); }
    void end(gpu::Stream stream) { gpu::record(at(n_begun_ - 1)[1], stream); }

    struct Share {
        double busy_s = 0, idle_s = 0;  // idle: since the step before
    };
    // The share of the oldest step that is not collected. That step must be done.
    Share collect() {
        const Step& step = at(n_collected_);
        Share share;
        share.busy_s = 1e-3 * double(gpu::elapsed_ms(step[0], step[1]));
        if (n_collected_ > 0) share.idle_s = 1e-3 * double(gpu::elapsed_ms(at(n_collected_ - 1)[1], step[0]));
        n_collected_++;
        return share;
    }

  private:
    using Step = std::array<gpu::Event, 2>;
    // The steps in flight and the one before them share these entries in turn.
    Step& at(int64_t step) { return steps_[size_t(step) % steps_.size()]; }

    std::vector<Step> steps_;
    int64_t n_begun_ = 0, n_collected_ = 0;
};
