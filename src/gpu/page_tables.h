// page_tables.h: the KV cache in device memory, and which of its pages belong to which sequence.
#pragma once
#include <vector>

#include "gpu/device_memory.h"
#include "gpu/forward.h"
#include "replica.h"

class PageTables {
  public:
    PageTables(const Config& config, const Capacity& capacity);

    // Sends the table rows of sequences that begin with this batch: a request's pages stay the same until it is done.
    void update(const Batch& batch, gpu::Stream stream);
    const KvCache& cache() const { return cache_; }
    int64_t bytes() const { return pools_.bytes(); }

  private:
    const int full_stride_, ring_stride_;  // pages a sequence at most
    DeviceMemory pools_;                   // all pages
    PinnedMemory host_tables_;             // (max_sequences, full_stride), then (max_sequences, ring_stride)
    DeviceMemory tables_;
    const int max_sequences_;
    KvCache cache_;
};
