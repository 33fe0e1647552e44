// tensor_stream.h: tensors as streams of bytes in another dtype or order, a few megabytes at a time.
#pragma once
#include <functional>
#include <string>

#include "model.h"

using ByteSink = std::function<void(const void* data, int64_t n_bytes)>;

void stream_bytes(const void* data, int64_t n_bytes, const ByteSink& sink);
// Streams zeros for an absent vector. Throws Error, with `where`, if a value changes when f32 becomes bf16.
void stream_vector(const Vector& v, DType to, const ByteSink& sink, const std::string& where);
// Streams the rows of (n_out, n_in), or of (n_in, n_out) if `transposed`. `to` is f32, bf16 or the dtype of w. Throws
// as above.
void stream_matrix(const Matrix& w, DType to, bool transposed, const ByteSink& sink, const std::string& where);
