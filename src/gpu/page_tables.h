// page_tables.h: the KV cache in device memory, and which of its pages belong to which sequence.
#pragma once
#include <memory>
#include <vector>

#include "gpu/device_memory.h"
#include "gpu/forward.h"
#include "replica.h"

class PageTables {
  public:
    PageTables(const CommonConfig& config, const Capacity& capacity);

    // Tells the device which pages sequences get with this batch, and clears those that no sequence has written:
    // attention multiplies values that a token does not see by zero, so none may be a NaN. At most
    // capacity.steps_in_flight batches may wait to run.
    void update(const Batch& batch, gpu::Stream stream);
    const KvCache& cache() const { return cache_; }
    int64_t bytes() const { return pool_.bytes(); }

  private:
    void add_page(const Batch::Seq& seq, int n);
    void add_all(const Batch::Seq& seq);

    const int full_stride_, sliding_stride_;  // most pages that a sequence has at once
    const int max_sequences_;
    const int64_t page_bytes_;
    const bool slides_;
    DeviceMemory pool_;
    // (max_sequences, full_stride), then (max_sequences, sliding_stride). In the latter, page n of a sequence is entry
    // n % sliding_stride, so that pages which the window has passed are overwritten.
    DeviceMemory tables_;
    std::vector<PageEntry> entries_;  // of this batch
    std::vector<int> begun_;
    // Entries on their way to the device; these buffers are used in turn.
    struct Sent {
        std::unique_ptr<PinnedMemory> memory;
        int64_t bytes = 0;
    };
    std::vector<Sent> sent_;  // (steps_in_flight)
    size_t turn_ = 0;
    DeviceMemory received_;
    KvCache cache_;
};
