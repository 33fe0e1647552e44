// devices.h: what the predictor knows of devices and of kernels on them: the one place to renew.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

// Tokens a launch that the bench of kernels is run with.
constexpr std::array<int, 7> kBenchTokens = {1, 16, 64, 256, 512, 1024, 4096};
// Tiles of the experts' products that it has then, and their rows.
constexpr std::array<int, 7> kBenchTiles = {4, 32, 32, 32, 32, 32, 96}, kBenchTileRows = {1, 2, 8, 32, 64, 128, 192};

// Rows of the steps that a device's clock was watched in.
constexpr std::array<int, 3> kClockRows = {256, 1024, 4096};

// Microseconds of the kernels of a 20b-sized layer for kBenchTokens, as bench_kernels prints them.
struct KernelTimes {
    std::array<double, 7> qkv, o, router, up, down;  // up, down: every expert gets as many tokens
    std::array<double, 4> lm_head;                   // up to 256 rows
    double launch_us;                                // of each of these figures: launch and events
};

// Vector and matrix cycles of a SIMD for a wave's turn of 64 rows of k and 32 rows of MXFP4 weights, and how many SIMD
// cycles the device has in a second: docs/kernels.md, from the inner loops of code objects.
struct InstructionCounts {
    double simd_cycles_per_s;
    double matrix_cycles_16_rows;  // for 16 tokens
    double decode_few, decode_many;
    double reached;  // assumed: the share of these limits, and of the matrix cores, that kernels reach
};

struct PredictedDevice {
    const char* name;
    const char* target;  // of kTunings
    double bytes_per_s;  // H200: of a copy, measured; others: published
    double flop_per_s;   // dense bf16; H200: of a library's product, measured; others: published
    double memory_bytes;
    double memory_share;          // of bytes_per_s that kernels reach which stream
    double attention_flop_share;  // of flop_per_s that attention over a prompt reaches
    double gap_us;                // between two kernels that wait for one another
    double least_us;              // the shortest kernel
    double link_bytes_per_s;      // to the next device of a chain
    int many_rows;                // most rows a block of the many-token product takes
    KernelTimes times;            // measured; zeros: not
    InstructionCounts counts;     // where nothing is measured
    // Share of the clock that `times` were taken at, in steps of kClockRows that follow one another.
    std::array<double, 3> busy_clock = {1, 1, 1};
};

// H200: docs/performance.md, "bench_kernels today". gap_us: 1.5 us a launch in a graph, less what chaining launches
// saved (450 -> 488 tok/s of 240 launches a token). busy_clock: of 1,980 MHz, getp with as many in flight, its power at
// the card's limit of 700 W all the time. attention_flop_share: that of gfx90a's inner loop (77 of 181).
// MI250, MI300X: docs/kernels.md; memory_share, reached, gap_us and least_us are assumptions.
constexpr PredictedDevice kPredictedDevices[] = {
    {"H200",
     "sm_90",
     4.22e12,
     811e12,
     141e9,
     0.8,
     0.43,
     0.8,
     2,
     450e9,
     192,
     {{15.4, 14.9, 40.9, 52.4, 84.1, 138, 360},
      {13.1, 13.1, 19.9, 30.3, 39.2, 61.1, 182},
      {10.2, 10.2, 12.7, 24.7, 23.6, 40.9, 158},
      {24.9, 122, 150, 156, 184, 240, 835},
      {13.9, 69.4, 77, 81, 94, 138, 446},
      {257, 266, 380, 456},
      4},
     {},
     {0.99, 0.935, 0.864}},
    {"MI250", "gfx90a", 1.6e12, 181e12, 64e9, 0.75, 0.43, 5, 3, 100e9, 128, {}, {104 * 4 * 1.7e9, 256, 400, 504, 0.6}},
    {"MI300X", "gfx942", 5.3e12, 1307e12, 192e9, 0.75, 0.3, 5, 3, 50e9, 128, {}, {304 * 4 * 2.1e9, 128, 360, 548, 0.6}},
    // The same with nothing assumed but that kernels reach their limits.
    {"MI250-limit", "gfx90a", 1.6e12, 181e12, 64e9, 1, 0.43, 0, 3, 100e9, 128, {}, {104 * 4 * 1.7e9, 256, 400, 504, 1}},
    {"MI300X-limit",
     "gfx942",
     5.3e12,
     1307e12,
     192e9,
     1,
     0.3,
     0,
     3,
     50e9,
     128,
     {},
     {304 * 4 * 2.1e9, 128, 360, 548, 1}},
};

inline const PredictedDevice* predicted_device(const char* name) {
    for (const PredictedDevice& device : kPredictedDevices)
        if (std::strcmp(device.name, name) == 0) return &device;
    return nullptr;
}
