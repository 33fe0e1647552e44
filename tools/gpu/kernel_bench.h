// kernel_bench.h: how long a launch takes, and memory for what it works on; for bench_kernels and bench_attention.
#pragma once
#include <algorithm>
#include <functional>
#include <vector>

#include "gpu/device_memory.h"
#include "kernels/kernels.h"

constexpr int kRounds = 20;

inline double time_us(gpu::Stream stream, const std::function<void(int)>& launch) {
    const gpu::Event begin = gpu::make_event(), end = gpu::make_event();
    std::vector<double> times;
    for (int round = -3; round < kRounds; round++) {
        gpu::record(begin, stream);
        launch(round + 3);
        gpu::record(end, stream);
        gpu::synchronize(stream);
        if (round >= 0) times.push_back(1e3 * double(gpu::elapsed_ms(begin, end)));
    }
    gpu::destroy_event(begin);
    gpu::destroy_event(end);
    std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
    return times[kRounds / 2];
}

// Device memory with harmless random bits: as bf16 small numbers, as codes anything.
struct Random {
    DeviceMemory memory;
    Random(int64_t bytes, gpu::Stream stream) : memory(bytes, "benchmark's data") {
        constexpr int64_t kChunk = int64_t(64) << 20;
        std::vector<uint16_t> chunk(static_cast<size_t>(std::min(bytes, kChunk) / 2 + 1));
        uint64_t state = 88172645463325252u;
        for (uint16_t& v : chunk) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            v = uint16_t((state & 0x80ff) | 0x3c00);  // ± 2^-7 to 2^-5
        }
        for (int64_t at = 0; at < bytes; at += kChunk)
            gpu::copy_to_device(memory.data() + at, chunk.data(), std::min(kChunk, bytes - at), stream);
        gpu::synchronize(stream);
    }
};

template <class T>
DeviceMemory on_device(const std::vector<T>& values, gpu::Stream stream) {
    const auto bytes = int64_t(values.size() * sizeof(T));
    DeviceMemory memory(bytes, "benchmark's data");
    gpu::copy_to_device(memory.data(), values.data(), bytes, stream);
    gpu::synchronize(stream);
    return memory;
}
template <class T>
T* as(const DeviceMemory& memory) {
    return reinterpret_cast<T*>(memory.data());
}

// n integers from make(0) on.
template <class Make>
std::vector<int> numbers(int n, Make make) {
    std::vector<int> all;
    for (int i = 0; i < n; i++) all.push_back(make(i));
    return all;
}
