// tensor_stream.cpp: decodes bands of rows in parallel and passes them on in order.
#include "model/tensor_stream.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "model/tensor.h"

namespace {

constexpr int64_t kChunkBytes = int64_t(8) << 20;    // passed on in one call
constexpr int64_t kBandElements = int64_t(1) << 20;  // decoded before any of them is passed on
constexpr int64_t kRowsPerTask = 32;

bool same_bits(float a, float b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

void send(const std::vector<float>& values, DType to, const ByteSink& sink, const std::string& where) {
    const int64_t n = int64_t(values.size());
    if (to == DType::kF32) return sink(values.data(), n * int64_t(sizeof(float)));
    std::vector<bf16> rounded(values.size());
    int64_t inexact = n;  // index of the first value that changed
#pragma omp parallel for schedule(static) reduction(min : inexact)
    for (int64_t i = 0; i < n; i++) {
        rounded[size_t(i)] = to_bf16(values[size_t(i)]);
        if (!same_bits(to_f32(rounded[size_t(i)]), values[size_t(i)])) inexact = std::min(inexact, i);
    }
    if (inexact < n)
        fail("{}: expected values that bf16 holds exactly, as this kind of checkpoint needs, found {}", where,
             values[size_t(inexact)]);
    sink(rounded.data(), n * int64_t(sizeof(bf16)));
}

}  // namespace

void stream_bytes(const void* data, int64_t n_bytes, const ByteSink& sink) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    for (int64_t begin = 0; begin < n_bytes; begin += kChunkBytes)
        sink(bytes + begin, std::min(kChunkBytes, n_bytes - begin));
}

void stream_vector(const Vector& v, DType to, const ByteSink& sink, const std::string& where) {
    if (v.data && v.dtype == to) return stream_bytes(v.data, v.n * element_bytes(to), sink);
    std::vector<float> values;
    for (int64_t begin = 0; begin < v.n; begin += kBandElements) {
        values.resize(size_t(std::min(kBandElements, v.n - begin)));
        for (size_t i = 0; i < values.size(); i++) values[i] = v[begin + int64_t(i)];
        send(values, to, sink, where);
    }
}

void stream_matrix(const Matrix& w, DType to, bool transposed, const ByteSink& sink, const std::string& where) {
    if (w.dtype == to && w.transposed == transposed) return stream_bytes(w.data, w.bytes(), sink);
    const int64_t n_rows = transposed ? w.n_in : w.n_out, n_cols = transposed ? w.n_out : w.n_in;
    // A multiple of MXFP4's block, which a band along n_in must not cut.
    const int64_t band_rows = std::max(kBandElements / n_cols / kMxBlock, int64_t(1)) * kMxBlock;
    std::vector<float> values;
    for (int64_t begin = 0; begin < n_rows; begin += band_rows) {
        const int64_t n = std::min(band_rows, n_rows - begin);
        values.resize(size_t(n * n_cols));
        const int64_t o_begin = transposed ? 0 : begin, o_end = transposed ? w.n_out : begin + n;
        const int64_t i_begin = transposed ? begin : 0, n_in = transposed ? n : w.n_in;
        const int64_t stride_o = transposed ? 1 : n_cols, stride_i = transposed ? n_cols : 1;
#pragma omp parallel for schedule(static)
        for (int64_t o = o_begin; o < o_end; o += kRowsPerTask)
            decode(w, o, std::min(kRowsPerTask, o_end - o), i_begin, n_in, values.data() + (o - o_begin) * stride_o,
                   stride_o, stride_i);
        send(values, to, sink, where);
    }
}
