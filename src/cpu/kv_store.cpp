// kv_store.cpp: page layout, (page, layer of the page's kind, key|value, G, kPagePositions, P).
#include "cpu/kv_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/memory.h"
#include "cpu/kernels.h"
#include "error.h"

int64_t kv_memory_bytes(const EngineOptions& options, int64_t weight_bytes) {
    if (options.kv_bytes > 0) return options.kv_bytes;
    // Half of the address space is left for activations, threads' stacks and heaps: a limit counts mapped addresses,
    // used or not.
    return std::min((available_memory_bytes() - weight_bytes) / 10 * 9, address_space_left_bytes() / 2);
}

KvStore::KvStore(const CommonConfig& config, const Capacity& capacity, Precision precision, bool tiled)
    : config_(config),
      dtype_(precision == Precision::kF32 ? DType::kF32 : DType::kBF16),
      tiled_(tiled),
      element_bytes_(kv_element_bytes(precision)),
      head_bytes_(int64_t(kPagePositions) * (tiled ? padded(config.head_dim) : config.head_dim) * element_bytes_) {
    int64_t seen[2] = {0, 0};
    for (const LayerKind kind : config.layer_kind) layer_in_page_.push_back(seen[int(kind)]++);
    page_bytes_ = std::max(seen[0], seen[1]) * 2 * config.n_kv_heads * head_bytes_;
    bytes_ = capacity.n_pages * page_bytes_;
    void* p = mmap(nullptr, size_t(bytes_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        fail("KV cache: cannot reserve {} MB of memory; --kv-memory asks for less", bytes_ / 1000000 + 1);
    memory_ = static_cast<char*>(p);
}

KvStore::~KvStore() {
    munmap(memory_, size_t(bytes_));
}

void* KvStore::page(int layer, Part part, const PageTable& pages, int pos, int kv_head) const {
    const int index = pos / kPagePositions;
    const int64_t id = config_.layer_kind[size_t(layer)] == LayerKind::kFull
                           ? pages.full[size_t(index)]
                           : pages.sliding[size_t(index - pages.first_sliding_page)];
    const int64_t block = (layer_in_page_[size_t(layer)] * 2 + part) * config_.n_kv_heads + kv_head;
    return memory_ + id * page_bytes_ + block * head_bytes_;
}

void KvStore::begin_page(int layer, const PageTable& pages, int pos) const {
    if (!tiled_) return;
    for (int g = 0; g < config_.n_kv_heads; g++)
        std::memset(page(layer, kValue, pages, pos, g), 0, size_t(head_bytes_));
}

void KvStore::write(int layer, Part part, const PageTable& pages, int pos, const float* x) const {
    const int64_t head_dim = config_.head_dim, row = pos % kPagePositions;
    for (int g = 0; g < config_.n_kv_heads; g++) {
        const float* head = x + g * head_dim;
        void* at = page(layer, part, pages, pos, g);
        if (dtype_ == DType::kF32)
            std::copy(head, head + head_dim, static_cast<float*>(at) + row * head_dim);
        else if (!tiled_)
            std::transform(head, head + head_dim, static_cast<bf16*>(at) + row * head_dim, to_bf16);
        else if (part == kKey)
            std::transform(head, head + head_dim, static_cast<bf16*>(at) + row * padded(head_dim), to_bf16);
        else
            for (int64_t i = 0; i < head_dim; i++) static_cast<bf16*>(at)[i * kPagePositions + row] = to_bf16(head[i]);
    }
}
