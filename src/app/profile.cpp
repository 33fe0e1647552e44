// profile.cpp: the table of operations.
#include "profile.h"

#include <fmt/core.h>

#include <cstdio>

void print_profile(const EngineStats& stats) {
    double total = 0;
    for (const EngineStats::Op& op : stats.ops) total += op.seconds;
    if (total == 0) return;
    fmt::print(stderr, "{:<16} {:>9} {:>7} {:>8}\n", "operation", "seconds", "share", "GB/s");
    for (const EngineStats::Op& op : stats.ops)
        fmt::print(stderr, "{:<16} {:>9.3f} {:>6.1f}% {:>8.2f}\n", op.name, op.seconds, 100 * op.seconds / total,
                   op.seconds > 0 ? double(op.bytes) * 1e-9 / op.seconds : 0.0);
}
