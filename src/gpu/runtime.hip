// runtime.hip: gpu/runtime.h on AMD's and NVIDIA's runtimes.
#include "gpu/runtime.h"

#include <map>
#include <mutex>

#include "gpu/platform.h"

namespace {

// The target to compile for, from the name that the device gives: gfx90a from "gfx90a:sramecc+:xnack-".
std::string target_of(const hipDeviceProp_t& properties) {
#ifdef __CUDACC__
    return "sm_" + std::to_string(properties.major) + std::to_string(properties.minor);
#else
    const std::string name = properties.gcnArchName;
    return name.substr(0, name.find(':'));
#endif
}

hipDeviceProp_t properties_of(int device) {
    hipDeviceProp_t properties;
    GPU_CHECK(hipGetDeviceProperties(&properties, device));
    return properties;
}

hipStream_t native(gpu::Stream stream) {
    return static_cast<hipStream_t>(stream);
}
hipEvent_t native_event(gpu::Event event) {
    return static_cast<hipEvent_t>(event);
}
hipGraphExec_t native_graph(gpu::Graph graph) {
    return static_cast<hipGraphExec_t>(graph);
}

}  // namespace

namespace gpu {

void device_failed(const char* what, const char* status) {
    int device = -1;
    (void)hipGetDevice(&device);
    throw DeviceError(device, std::string(what) + ": " + status);
}

int device_count() {
    int n = 0;
    if (hipGetDeviceCount(&n) == hipSuccess) return n;
    (void)hipGetLastError();  // it would be the next launch's
    return 0;
}

void set_device(int device) {
    GPU_CHECK(hipSetDevice(device));
}

void try_set_device(int device) noexcept {
    (void)hipSetDevice(device);
}

DeviceInfo device_info(int device) {
    const hipDeviceProp_t properties = properties_of(device);
    size_t free = 0, total = 0;
    int before = 0;
    GPU_CHECK(hipGetDevice(&before));
    GPU_CHECK(hipSetDevice(device));
    GPU_CHECK(hipMemGetInfo(&free, &total));
    GPU_CHECK(hipSetDevice(before));
    DeviceInfo info;
    info.name = properties.name;
    info.target = target_of(properties);
    info.wave = properties.warpSize;
    info.wave_groups = info.target == "sm_90";
    info.n_units = properties.multiProcessorCount;
    info.free_bytes = int64_t(free);
    return info;
}

// GPU_TARGETS: what the kernels were compiled for, separated by spaces.
std::string unusable(int device) {
    const std::string target = target_of(properties_of(device)), compiled = GPU_TARGETS;
    if ((" " + compiled + " ").find(" " + target + " ") != std::string::npos) return {};
    return "device " + std::to_string(device) + " is " + target + "; this program was built for " + compiled;
}

void* try_allocate(int64_t bytes) {
    void* p = nullptr;
    if (hipMalloc(&p, size_t(bytes)) == hipSuccess) return p;
    (void)hipGetLastError();
    return nullptr;
}
void release(void* device_memory) noexcept {
    (void)hipFree(device_memory);
}
void* allocate_pinned(int64_t bytes) {
    void* p = nullptr;
    GPU_CHECK(hipHostMalloc(&p, size_t(bytes), hipHostMallocPortable));
    return p;
}
void release_pinned(void* host_memory) noexcept {
    (void)hipHostFree(host_memory);
}

void copy_to_device(void* device_to, const void* host_from, int64_t bytes, Stream stream) {
    GPU_CHECK(hipMemcpyAsync(device_to, host_from, size_t(bytes), hipMemcpyHostToDevice, native(stream)));
}
void copy_to_host(void* host_to, const void* device_from, int64_t bytes, Stream stream) {
    GPU_CHECK(hipMemcpyAsync(host_to, device_from, size_t(bytes), hipMemcpyDeviceToHost, native(stream)));
}
bool open_peers(int from_device, int to_device) {
    int can = 0, before = 0;
    GPU_CHECK(hipDeviceCanAccessPeer(&can, from_device, to_device));
    if (!can) return false;
    GPU_CHECK(hipGetDevice(&before));
    GPU_CHECK(hipSetDevice(from_device));
    const hipError_t status = hipDeviceEnablePeerAccess(to_device, 0);
    (void)hipGetLastError();  // it would be the next launch's
    GPU_CHECK(hipSetDevice(before));
    return status == hipSuccess || status == hipErrorPeerAccessAlreadyEnabled;
}
void copy_to_peer(void* to, int to_device, const void* from, int from_device, int64_t bytes, Stream stream) {
    GPU_CHECK(hipMemcpyPeerAsync(to, to_device, from, from_device, size_t(bytes), native(stream)));
}
void copy_on_device(void* device_to, const void* device_from, int64_t bytes, Stream stream) {
    GPU_CHECK(hipMemcpyAsync(device_to, device_from, size_t(bytes), hipMemcpyDeviceToDevice, native(stream)));
}
void fill(void* device_memory, int byte, int64_t bytes, Stream stream) {
    GPU_CHECK(hipMemsetAsync(device_memory, byte, size_t(bytes), native(stream)));
}

Stream make_stream() {
    hipStream_t stream = nullptr;
    GPU_CHECK(hipStreamCreateWithFlags(&stream, hipStreamNonBlocking));
    return stream;
}
void destroy_stream(Stream stream) noexcept {
    (void)hipStreamDestroy(native(stream));
}
void synchronize(Stream stream) {
    GPU_CHECK(hipStreamSynchronize(native(stream)));
}
void leave(Stream stream) noexcept {
    (void)hipStreamSynchronize(native(stream));
}

Event make_event() {
    hipEvent_t event = nullptr;
    GPU_CHECK(hipEventCreate(&event));
    return event;
}
void destroy_event(Event event) noexcept {
    (void)hipEventDestroy(native_event(event));
}
void record(Event event, Stream stream) {
    GPU_CHECK(hipEventRecord(native_event(event), native(stream)));
}
void wait_for(Event event) {
    GPU_CHECK(hipEventSynchronize(native_event(event)));
}
void wait_for(Event event, Stream stream) {
    GPU_CHECK(hipStreamWaitEvent(native(stream), native_event(event), 0));
}
float elapsed_ms(Event from, Event to) {
    float ms = 0;
    GPU_CHECK(hipEventElapsedTime(&ms, native_event(from), native_event(to)));
    return ms;
}

bool graphs_supported() {
    return true;
}
void begin_capture(Stream stream) {
    GPU_CHECK(hipStreamBeginCapture(native(stream), hipStreamCaptureModeThreadLocal));
}
Graph end_capture(Stream stream) {
    hipGraph_t recorded = nullptr;
    GPU_CHECK(hipStreamEndCapture(native(stream), &recorded));
    hipGraphExec_t graph = nullptr;
    GPU_CHECK(hipGraphInstantiate(&graph, recorded, nullptr, nullptr, 0));
    GPU_CHECK(hipGraphDestroy(recorded));
    return graph;
}
void launch_graph(Graph graph, Stream stream) {
    GPU_CHECK(hipGraphLaunch(native_graph(graph), native(stream)));
}
void destroy_graph(Graph graph) noexcept {
    (void)hipGraphExecDestroy(native_graph(graph));
}

// AMD gives a launch all the LDS that there is. NVIDIA must be told, on each device, if a kernel takes more than 48 KB.
// A kernel's static arrays are part of those, but are not counted here.
void allow_lds([[maybe_unused]] const void* kernel, [[maybe_unused]] size_t bytes) {
#ifdef __CUDACC__
    constexpr size_t kUntold = 32 << 10;
    if (bytes <= kUntold) return;
    static std::mutex mutex;
    static std::map<std::pair<const void*, int>, size_t> allowed;
    int device = 0;
    GPU_CHECK(hipGetDevice(&device));
    const std::lock_guard<std::mutex> lock(mutex);
    size_t& most = allowed[{kernel, device}];
    if (bytes <= most) return;
    GPU_CHECK(hipFuncSetAttribute(kernel, hipFuncAttributeMaxDynamicSharedMemorySize, int(bytes)));
    most = bytes;
#endif
}

}  // namespace gpu
