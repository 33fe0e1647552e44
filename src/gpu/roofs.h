// roofs.h: the most that a device could do, to compare with what it did.
#pragma once
#include <algorithm>

#include "gpu/runtime.h"

struct Roofs {
    double bytes_per_s = 0;  // measured with a copy on the device; bytes read and bytes written both count
    double flop_per_s = 0;   // of dense bf16 products, from a table; 0 for a device that is not in it

    // The least time for so much work, as memory and matrix cores work at the same time.
    double seconds(double bytes, double flop) const {
        return std::max(bytes_per_s > 0 ? bytes / bytes_per_s : 0, flop_per_s > 0 ? flop / flop_per_s : 0);
    }
};

// The roofs of `device`, which must be current. Takes some of its free memory for a moment.
Roofs measure_roofs(int device, gpu::Stream stream);
