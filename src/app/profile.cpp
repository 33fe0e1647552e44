// profile.cpp: the table of operations, and of host and device.
#include "profile.h"

#include "log.h"

namespace {

// Over all replicas.
void print_timeline(const EngineStats& s) {
    log_line("host: {:.3f} s at work, {:.3f} s waiting for steps", s.host_s, s.host_wait_s);
    if (s.device_s > 0)
        log_line("device: {:.3f} s in steps, {:.3f} s idle between them ({:.2f}%)", s.device_s, s.device_idle_s,
                 100 * s.device_idle_s / (s.device_s + s.device_idle_s));
}

}  // namespace

void print_profile(const EngineStats& stats) {
    double total = 0;
    for (const EngineStats::Op& op : stats.ops) total += op.seconds;
    if (total == 0) return;
    print_timeline(stats);
    log_line("{:<16} {:>9} {:>7} {:>8} {:>7}", "operation", "seconds", "share", "GB/s", "of roof");
    for (const EngineStats::Op& op : stats.ops) {
        if (op.seconds == 0) continue;  // on this device, part of another operation
        const std::string of_roof =
            op.roof_seconds > 0 && op.seconds > 0 ? fmt::format("{:.1f}%", 100 * op.roof_seconds / op.seconds) : "-";
        log_line("{:<16} {:>9.3f} {:>6.1f}% {:>8.2f} {:>7}", op.name, op.seconds, 100 * op.seconds / total,
                 op.seconds > 0 ? double(op.bytes) * 1e-9 / op.seconds : 0.0, of_roof);
    }
}
