// runtime.h: what host code asks of a device: memory, copies, streams, events, graphs. It has no vendor's types, so
// that the host's own compiler can compile it. Functions throw DeviceError, with two exceptions: after an allocation
// the caller knows better what to tell the user; and destructors must not throw when a device is broken.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace gpu {

using Stream = void*;  // nullptr: the default stream
using Event = void*;
using Graph = void*;

// From then on this process cannot use that device. Other devices still work.
struct DeviceError : std::runtime_error {
    DeviceError(int device_id, const std::string& what_failed)
        : std::runtime_error("GPU " + std::to_string(device_id) + ": " + what_failed),
          device(device_id),
          why(what_failed) {}
    int device;
    std::string why;
};
// Throws DeviceError for the current device. what: the call. status: the runtime's word for what is wrong.
[[noreturn]] void device_failed(const char* what, const char* status);

struct DeviceInfo {
    std::string name;
    std::string target;        // gfx90a, sm_90, emulated CDNA, ...
    int wave = 0;              // lanes
    bool wave_groups = false;  // has the instructions of gpu/group_mma.h
    int n_units = 0;           // compute units, multiprocessors
    int64_t free_bytes = 0;    // of device memory
};

int device_count();           // 0 if there is none or no driver
void set_device(int device);  // of the calling thread
void try_set_device(int device) noexcept;
DeviceInfo device_info(int device);
// Empty if the device runs what this program was compiled for; else one line that says why not.
std::string unusable(int device);

void* try_allocate(int64_t bytes);  // device memory, 256-byte aligned; nullptr if there is not enough
void release(void* device_memory) noexcept;
void* allocate_pinned(int64_t bytes);  // host memory that all devices can reach, and copy without an extra step
void release_pinned(void* host_memory) noexcept;

// In the order of the stream. Host memory must stay unchanged until synchronize().
void copy_to_device(void* device_to, const void* host_from, int64_t bytes, Stream stream);
void copy_to_host(void* host_to, const void* device_from, int64_t bytes, Stream stream);
// Enables copies straight from one device's memory to the other's. False: they are not possible.
bool open_peers(int from_device, int to_device);
void copy_to_peer(void* to, int to_device, const void* from, int from_device, int64_t bytes, Stream stream);
void copy_on_device(void* device_to, const void* device_from, int64_t bytes, Stream stream);
void fill(void* device_memory, int byte, int64_t bytes, Stream stream);

Stream make_stream();
void destroy_stream(Stream stream) noexcept;
void synchronize(Stream stream);
void leave(Stream stream) noexcept;  // for destructors: waits for the work that the device still does

Event make_event();
void destroy_event(Event event) noexcept;
void record(Event event, Stream stream);
void wait_for(Event event);                 // the host waits for the event as it was last recorded
void wait_for(Event event, Stream stream);  // later work on the stream waits; not if the event was never recorded
float elapsed_ms(Event from, Event to);     // both must be recorded, and the stream synchronized

// What is launched on `stream` between these two calls is recorded, not run. The emulation has no graphs.
bool graphs_supported();
void begin_capture(Stream stream);
Graph end_capture(Stream stream);
void launch_graph(Graph graph, Stream stream);
void destroy_graph(Graph graph) noexcept;

// Lets a kernel use more dynamic LDS than a launch may have by default.
void allow_lds(const void* kernel, size_t bytes);

}  // namespace gpu
