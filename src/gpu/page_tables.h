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

    // Tells the device of pages that are new to their sequences with this batch, and clears those that no sequence
    // wrote: attention multiplies unseen values by zero, so none may be a NaN. At most capacity.steps_in_flight batches
    // may not have run yet.
    void update(const Batch& batch, gpu::Stream stream);
    const KvCache& cache() const { return cache_; }
    int64_t bytes() const { return pool_.bytes(); }

  private:
    void add_page(const Batch::Seq& seq, int n);
    void add_all(const Batch::Seq& seq);

    const int full_stride_, sliding_stride_;  // pages that a sequence has at once, at most
    const int max_sequences_;
    const int64_t page_bytes_;
    const bool slides_;
    DeviceMemory pool_;
    // (max_sequences, full_stride), then (max_sequences, sliding_stride), where a sequence's page n is entry n %
    // sliding_stride: what the window has passed is overwritten.
    DeviceMemory tables_;
    std::vector<PageEntry> entries_;  // of this batch
    std::vector<int> begun_;
    // What is on its way to the device, in turns.
    struct Sent {
        std::unique_ptr<PinnedMemory> memory;
        int64_t bytes = 0;
    };
    std::vector<Sent> sent_;  // (steps_in_flight)
    size_t turn_ = 0;
    DeviceMemory received_;
    KvCache cache_;
};
