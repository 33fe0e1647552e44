// fibers.h: one block of a launch: its lanes as fibers, its LDS.
#pragma once
#include <cstdint>
#include <functional>

#include "emu/hip_runtime.h"

namespace emu {

struct Launch {
    Site site;
    dim3 grid, block;
    size_t lds_bytes;
    const std::function<void()>& body;
    Order order;  // not kCheck
};

// Called when all lanes wait at a barrier and when all have returned, with how often it was called for this block
// before.
using AtBarrier = std::function<void(int barrier, const char* lds)>;

// Runs a block on this OS thread.
void run_block(const Launch& launch, const dim3& index, const AtBarrier& at_barrier);

// complain() where no lane is running.
[[noreturn]] [[gnu::format(printf, 2, 3)]] void complain_of(const Launch& launch, const char* format, ...);

}  // namespace emu
