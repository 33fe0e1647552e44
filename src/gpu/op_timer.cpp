// op_timer.cpp: records a pair of events around each operation. Later steps use the same events again.
#include "gpu/op_timer.h"

#include "log.h"

OpTimer::OpTimer(bool enabled, bool synchronous, const Roofs& roofs, const std::vector<const char*>& names)
    : enabled_(enabled), synchronous_(synchronous), roofs_(roofs) {
    for (const char* name : names) ops_.push_back({name, 0, 0, 0});
}

OpTimer::~OpTimer() {
    for (const gpu::Event event : free_) gpu::destroy_event(event);
    for (const Pending& p : pending_) {
        gpu::destroy_event(p.begin);
        gpu::destroy_event(p.end);
    }
}

gpu::Event OpTimer::mark(gpu::Stream stream) {
    if (free_.empty()) free_.push_back(gpu::make_event());
    const gpu::Event event = free_.back();
    free_.pop_back();
    gpu::record(event, stream);
    return event;
}

// Prints the name before it waits: if the device hangs or fails here, the name is the last line on the screen.
void OpTimer::wait(int op, gpu::Stream stream) const {
    log_line("{}", ops_[size_t(op)].name);
    gpu::synchronize(stream);
}

void OpTimer::collect() {
    const size_t n = steps_.front();
    steps_.pop_front();
    for (size_t& end : steps_) end -= n;
    for (size_t i = 0; i < n; i++) {
        const Pending& p = pending_.front();
        ops_[size_t(p.op)].seconds += 1e-3 * double(gpu::elapsed_ms(p.begin, p.end));
        free_.insert(free_.end(), {p.begin, p.end});
        pending_.pop_front();
    }
}

int64_t OpTimer::weight_bytes() const {
    int64_t sum = 0;
    for (const EngineStats::Op& op : ops_) sum += op.bytes;
    return sum;
}
