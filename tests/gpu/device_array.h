// device_array.h: arrays on the device between guard bands, for tests of kernels.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "gpu/runtime.h"
#include "noise.h"

// n elements of T. Unwritten elements, and 256 bytes before and behind, are 0xff bytes: NaN as f32 and as bf16, -1 as
// int. So reading too much shows in the result, and download() reports writes outside.
template <class T>
class Guarded {
  public:
    explicit Guarded(size_t n) : n_(n), memory_(static_cast<char*>(gpu::try_allocate(all_bytes()))) {
        if (!memory_) throw std::bad_alloc();
        gpu::fill(memory_, kUnset, all_bytes(), nullptr);
        gpu::synchronize(nullptr);
    }
    explicit Guarded(const std::vector<T>& values) : Guarded(values.size()) { upload(values); }
    ~Guarded() { gpu::release(memory_); }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;

    T* data() const { return reinterpret_cast<T*>(memory_ + kGuardBytes); }
    size_t size() const { return n_; }

    void upload(const std::vector<T>& values) {
        ASSERT_EQ(values.size(), n_);
        gpu::copy_to_device(data(), values.data(), int64_t(n_ * sizeof(T)), nullptr);
        gpu::synchronize(nullptr);
    }

    // Waits for the default stream. `name` stands in the message about a guard band.
    std::vector<T> download(const char* name) const {
        std::vector<unsigned char> all(static_cast<size_t>(all_bytes()));
        gpu::copy_to_host(all.data(), memory_, all_bytes(), nullptr);
        gpu::synchronize(nullptr);
        const size_t end = kGuardBytes + n_ * sizeof(T);
        for (size_t i = 0; i < all.size(); i++)
            if ((i < kGuardBytes || i >= end) && all[i] != kUnset) {
                ADD_FAILURE() << name << ": byte " << int64_t(i) - int64_t(kGuardBytes) << " was written, of "
                              << n_ * sizeof(T);
                break;
            }
        std::vector<T> values(n_);
        if (n_ > 0) std::memcpy(values.data(), all.data() + kGuardBytes, n_ * sizeof(T));
        return values;
    }

  private:
    static constexpr size_t kGuardBytes = 256;  // keeps the alignment of an allocation
    static constexpr unsigned char kUnset = 0xff;

    int64_t all_bytes() const { return int64_t(2 * kGuardBytes + n_ * sizeof(T)); }

    size_t n_;
    char* memory_;
};
