// tensor_stream.h: tensors as streams of bytes in another dtype or order, a few megabytes at a time.
#pragma once
#include <functional>
#include <string>

#include "model.h"

using ByteSink = std::function<void(const void* data, int64_t n_bytes)>;

void stream_bytes(const void* data, int64_t n_bytes, const ByteSink& sink);
// Zeros for an absent vector. f32 goes to bf16 only if no value changes; throws Error otherwise, with `where`.
void stream_vector(const Vector& v, DType to, const ByteSink& sink, const std::string& where);
// Row by row of (n_out, n_in), or of (n_in, n_out) if `transposed`. `to` is f32, bf16 or what w has; as for vectors.
void stream_matrix(const Matrix& w, DType to, bool transposed, const ByteSink& sink, const std::string& where);
