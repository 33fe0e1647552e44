// capacity.cpp: how many KV pages and sequences a replica has room for.
#include <algorithm>

#include "error.h"
#include "replica.h"

namespace {

int64_t pages_for(int64_t positions) {
    return (positions + kPagePositions - 1) / kPagePositions;
}

}  // namespace

int64_t kv_page_bytes(const Config& config, LayerKind kind, int64_t element_bytes) {
    const int64_t n_layers = std::count(config.layer_kind.begin(), config.layer_kind.end(), kind);
    return n_layers * 2 * config.n_kv_heads * kPagePositions * config.head_dim * element_bytes;
}

Capacity plan_capacity(const Config& config, const EngineOptions& options, int64_t memory_bytes, int64_t element_bytes,
                       int max_batch_tokens, int prefill_chunk) {
    const int64_t positions = options.max_request_positions > 0
                                  ? std::min(options.max_request_positions, config.max_context)
                                  : config.max_context;
    const int64_t full_page = kv_page_bytes(config, LayerKind::kFull, element_bytes);
    const int64_t ring_page = kv_page_bytes(config, LayerKind::kSliding, element_bytes);
    const int64_t full_per_seq = pages_for(positions);
    // Not by `positions`: a longer request may come, and one page too few in the ring would be a silent error.
    const int64_t ring_per_seq =
        std::min<int64_t>(pages_for(config.max_context), ring_pages_needed(config.sliding_window, prefill_chunk));

    int64_t n_seq = std::max(1, options.max_sequences);
    // Sliding layers take a fixed share; no more sequences than leave the full layers half of the memory.
    while (n_seq > 1 && n_seq * ring_per_seq * ring_page > memory_bytes / 2) n_seq--;
    const int64_t left = memory_bytes - n_seq * ring_per_seq * ring_page;
    const int64_t n_full = std::min(n_seq * full_per_seq, full_page > 0 ? left / full_page : n_seq * full_per_seq);
    if (left < 0 || n_full < 1)
        fail("KV cache: one sequence needs at least {} MB, and {} MB are free beside the weights",
             (ring_per_seq * ring_page + full_page) / 1000000 + 1, std::max<int64_t>(memory_bytes, 0) / 1000000);

    Capacity capacity;
    capacity.max_sequences = int(n_seq);
    capacity.prefill_chunk = prefill_chunk;
    capacity.max_batch_tokens = max_batch_tokens;
    capacity.n_full_pages = int(n_full);
    capacity.n_ring_pages = int(n_seq * ring_per_seq);
    capacity.ring_pages_per_seq = int(ring_per_seq);
    return capacity;
}
