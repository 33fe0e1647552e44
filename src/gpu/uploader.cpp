// uploader.cpp: a matrix travels in pieces of whole slabs, each packed on the device as soon as it is there.
#include "gpu/uploader.h"

#include <algorithm>
#include <cstring>

namespace {

constexpr int64_t kBufferBytes = int64_t(32) << 20;

// The type in which a dtype is sent. f16 is sent as f32, which holds all its values, so that no kernel needs to know
// f16.
SourceType source_type(DType dtype) {
    if (dtype == DType::kMXFP4) return SourceType::kMXFP4;
    return dtype == DType::kBF16 ? SourceType::kBF16 : SourceType::kF32;
}

// Bytes of one dense element as it is sent.
int64_t source_bytes(DType dtype) {
    return source_type(dtype) == SourceType::kBF16 ? 2 : 4;
}

// Whether the kernels' form of MXFP4 can hold these weights, as it can hold all that training could have made.
bool fits_packed(const ExpertMatrices& m) {
    if (m.first.dtype != DType::kMXFP4) return false;
    const int64_t n = m.n_experts * m.first.n_out * (m.first.n_in / 32);
    int largest = 0;
#pragma omp parallel for schedule(static) reduction(max : largest)
    for (int64_t i = 0; i < n; i++) largest = std::max<int>(largest, m.first.scales[i]);
    return largest <= kLargestPackedScale;
}

// One core cannot read a file's pages as fast as the device takes them.
void parallel_copy(char* to, const void* from, int64_t bytes) {
    constexpr int64_t kPiece = int64_t(1) << 20;
    const auto* source = static_cast<const char*>(from);
#pragma omp parallel for schedule(static) if (bytes > kPiece)
    for (int64_t at = 0; at < bytes; at += kPiece)
        std::memcpy(to + at, source + at, size_t(std::min(kPiece, bytes - at)));
}

// Copies n dense elements into the type in which they are sent.
void copy_dense(char* to, const void* from, DType dtype, int64_t n) {
    if (dtype != DType::kF16) return parallel_copy(to, from, n * source_bytes(dtype));
    const auto* halves = static_cast<const f16*>(from);
    auto* floats = reinterpret_cast<float*>(to);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) floats[i] = to_f32(halves[i]);
}

}  // namespace

int64_t uploaded_bytes(const Matrix& m) {
    return m.dtype == DType::kMXFP4 ? m.bytes() : m.n_out * m.n_in * source_bytes(m.dtype);
}

Uploader::Buffer::Buffer(int64_t bytes) : pinned(bytes), raw(bytes, "weights' way in"), stream(gpu::make_stream()) {}

Uploader::Buffer::~Buffer() {
    gpu::leave(stream);
    gpu::destroy_stream(stream);
}

Uploader::Uploader(char* base, int64_t largest_whole)
    : layout_(base), buffer_bytes_(std::max(kBufferBytes, largest_whole)) {
    for (auto& buffer : buffers_) buffer = std::make_unique<Buffer>(buffer_bytes_);
}

Uploader::~Uploader() = default;

Uploader::Buffer& Uploader::next_buffer() {
    Buffer& buffer = *buffers_[turn_++ % buffers_.size()];
    gpu::synchronize(buffer.stream);
    return buffer;
}

void Uploader::send(int64_t bytes, const std::function<void(char*)>& fill,
                    const std::function<void(const char*, gpu::Stream)>& then) {
    Buffer& buffer = next_buffer();
    fill(buffer.pinned.data());
    gpu::copy_to_device(buffer.raw.data(), buffer.pinned.data(), bytes, buffer.stream);
    then(buffer.raw.data(), buffer.stream);
}

void Uploader::copy_bytes(void* to, const void* from, int64_t bytes) {
    for (int64_t at = 0; at < bytes; at += buffer_bytes_) {
        const int64_t n = std::min(buffer_bytes_, bytes - at);
        Buffer& buffer = next_buffer();
        parallel_copy(buffer.pinned.data(), static_cast<const char*>(from) + at, n);
        gpu::copy_to_device(static_cast<char*>(to) + at, buffer.pinned.data(), n, buffer.stream);
    }
}

const float* Uploader::floats(const std::vector<float>& values) {
    auto* const to = layout_.take<float>(int64_t(values.size()));
    if (!counting()) copy_bytes(to, values.data(), int64_t(values.size() * sizeof(float)));
    return to;
}

const float* Uploader::vector(const Vector& v, bool zeros_if_absent) {
    if (!v.data && !zeros_if_absent) return nullptr;
    auto* const to = layout_.take<float>(v.n);
    if (counting()) return to;
    for (int64_t at = 0; at < v.n; at += buffer_bytes_ / 4) {
        const int64_t n = std::min(buffer_bytes_ / 4, v.n - at);
        send(
            4 * n,
            [&](char* pinned) {
                for (int64_t i = 0; i < n; i++) reinterpret_cast<float*>(pinned)[i] = v[at + i];
            },
            [&](const char* raw, gpu::Stream stream) { widen_vector(to + at, raw, SourceType::kF32, n, stream); });
    }
    return to;
}

