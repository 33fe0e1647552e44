// runtime.h: what host code asks of a device: memory, copies, streams, events, graphs. No vendor's type in here, so
// that it is compiled by the host's own compiler. What fails throws DeviceError, but for allocation, where the caller
// knows what to tell the user, and for what destructors call: a broken device fails at everything, and is let go.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace gpu {

using Stream = void*;  // nullptr: the default stream
using Event = void*;
using Graph = void*;

// From then on nothing works on that device, as far as this process goes; others are as they were.
struct DeviceError : std::runtime_error {
    DeviceError(int device_id, const std::string& what_failed)
        : std::runtime_error("GPU " + std::to_string(device_id) + ": " + what_failed),
          device(device_id),
          why(what_failed) {}
    int device;
    std::string why;
};
// Of the current device. what: the call. status: the runtime's word for what is wrong.
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
void* allocate_pinned(int64_t bytes);  // host memory that copies need not stage, and that all devices reach
void release_pinned(void* host_memory) noexcept;

// Ordered on the stream; host memory must stay as it is until synchronize().
void copy_to_device(void* device_to, const void* host_from, int64_t bytes, Stream stream);
void copy_to_host(void* host_to, const void* device_from, int64_t bytes, Stream stream);
// Whether copies go from one device's memory straight to another's; lets them, if so.
bool open_peers(int from_device, int to_device);
void copy_to_peer(void* to, int to_device, const void* from, int from_device, int64_t bytes, Stream stream);
void copy_on_device(void* device_to, const void* device_from, int64_t bytes, Stream stream);
void fill(void* device_memory, int byte, int64_t bytes, Stream stream);

Stream make_stream();
void destroy_stream(Stream stream) noexcept;
void synchronize(Stream stream);
void leave(Stream stream) noexcept;  // for destructors: waits for what can still be done

Event make_event();
void destroy_event(Event event) noexcept;
void record(Event event, Stream stream);
void wait_for(Event event);                 // the host does, for what was recorded last
void wait_for(Event event, Stream stream);  // what comes on the stream does; nothing, if it never was recorded
float elapsed_ms(Event from, Event to);     // both recorded, the stream synchronized

// All that is launched on `stream` between the two is recorded, not run. The emulation has no graphs.
bool graphs_supported();
void begin_capture(Stream stream);
Graph end_capture(Stream stream);
void launch_graph(Graph graph, Stream stream);
void destroy_graph(Graph graph) noexcept;

// Lets a kernel use more dynamic LDS than a launch may have by default.
void allow_lds(const void* kernel, size_t bytes);

}  // namespace gpu
