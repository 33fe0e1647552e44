// kv_store.cpp: page layout, (page, layer of its kind, key|value, G, kPagePositions, P), and how many pages there are.
#include "cpu/kv_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include "error.h"

namespace {

int64_t element_bytes(Precision precision) {
    return precision == Precision::kF32 ? 4 : 2;
}

int64_t count_layers(const Config& config, LayerKind kind) {
    return std::count(config.layer_kind.begin(), config.layer_kind.end(), kind);
}

// Of all layers of one kind, keys and values.
int64_t page_bytes(const Config& config, LayerKind kind, Precision precision) {
    return count_layers(config, kind) * 2 * config.n_kv_heads * kPagePositions * config.head_dim *
           element_bytes(precision);
}

// What the system can still give, page cache counted as free; the container's limit if it is lower.
int64_t available_memory_bytes() {
    int64_t available = INT64_MAX;
    std::ifstream meminfo("/proc/meminfo");
    for (std::string key, rest; meminfo >> key && std::getline(meminfo, rest);)
        if (key == "MemAvailable:") available = std::stoll(rest) * 1024;
    int64_t limit = 0, used = 0;
    if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && std::ifstream("/sys/fs/cgroup/memory.current") >> used)
        available = std::min(available, limit - used);
    return std::max<int64_t>(available, 0);
}

int64_t pages_for(int64_t positions) {
    return (positions + kPagePositions - 1) / kPagePositions;
}

}  // namespace

Capacity plan_capacity(const Config& config, const EngineOptions& options, int64_t weight_bytes, int max_batch_tokens,
                       int prefill_chunk) {
    const int64_t positions = options.max_request_positions > 0
                                  ? std::min(options.max_request_positions, config.max_context)
                                  : config.max_context;
    const int64_t full_page = page_bytes(config, LayerKind::kFull, options.precision);
    const int64_t ring_page = page_bytes(config, LayerKind::kSliding, options.precision);
    const int64_t full_per_seq = pages_for(positions);
    // Not by `positions`: a longer request may come, and one page too few in the ring would be a silent error.
    const int64_t ring_per_seq =
        std::min<int64_t>(pages_for(config.max_context), ring_pages_needed(config.sliding_window, prefill_chunk));

    // Pages cost memory only once they are used, so a generous limit is harmless: nine tenths of what the weights leave.
    const int64_t limit = options.kv_bytes > 0 ? options.kv_bytes : (available_memory_bytes() - weight_bytes) / 10 * 9;
    int64_t n_seq = std::max(1, options.max_sequences);
    // Sliding layers take a fixed share; no more sequences than leave the full layers half of the memory.
    while (n_seq > 1 && n_seq * ring_per_seq * ring_page > limit / 2) n_seq--;
    const int64_t left = limit - n_seq * ring_per_seq * ring_page;
    const int64_t n_full = std::min(n_seq * full_per_seq, full_page > 0 ? left / full_page : n_seq * full_per_seq);
    if (left < 0 || n_full < 1)
        fail("KV cache: one sequence needs at least {} MB, and {} MB are free beside the weights ({} MB)",
             (ring_per_seq * ring_page + full_page) / 1000000 + 1, std::max<int64_t>(limit, 0) / 1000000,
             weight_bytes / 1000000);

    Capacity capacity;
    capacity.max_sequences = int(n_seq);
    capacity.prefill_chunk = prefill_chunk;
    capacity.max_batch_tokens = max_batch_tokens;
    capacity.n_full_pages = int(n_full);
    capacity.n_ring_pages = int(n_seq * ring_per_seq);
    capacity.ring_pages_per_seq = int(ring_per_seq);
    return capacity;
}

KvStore::KvStore(const Config& config, const Capacity& capacity, Precision precision)
    : config_(config),
      dtype_(precision == Precision::kF32 ? DType::kF32 : DType::kBF16),
      element_bytes_(element_bytes(precision)),
      head_bytes_(int64_t(kPagePositions) * config.head_dim * element_bytes_) {
    int64_t seen[2] = {0, 0};
    for (const LayerKind kind : config.layer_kind) layer_in_pool_.push_back(seen[int(kind)]++);
    std::copy(seen, seen + 2, n_layers_of_);

    const int64_t ring_bytes = capacity.n_ring_pages * page_bytes(config, LayerKind::kSliding, precision);
    bytes_ = ring_bytes + capacity.n_full_pages * page_bytes(config, LayerKind::kFull, precision);
    void* p = mmap(nullptr, size_t(bytes_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) fail("KV cache: cannot reserve {} MB of memory", bytes_ / 1000000);
    memory_ = static_cast<char*>(p);
    pool_[int(LayerKind::kSliding)] = memory_;
    pool_[int(LayerKind::kFull)] = memory_ + ring_bytes;
}

KvStore::~KvStore() {
    munmap(memory_, size_t(bytes_));
}

void* KvStore::page(int layer, Part part, const PageTable& pages, int pos, int kv_head) const {
    const int kind = int(config_.layer_kind[size_t(layer)]);
    const size_t index = size_t(pos / kPagePositions);
    const int64_t id = LayerKind(kind) == LayerKind::kFull ? pages.full[index] : pages.ring[index % pages.ring.size()];
    const int64_t block = (id * n_layers_of_[kind] + layer_in_pool_[size_t(layer)]) * 2 + part;
    return pool_[kind] + (block * config_.n_kv_heads + kv_head) * head_bytes_;
}

void KvStore::write(int layer, Part part, const PageTable& pages, int pos, const float* x) const {
    const int64_t head_dim = config_.head_dim, offset = pos % kPagePositions * head_dim;
    for (int g = 0; g < config_.n_kv_heads; g++) {
        const float* head = x + g * head_dim;
        void* at = page(layer, part, pages, pos, g);
        if (dtype_ == DType::kF32)
            std::copy(head, head + head_dim, static_cast<float*>(at) + offset);
        else
            std::transform(head, head + head_dim, static_cast<bf16*>(at) + offset, to_bf16);
    }
}
