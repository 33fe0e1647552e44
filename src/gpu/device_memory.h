// device_memory.h: owned device and pinned memory. Running out throws Error with a number.
#pragma once
#include <utility>

#include "error.h"
#include "gpu/runtime.h"

class DeviceMemory {
  public:
    DeviceMemory() = default;
    // `what`: what the error says the memory is for, if there is not enough.
    DeviceMemory(int64_t bytes, const char* what)
        : bytes_(bytes), data_(bytes > 0 ? gpu::try_allocate(bytes) : nullptr) {
        if (bytes > 0 && !data_) fail("GPU memory: cannot allocate {} MB for the {}", bytes / 1000000 + 1, what);
    }
    ~DeviceMemory() {
        if (data_) gpu::release(data_);
    }
    DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
    DeviceMemory& operator=(DeviceMemory&& other) noexcept {
        swap(other);
        return *this;
    }

    char* data() const { return static_cast<char*>(data_); }
    int64_t bytes() const { return bytes_; }

  private:
    void swap(DeviceMemory& other) {
        std::swap(bytes_, other.bytes_);
        std::swap(data_, other.data_);
    }
    int64_t bytes_ = 0;
    void* data_ = nullptr;
};

class PinnedMemory {
  public:
    explicit PinnedMemory(int64_t bytes) : data_(gpu::allocate_pinned(bytes)) {}
    ~PinnedMemory() { gpu::release_pinned(data_); }
    PinnedMemory(const PinnedMemory&) = delete;
    PinnedMemory& operator=(const PinnedMemory&) = delete;

    char* data() const { return static_cast<char*>(data_); }

  private:
    void* data_;
};

// Hands out pieces of a block, 256-byte aligned. Without a block it only counts bytes, so that the code that lays out
// memory can also say beforehand how much it needs.
class Layout {
  public:
    Layout() = default;
    explicit Layout(char* base) : base_(base) {}

    template <class T>
    T* take(int64_t n) {
        char* const at = base_ ? base_ + used_ : nullptr;
        used_ += (n * int64_t(sizeof(T)) + 255) / 256 * 256;
        return reinterpret_cast<T*>(at);
    }
    int64_t used() const { return used_; }

  private:
    char* base_ = nullptr;
    int64_t used_ = 0;
};
