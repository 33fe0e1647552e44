// uploader.h: host tensors into device memory, through two pinned buffers that fill and empty in turn.
#pragma once
#include <array>
#include <functional>
#include <memory>

#include "gpu/device_memory.h"
#include "kernels/kernels.h"
#include "model.h"

// Bytes of a matrix as it is sent: as many as in the file, or twice that for f16, which is sent as f32.
int64_t uploaded_bytes(const Matrix& m);

// Lays out and fills one block of device memory. Without a block (the first constructor) it counts bytes only, and the
// pointers it gives are null.
class Uploader {
  public:
    Uploader() = default;
    // largest_whole: bytes of the largest transposed matrix, which cannot be cut into rows.
    Uploader(char* base, int64_t largest_whole);
    ~Uploader();

    const float* vector(const Vector& v, bool zeros_if_absent);  // (n) as f32; nullptr if absent
    const bf16* rows(const Matrix& m);                           // (n_out, n_in) unpacked, rounded to bf16
    const void* router(const Matrix& m);                         // (n_out, n_in), in bf16 if m is, else in f32
    PackedMatrix matrix(const Matrix& m, const Vector& bias, SlabRows rows, int head_dim);
    PackedMatrix experts(const ExpertMatrices& m, const Vector& bias, SlabRows rows);
    const float* floats(const std::vector<float>& values);

    int64_t used() const { return layout_.used(); }
    void finish();  // waits until all has arrived

  private:
    struct Buffer {
        explicit Buffer(int64_t bytes);
        ~Buffer();
        PinnedMemory pinned;
        DeviceMemory raw;
        gpu::Stream stream;
    };
    bool counting() const { return !buffers_[0]; }
    Buffer& next_buffer();
    // Lets `fill` write to pinned memory, sends that, and calls then(device copy, stream).
    void send(int64_t bytes, const std::function<void(char*)>& fill,
              const std::function<void(const char*, gpu::Stream)>& then);
    void copy_bytes(void* to, const void* from, int64_t bytes);
    void pack(const PackedMatrix& to, int expert, const Matrix& m, SlabRows rows, int head_dim);

    Layout layout_;
    int64_t buffer_bytes_ = 0;
    std::array<std::unique_ptr<Buffer>, 2> buffers_;
    size_t turn_ = 0;
};
