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
    // Zeros in a sequence's pages, which hold NaNs that the next one must not multiply by zero.
    void clear(const PageTable& pages, gpu::Stream stream) const;
    const KvCache& cache() const { return cache_; }
    int64_t bytes() const { return pools_.bytes(); }

  private:
    const int full_stride_, ring_stride_;  // pages a sequence at most
    const int64_t full_page_bytes_, ring_page_bytes_;
    DeviceMemory pools_;  // all full pages, then all ring pages
    char* ring_pool_ = nullptr;
    PinnedMemory host_tables_;  // (max_sequences, full_stride), then (max_sequences, ring_stride)
    DeviceMemory tables_;
    const int max_sequences_;
    KvCache cache_;
};
