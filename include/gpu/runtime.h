// runtime.h: what host code asks of a device: memory, copies, streams, events, graphs. No vendor's type in here, so
// that it is compiled by the host's own compiler. A failure is the device's or ours and ends the program with one line,
// but for allocation, where the caller knows what to tell the user.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace gpu {

using Stream = void*;  // nullptr: the default stream
using Event = void*;
using Graph = void*;

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
DeviceInfo device_info(int device);
// Empty if the device runs what this program was compiled for; else one line that says why not.
std::string unusable(int device);

void* try_allocate(int64_t bytes);  // device memory, 256-byte aligned; nullptr if there is not enough
void release(void* device_memory);
void* allocate_pinned(int64_t bytes);  // host memory that copies need not stage, and that all devices reach
void release_pinned(void* host_memory);

// Ordered on the stream; host memory must stay as it is until synchronize().
void copy_to_device(void* device_to, const void* host_from, int64_t bytes, Stream stream);
void copy_to_host(void* host_to, const void* device_from, int64_t bytes, Stream stream);
// Whether copies go from one device's memory straight to another's; lets them, if so.
bool open_peers(int from_device, int to_device);
void copy_to_peer(void* to, int to_device, const void* from, int from_device, int64_t bytes, Stream stream);
void copy_on_device(void* device_to, const void* device_from, int64_t bytes, Stream stream);
void fill(void* device_memory, int byte, int64_t bytes, Stream stream);

Stream make_stream();
void destroy_stream(Stream stream);
void synchronize(Stream stream);

Event make_event();
void destroy_event(Event event);
void record(Event event, Stream stream);
void wait_for(Event event);                 // the host does, for what was recorded last
void wait_for(Event event, Stream stream);  // what comes on the stream does; nothing, if it never was recorded
float elapsed_ms(Event from, Event to);     // both recorded, the stream synchronized

// All that is launched on `stream` between the two is recorded, not run. The emulation has no graphs.
bool graphs_supported();
void begin_capture(Stream stream);
Graph end_capture(Stream stream);
void launch_graph(Graph graph, Stream stream);
void destroy_graph(Graph graph);

// Lets a kernel use more dynamic LDS than a launch may have by default.
void allow_lds(const void* kernel, size_t bytes);

}  // namespace gpu
