// link.cpp: makes each side wait for the other: a buffer is filled again only after its content has been passed on.
#include "gpu/link.h"

Link::Side::Side(int device_id, int64_t bytes) : device(device_id) {
    gpu::set_device(device);
    buffer = DeviceMemory(bytes, "residual between devices");
    stream = gpu::make_stream();
    for (gpu::Event* const event : {&copied, &ready}) *event = gpu::make_event();
}

Link::Side::~Side() {
    gpu::try_set_device(device);
    gpu::leave(stream);
    for (const gpu::Event event : {copied, ready}) gpu::destroy_event(event);
    gpu::destroy_stream(stream);
    buffer = {};
}

Link::Link(int from_device, int to_device, int64_t bytes, bool peers)
    : from_(from_device, bytes), to_(to_device, bytes) {
    if (!peers || !gpu::open_peers(from_device, to_device)) host_ = std::make_unique<PinnedMemory>(bytes);
}

Link::~Link() = default;

void Link::send(const void* x, int64_t bytes, gpu::Stream stream) {
    gpu::wait_for(from_.copied, stream);
    gpu::copy_on_device(from_.buffer.data(), x, bytes, stream);
    gpu::record(from_.ready, stream);
    gpu::wait_for(from_.ready, from_.stream);
    gpu::wait_for(to_.ready, from_.stream);
    if (host_)
        gpu::copy_to_host(host_->data(), from_.buffer.data(), bytes, from_.stream);
    else
        gpu::copy_to_peer(to_.buffer.data(), to_.device, from_.buffer.data(), from_.device, bytes, from_.stream);
    gpu::record(from_.copied, from_.stream);
}

void Link::receive(void* x, int64_t bytes, gpu::Stream stream) {
    if (host_) {
        gpu::wait_for(from_.copied, to_.stream);
        gpu::copy_to_device(to_.buffer.data(), host_->data(), bytes, to_.stream);
        gpu::record(to_.copied, to_.stream);
    }
    gpu::wait_for(host_ ? to_.copied : from_.copied, stream);
    gpu::copy_on_device(x, to_.buffer.data(), bytes, stream);
    gpu::record(to_.ready, stream);
}
