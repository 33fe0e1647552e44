// roofs.cpp: times a copy here. How fast matrix cores can be comes from a table, as only a better product than ours
// would show it.
#include "gpu/roofs.h"

#include <utility>

#include "gpu/device_memory.h"

namespace {

// TFLOP/s of dense bf16 products, by the start of the device's name. H200: measured with a library's large product (the
// vendor says 990). Others: compute units × rate × clock.
double matrix_tflops(const std::string& name) {
    const std::pair<const char*, double> table[] = {
        {"NVIDIA H200", 811}, {"AMD Instinct MI250", 181}, {"AMD Instinct MI300", 1307}};
    for (const auto& [prefix, tflops] : table)
        if (name.rfind(prefix, 0) == 0) return tflops;
    return 0;
}

double copied_bytes_per_s(int64_t bytes, gpu::Stream stream) {
    const DeviceMemory from(bytes, "copy test"), to(bytes, "copy test");
    const gpu::Event begin = gpu::make_event(), end = gpu::make_event();
    double best_ms = 0;
    for (int round = 0; round < 6; round++) {
        gpu::record(begin, stream);
        gpu::copy_on_device(to.data(), from.data(), bytes, stream);
        gpu::record(end, stream);
        gpu::synchronize(stream);
        const double ms = double(gpu::elapsed_ms(begin, end));
        best_ms = round == 0 ? ms : std::min(best_ms, ms);
    }
    gpu::destroy_event(begin);
    gpu::destroy_event(end);
    return best_ms > 0 ? 2e3 * double(bytes) / best_ms : 0;
}

}  // namespace

Roofs measure_roofs(int device, gpu::Stream stream) {
    const gpu::DeviceInfo info = gpu::device_info(device);
    const int64_t most = int64_t(1) << 30;  // larger than any cache
    return {copied_bytes_per_s(std::min(most, info.free_bytes / 64), stream), 1e12 * matrix_tflops(info.name)};
}
