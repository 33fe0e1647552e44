// page_tables.cpp: one pool of pages; a page is (layers of a kind, G, keys and values).
#include "gpu/page_tables.h"

#include <algorithm>
#include <cstring>

PageTables::PageTables(const CommonConfig& config, const Capacity& capacity)
    : full_stride_(std::min(capacity.n_pages, pages_for(config.max_context))),
      sliding_stride_(std::min(full_stride_, sliding_pages_needed(config.sliding_window, capacity.prefill_chunk))),
      max_sequences_(capacity.max_sequences),
      page_bytes_(kv_page_bytes(config, sizeof(bf16))),
      slides_(std::count(config.layer_kind.begin(), config.layer_kind.end(), LayerKind::kSliding) > 0),
      pool_(capacity.n_pages * page_bytes_, "KV cache"),
      tables_(int64_t(max_sequences_) * (full_stride_ + sliding_stride_) * int64_t(sizeof(int)), "page tables"),
      sent_(size_t(capacity.steps_in_flight)) {
    gpu::fill(tables_.data(), 0, tables_.bytes(), nullptr);
    gpu::synchronize(nullptr);

    const int* full_table = reinterpret_cast<int*>(tables_.data());
    const int64_t layer_elements = int64_t(config.n_kv_heads) * 2 * kPagePositions * config.head_dim;
    int64_t n_before[2] = {0, 0};
    for (const LayerKind kind : config.layer_kind) {
        const bool full = kind == LayerKind::kFull;
        KvLayer layer;
        layer.base = reinterpret_cast<bf16*>(pool_.data()) + n_before[int(kind)]++ * layer_elements;
        layer.page_stride = page_bytes_ / int64_t(sizeof(bf16));
        layer.table = full ? full_table : full_table + int64_t(max_sequences_) * full_stride_;
        layer.table_stride = full ? full_stride_ : sliding_stride_;
        layer.ring_pages = full ? 0 : sliding_stride_;
        layer.window = full ? 0 : config.sliding_window;
        cache_.layers.push_back(layer);
    }
}

// Adds the entries for page n of a sequence, of both kinds.
void PageTables::add_page(const Batch::Seq& seq, int n) {
    const PageTable& pages = *seq.pages;
    if (n < int(pages.full.size())) entries_.push_back({seq.slot * full_stride_ + n, pages.full[size_t(n)]});
    const int sliding = n - pages.first_sliding_page;
    if (slides_ && sliding >= 0)
        entries_.push_back({max_sequences_ * full_stride_ + seq.slot * sliding_stride_ + n % sliding_stride_,
                            pages.sliding[size_t(sliding)]});
}

void PageTables::add_all(const Batch::Seq& seq) {
    for (int n = 0; n < int(seq.pages->full.size()); n++) add_page(seq, n);
}

void PageTables::update(const Batch& batch, gpu::Stream stream) {
    entries_.clear();
    begun_.clear();
    for (const Batch::Seq& seq : batch.seqs)
        if (seq.begins) add_all(seq);
    for (const Batch::Token& token : batch.tokens) {
        if (token.pos % kPagePositions != 0) continue;
        const Batch::Seq& seq = batch.seqs[size_t(token.seq)];
        const size_t before = entries_.size();
        add_page(seq, token.pos / kPagePositions);
        for (size_t i = before; i < entries_.size(); i++) begun_.push_back(entries_[i].page);
    }
    if (entries_.empty()) return;

    const auto entry_bytes = int64_t(entries_.size() * sizeof(PageEntry));
    const auto begun_bytes = int64_t(begun_.size() * sizeof(int));
    const int64_t bytes = entry_bytes + begun_bytes;
    Sent& sent = sent_[turn_++ % sent_.size()];
    if (bytes > sent.bytes || bytes > received_.bytes()) {
        gpu::synchronize(stream);
        sent.bytes = std::max(sent.bytes, 2 * bytes);
        sent.memory = std::make_unique<PinnedMemory>(sent.bytes);
        if (bytes > received_.bytes()) received_ = DeviceMemory(2 * bytes, "page tables");
    }
    std::memcpy(sent.memory->data(), entries_.data(), size_t(entry_bytes));
    if (begun_bytes > 0) std::memcpy(sent.memory->data() + entry_bytes, begun_.data(), size_t(begun_bytes));
    gpu::copy_to_device(received_.data(), sent.memory->data(), bytes, stream);
    set_page_entries(reinterpret_cast<int*>(tables_.data()), reinterpret_cast<PageEntry*>(received_.data()),
                     int(entries_.size()), stream);
    if (!begun_.empty())
        clear_pages(pool_.data(), reinterpret_cast<int*>(received_.data() + entry_bytes), int(begun_.size()),
                    page_bytes_, stream);
}
