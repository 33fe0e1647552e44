// link.h: the residual on its way from one stage of a chain to the next.
#pragma once
#include <memory>

#include "gpu/device_memory.h"

// There is a buffer on either side, so that neither stage waits for the copy, which has a stream of its own. The copy
// goes straight from device to device if they are peers, else through pinned host memory.
class Link {
  public:
    // For up to `bytes`.
    Link(int from_device, int to_device, int64_t bytes, bool peers);
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    // Sends `x` as it will be when the sending device's `stream` comes to this point. For this and for receive(), the
    // caller makes the right device current.
    void send(const void* x, int64_t bytes, gpu::Stream stream);
    // Puts what was sent last into `x`, before all that follows on the receiving device's `stream`.
    void receive(void* x, int64_t bytes, gpu::Stream stream);

  private:
    struct Side {
        Side(int device, int64_t bytes);
        ~Side();
        const int device;
        DeviceMemory buffer;
        gpu::Stream stream;
        gpu::Event copied;  // on `stream`: the copy from this buffer, or to it, is done
        gpu::Event ready;   // the stage has filled the buffer, or emptied it
    };
    Side from_, to_;
    std::unique_ptr<PinnedMemory> host_;  // null: peers
};
