// runtime.cpp: gpu/runtime.h for the emulation: device memory is the host's, and all is done when it is asked for.
#include "gpu/runtime.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "emu/hip_runtime.h"
#include "emu/memory.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMemoryBytes = int64_t(16) << 30;
constexpr size_t kAlignment = 256;
constexpr int kUnset = 0xff;  // memory before it is written: NaN as f32 and as bf16

struct Memory {
    std::mutex mutex;
    std::map<char*, int64_t> blocks;
    int64_t used = 0;
};
Memory& memory() {
    static Memory m;
    return m;
}

// EMU_GROUPS=0: an older device of the same maker.
bool has_wave_groups() {
    const char* const groups = std::getenv("EMU_GROUPS");
    return std::strcmp(emu::kTarget, "SM80") == 0 && !(groups && std::strcmp(groups, "0") == 0);
}

}  // namespace

std::map<char*, int64_t> emu::device_memory() {
    const std::lock_guard lock(memory().mutex);
    return memory().blocks;
}

namespace gpu {

int device_count() {
    return 1;
}

void set_device(int) {}

DeviceInfo device_info(int) {
    const std::lock_guard lock(memory().mutex);
    DeviceInfo info;
    info.name = info.target = std::string("emulated ") + emu::kTarget;
    info.wave = emu::kWaveLanes;
    info.wave_groups = has_wave_groups();
    info.n_units = 4;
    info.memory_bytes = kMemoryBytes;
    info.free_bytes = kMemoryBytes - memory().used;
    return info;
}

std::string unusable(int) {
    return {};
}

void* try_allocate(int64_t bytes) {
    const std::lock_guard lock(memory().mutex);
    void* p = nullptr;
    if (bytes > kMemoryBytes - memory().used || posix_memalign(&p, kAlignment, size_t(bytes)) != 0) return nullptr;
    std::memset(p, kUnset, size_t(bytes));
    memory().blocks[static_cast<char*>(p)] = bytes;
    memory().used += bytes;
    return p;
}

void release(void* device_memory) {
    if (!device_memory) return;
    const std::lock_guard lock(memory().mutex);
    const auto found = memory().blocks.find(static_cast<char*>(device_memory));
    if (found == memory().blocks.end()) {
        std::fprintf(stderr, "emu: release of what is no device memory, or twice\n");
        std::abort();
    }
    memory().used -= found->second;
    memory().blocks.erase(found);
    std::free(device_memory);
}

void* allocate_pinned(int64_t bytes) {
    return std::malloc(size_t(bytes));
}

void release_pinned(void* host_memory) {
    std::free(host_memory);
}

void copy_to_device(void* device_to, const void* host_from, int64_t bytes, Stream) {
    if (bytes > 0) std::memcpy(device_to, host_from, size_t(bytes));
}

void copy_to_host(void* host_to, const void* device_from, int64_t bytes, Stream) {
    if (bytes > 0) std::memcpy(host_to, device_from, size_t(bytes));
}

void copy_on_device(void* device_to, const void* device_from, int64_t bytes, Stream) {
    if (bytes > 0) std::memmove(device_to, device_from, size_t(bytes));
}

void fill(void* device_memory, int byte, int64_t bytes, Stream) {
    if (bytes > 0) std::memset(device_memory, byte, size_t(bytes));
}

// Handles that ASan can see the end of.
Stream make_stream() {
    return new char;
}
void destroy_stream(Stream stream) {
    delete static_cast<char*>(stream);
}
void synchronize(Stream) {}

Event make_event() {
    return new Clock::time_point;
}
void destroy_event(Event event) {
    delete static_cast<Clock::time_point*>(event);
}
void record(Event event, Stream) {
    *static_cast<Clock::time_point*>(event) = Clock::now();
}
void wait_for(Event) {}
float elapsed_ms(Event from, Event to) {
    const auto time = *static_cast<Clock::time_point*>(to) - *static_cast<Clock::time_point*>(from);
    return std::chrono::duration<float, std::milli>(time).count();
}

bool graphs_supported() {
    return false;
}
void begin_capture(Stream) {
    std::fprintf(stderr, "emu: no graphs\n");
    std::abort();
}
Graph end_capture(Stream) {
    return nullptr;
}
void launch_graph(Graph, Stream) {}
void destroy_graph(Graph) {}

void allow_lds(const void*, size_t) {}

}  // namespace gpu
