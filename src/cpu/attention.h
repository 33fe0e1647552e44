// attention.h: attention of a flat batch of tokens over paged keys and values.
#pragma once
#include <limits>

#include "cpu/kv_store.h"
#include "cpu/linear.h"

// Stands in for the logit of a missing sink: its weight is 0 beside any key's. It is finite, so that differences are
// numbers.
constexpr float kNoSink = std::numeric_limits<float>::lowest();

// out (T, H·P) = softmax(q kᵀ / sqrt(P), sink) v over the keys that each token sees. q (T, H·P) is rotated; the batch's
// own keys and values are in the store already. sinks (H); null: the model has none. Adds the bytes that it reads from
// the store to *bytes_read.
void attention(const Kernels& kernels, F32Rows& out, const F32Rows& q, const Batch& batch, const KvStore& store,
               const CommonConfig& config, int layer, const Vector* sinks, int64_t* bytes_read);

// The same with PackedKernels::attend, on a tiled store. q need not be rounded.
void attention(const PackedKernels& kernels, F32Rows& out, const F32Rows& q, const Batch& batch, const KvStore& store,
               const CommonConfig& config, int layer, const Vector* sinks, int64_t* bytes_read);
