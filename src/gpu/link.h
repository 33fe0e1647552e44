// link.h: the residual on its way from one stage of a chain to the next.
#pragma once
#include <memory>

#include "gpu/device_memory.h"

// A buffer on either side, so that neither stage waits while a copy is under way on a stream of its own: straight where
// the devices are peers, else through pinned host memory.
class Link {
  public:
    // For up to `bytes`.
    Link(int from_device, int to_device, int64_t bytes, bool peers);
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    // From `x` as it will be on the sending device's `stream`. The caller makes the right device current for both.
    void send(const void* x, int64_t bytes, gpu::Stream stream);
    // Into `x`, before all that comes on the receiving device's `stream`: what was sent last.
    void receive(void* x, int64_t bytes, gpu::Stream stream);

  private:
    struct Side {
        Side(int device, int64_t bytes);
        ~Side();
        const int device;
        DeviceMemory buffer;
        gpu::Stream stream;
        gpu::Event copied;  // on `stream`: away from here, or to here
        gpu::Event ready;   // the stage has filled the buffer for that, or emptied it
    };
    Side from_, to_;
    std::unique_ptr<PinnedMemory> host_;  // null: peers
};