const bf16* Uploader::rows(const Matrix& m) {
    auto* const to = layout_.take<bf16>(m.n_out * m.n_in);
    if (counting()) return to;
    if (m.dtype == DType::kBF16) {
        copy_bytes(to, m.data, m.bytes());
        return to;
    }
    const int64_t rows_at_once = std::max<int64_t>(1, buffer_bytes_ / (4 * m.n_in));
    for (int64_t row = 0; row < m.n_out; row += rows_at_once) {
        const int64_t n = std::min(rows_at_once, m.n_out - row) * m.n_in;
        Buffer& buffer = next_buffer();
        auto* const pinned = reinterpret_cast<bf16*>(buffer.pinned.data());
        const Vector from{m.dtype, m.n_out * m.n_in, m.data};
#pragma omp parallel for
        for (int64_t i = 0; i < n; i++) pinned[i] = to_bf16(from[row * m.n_in + i]);
        gpu::copy_to_device(to + row * m.n_in, pinned, 2 * n, buffer.stream);
    }
    return to;
}

const void* Uploader::router(const Matrix& m) {
    auto* const to = layout_.take<char>(uploaded_bytes(m));
    if (counting()) return to;
    std::vector<char> values(size_t(uploaded_bytes(m)));
    copy_dense(values.data(), m.data, m.dtype, m.n_out * m.n_in);
    copy_bytes(to, values.data(), int64_t(values.size()));
    return to;
}

void Uploader::pack(const PackedMatrix& to, int expert, const Matrix& m, SlabRows rows, int head_dim) {
    const bool mxfp4 = m.dtype == DType::kMXFP4, stays = to.mxfp4;
    const int n_in = int(m.n_in), unit = rows == SlabRows::kRotated ? head_dim : kSlabRows;
    const int64_t row_bytes = uploaded_bytes(m) / m.n_out;
    const int64_t at_once = m.transposed ? m.n_out : std::max<int64_t>(1, buffer_bytes_ / row_bytes / unit) * unit;
    char* const tiles =
        static_cast<char*>(const_cast<void*>(to.tiles)) + expert * packed_tile_bytes(mxfp4, to.n_out, n_in);
    char* const scales =
        mxfp4 ? reinterpret_cast<char*>(const_cast<uint32_t*>(to.scales)) + expert * packed_scale_bytes(to.n_out, n_in)
              : nullptr;
    for (int64_t row = 0; row < m.n_out; row += at_once) {
        const int n = int(std::min(at_once, m.n_out - row));
        const Matrix part = m.transposed ? m : m.rows(row, n);
        const int64_t scale_bytes = mxfp4 ? n * m.n_in / 32 : 0, data_bytes = uploaded_bytes(part) - scale_bytes;
        send(
            uploaded_bytes(part),
            [&](char* pinned) {
                if (!mxfp4) return copy_dense(pinned, part.data, part.dtype, part.n_out * part.n_in);
                parallel_copy(pinned, part.data, data_bytes);
                parallel_copy(pinned + data_bytes, part.scales, scale_bytes);
            },
            [&](const char* raw, gpu::Stream stream) {
                char* const to_scales = stays ? scales + packed_scale_bytes(int(row), n_in) : nullptr;
                pack_matrix(tiles + packed_tile_bytes(stays, int(row), n_in), reinterpret_cast<uint32_t*>(to_scales),
                            raw, mxfp4 ? reinterpret_cast<const uint8_t*>(raw + data_bytes) : nullptr,
                            source_type(m.dtype), m.transposed, n, n_in, rows, head_dim, stream);
            });
    }
}

PackedMatrix Uploader::matrix(const Matrix& m, const Vector& bias, SlabRows rows, int head_dim) {
    PackedMatrix to;
    to.n_out = int(m.n_out);
    to.n_in = int(m.n_in);
    to.tiles = layout_.take<char>(packed_tile_bytes(false, to.n_out, to.n_in));
    to.bias = vector(bias, false);
    if (!counting()) pack(to, 0, m, rows, head_dim);
    return to;
}

PackedMatrix Uploader::experts(const ExpertMatrices& m, const Vector& bias, SlabRows rows) {
    PackedMatrix to;
    to.mxfp4 = fits_packed(m);
    to.n_out = int(m.first.n_out);
    to.n_in = int(m.first.n_in);
    to.n_experts = m.n_experts;
    to.tiles = layout_.take<char>(m.n_experts * packed_tile_bytes(to.mxfp4, to.n_out, to.n_in));
    if (to.mxfp4)
        to.scales =
            reinterpret_cast<uint32_t*>(layout_.take<char>(m.n_experts * packed_scale_bytes(to.n_out, to.n_in)));
    to.bias = vector(bias, false);
    if (!counting())
        for (int e = 0; e < m.n_experts; e++) pack(to, e, m[e], rows, 0);
    return to;
}

void Uploader::finish() {
    for (auto& buffer : buffers_) gpu::synchronize(buffer->stream);
}
