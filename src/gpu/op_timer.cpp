// op_timer.cpp: a pair of events around each operation; they are used again in the next step.
#include "gpu/op_timer.h"

#include "log.h"

OpTimer::OpTimer(bool enabled, bool synchronous, const Roofs& roofs, const std::vector<const char*>& names)
    : enabled_(enabled), synchronous_(synchronous), roofs_(roofs) {
    for (const char* name : names) ops_.push_back({name, 0, 0, 0});
}

OpTimer::~OpTimer() {
    for (const gpu::Event event : events_) gpu::destroy_event(event);
}

void OpTimer::mark(gpu::Stream stream) {
    if (n_events_ == events_.size()) events_.push_back(gpu::make_event());
    gpu::record(events_[n_events_++], stream);
}

// The name goes out first: if the device hangs or fails here, it is the last thing on the screen.
void OpTimer::wait(int op, gpu::Stream stream) const {
    log_line("{}", ops_[size_t(op)].name);
    gpu::synchronize(stream);
}

void OpTimer::collect() {
    for (size_t i = 0; i < pending_.size(); i++)
        ops_[size_t(pending_[i])].seconds += 1e-3 * double(gpu::elapsed_ms(events_[2 * i], events_[2 * i + 1]));
    pending_.clear();
    n_events_ = 0;
}

int64_t OpTimer::weight_bytes() const {
    int64_t sum = 0;
    for (const EngineStats::Op& op : ops_) sum += op.bytes;
    return sum;
}
