// kv_store.h: the memory behind the CPU replica's KV pages. The scheduler decides which page belongs to whom.
#pragma once
#include "model.h"
#include "replica.h"

constexpr int64_t kv_element_bytes(Precision precision) {
    return precision == Precision::kF32 ? 4 : 2;
}
// Bytes that the KV cache may take: nine tenths of what the weights leave. Such a generous limit is harmless, as pages
// cost memory only once they are used.
int64_t kv_memory_bytes(const EngineOptions& options, int64_t weight_bytes);

class KvStore {
  public:
    // tiled: values are transposed within a page and heads padded to kBlock with zeros, as PackedKernels::attend needs.
    KvStore(const CommonConfig& config, const Capacity& capacity, Precision precision, bool tiled);
    ~KvStore();
    KvStore(const KvStore&) = delete;
    KvStore& operator=(const KvStore&) = delete;

    DType dtype() const { return dtype_; }
    int64_t bytes() const { return bytes_; }  // reserved; memory is taken when a page is first written

    enum Part { kKey, kValue };
    // One KV head's (kPagePositions, P) in the page that holds `pos` of this sequence, in dtype(); tiled: keys
    // (kPagePositions, padded P), values (padded P, kPagePositions).
    void* page(int layer, Part part, const PageTable& pages, int pos, int kv_head) const;
    // Call before a page's first write, with its first position: zeroes the page's values, because unwritten positions
    // get weight 0, and 0 × inf is NaN. Does nothing if not tiled.
    void begin_page(int layer, const PageTable& pages, int pos) const;
    // Writes one position: x (G, P) floats.
    void write(int layer, Part part, const PageTable& pages, int pos, const float* x) const;

  private:
    const CommonConfig& config_;
    DType dtype_;
    bool tiled_;
    int64_t element_bytes_, head_bytes_;  // head_bytes_: of one KV head in one page
    std::vector<int64_t> layer_in_page_;  // (L) index among the layers of its kind
    int64_t page_bytes_ = 0;
    char* memory_ = nullptr;
    int64_t bytes_ = 0;
};
