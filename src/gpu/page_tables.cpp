// page_tables.cpp: two pools of pages; a page is (layers of its kind, G, keys and values).
#include "gpu/page_tables.h"

#include <algorithm>

static_assert(kPagePositions == kKvPagePositions, "the scheduler's pages are the kernels'");

PageTables::PageTables(const Config& config, const Capacity& capacity)
    : full_stride_(std::min(capacity.n_full_pages, (config.max_context + kPagePositions - 1) / kPagePositions)),
      ring_stride_(capacity.ring_pages_per_seq),
      full_page_bytes_(kv_page_bytes(config, LayerKind::kFull, sizeof(bf16))),
      ring_page_bytes_(kv_page_bytes(config, LayerKind::kSliding, sizeof(bf16))),
      pools_(capacity.n_full_pages * full_page_bytes_ + capacity.n_ring_pages * ring_page_bytes_, "KV cache"),
      host_tables_(int64_t(capacity.max_sequences) * (full_stride_ + ring_stride_) * int64_t(sizeof(int))),
      tables_(int64_t(capacity.max_sequences) * (full_stride_ + ring_stride_) * int64_t(sizeof(int)), "page tables"),
      max_sequences_(capacity.max_sequences) {
    // Attention multiplies what it must not see by zero: nothing there may be a NaN.
    gpu::fill(pools_.data(), 0, pools_.bytes(), nullptr);
    gpu::fill(tables_.data(), 0, tables_.bytes(), nullptr);
    gpu::synchronize(nullptr);

    const int* full_table = reinterpret_cast<int*>(tables_.data());
    const int* ring_table = full_table + int64_t(max_sequences_) * full_stride_;
    ring_pool_ = pools_.data() + capacity.n_full_pages * full_page_bytes_;
    const int64_t layer_elements = int64_t(config.n_kv_heads) * 2 * kPagePositions * config.head_dim;
    int64_t n_before[2] = {0, 0};
    for (const LayerKind kind : config.layer_kind) {
        const bool full = kind == LayerKind::kFull;
        KvLayer layer;
        layer.base =
            reinterpret_cast<bf16*>(full ? pools_.data() : ring_pool_) + n_before[int(kind)]++ * layer_elements;
        layer.page_stride = kv_page_bytes(config, kind, 1);
        layer.table = full ? full_table : ring_table;
        layer.table_stride = full ? full_stride_ : ring_stride_;
        layer.ring_pages = full ? 0 : ring_stride_;
        layer.window = full ? 0 : config.sliding_window;
        cache_.layers.push_back(layer);
    }
}

void PageTables::clear(const PageTable& pages, gpu::Stream stream) const {
    for (const int page : pages.full) gpu::fill(pools_.data() + page * full_page_bytes_, 0, full_page_bytes_, stream);
    for (const int page : pages.ring) gpu::fill(ring_pool_ + page * ring_page_bytes_, 0, ring_page_bytes_, stream);
}

void PageTables::update(const Batch& batch, gpu::Stream stream) {
    auto* const host = reinterpret_cast<int*>(host_tables_.data());
    for (const Batch::Token& token : batch.tokens) {
        if (token.pos != 0) continue;
        const Batch::Seq& seq = batch.seqs[size_t(token.seq)];
        const auto send = [&](const std::vector<int>& pages, int64_t at) {
            std::copy(pages.begin(), pages.end(), host + at);
            gpu::copy_to_device(tables_.data() + at * int64_t(sizeof(int)), host + at,
                                int64_t(pages.size() * sizeof(int)), stream);
        };
        send(seq.pages->full, int64_t(seq.slot) * full_stride_);
        send(seq.pages->ring, int64_t(max_sequences_) * full_stride_ + int64_t(seq.slot) * ring_stride_);
    }
}
