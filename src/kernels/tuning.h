// tuning.h: the numbers that launchers choose by, a row a target. They decide which blocks do a product's work, not in
// what order a sum is made: no bit of a result depends on them.
#pragma once
#include <cstring>

#include "gpu/runtime.h"

struct Tuning {
    const char* target;  // of gpu::DeviceInfo
    // Experts' products: up to this mean number of rows an expert, a block takes 16, 32 or 64 rows. The smallest tile
    // that most experts fit in decodes weights once and leaves few rows empty. Of wave groups two blocks of 64 share a
    // unit and decode more at a time, which pays for longer.
    int expert_rows_of_16, expert_rows_of_32, expert_rows_of_64;
    // Other products: up to this many rows k is spread over waves, 64 rows a block, which fills the device better than
    // tiles of many rows do; a matrix of few slabs fills it worse, so that the limit is higher for it.
    int dense_spread_rows, dense_few_slabs, dense_spread_rows_of_few_slabs;
    // From this many rows on wave groups do them, where the device has any. A tile's beginning and end cost as much as
    // this many rows more.
    int dense_group_rows, group_rows_a_tile_costs;
    // Attention: spans of keys are spread over waves, and merged by their block or, if they are many, another launch,
    // from this many spans on (a window has three), if units are fewer than keep the device busy.
    int attention_spread_spans, attention_busy_units;
    // From this many units on blocks have many waves, which share what they read; fewer waves a block spread better.
    int attention_wide_units;
    // From this many tokens of a sequence on wave groups do its attention, where the device has any.
    int attention_group_tokens;
    // Router: up to this many tokens each has a block of its own, so that more blocks are at work.
    int router_spread_tokens;
};

// The first row is for targets that have none. Only sm_90's numbers are measured (one H200: 132 multiprocessors), and
// three of these are not: 88 stands between 64 rows an expert, where tiles of at most 64 take 194 and 99 us (up, down)
// and of at most 192 258 and 139, and 128, where only the larger were tried; 96 and 48 were not varied. Without wave
// groups, 256 rows of attention's output took 58 us spread over waves and otherwise 92, of qkv with its many slabs 121
// and 107.
constexpr Tuning kTunings[] = {
    {"sm_90", 8, 20, 88, 128, 128, 256, 96, 48, 2, 512, 4096, 16, 128},
    {"gfx90a", 8, 20, 64, 128, 128, 256, 0, 0, 2, 512, 4096, 0, 128},
    {"gfx942", 8, 20, 64, 128, 128, 256, 0, 0, 2, 512, 4096, 0, 128},
    {"gfx1100", 8, 20, 64, 128, 128, 256, 0, 0, 2, 512, 4096, 0, 128},
    {"gfx1151", 8, 20, 64, 128, 128, 256, 0, 0, 2, 512, 4096, 0, 128},
};

// Of the devices here; one program runs on devices of one kind only.
inline const Tuning& tuning() {
    static const Tuning& found = [&]() -> const Tuning& {
        const gpu::DeviceInfo info = gpu::device_info(0);
        for (const Tuning& row : kTunings)
            if (info.target == row.target) return row;
        return kTunings[0];
    }();
    return found;
}
