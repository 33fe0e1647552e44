// roofs.h: what a device could do at best, to hold against what it did.
#pragma once
#include <algorithm>

#include "gpu/runtime.h"

struct Roofs {
    double bytes_per_s = 0;  // of a copy on the device, both ways counted; measured
    double flop_per_s = 0;   // of dense bf16 products; from a table, 0 for a device that is not in it

    // The least time for so much work: memory and matrix cores work side by side.
    double seconds(double bytes, double flop) const {
        return std::max(bytes_per_s > 0 ? bytes / bytes_per_s : 0, flop_per_s > 0 ? flop / flop_per_s : 0);
    }
};

// Of the device, which is the current one. Takes a fraction of its free memory for a moment.
Roofs measure_roofs(int device, gpu::Stream stream);
