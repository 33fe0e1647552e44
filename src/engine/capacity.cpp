// capacity.cpp: how many KV pages and sequences a replica has room for.
#include <algorithm>

#include "error.h"
#include "replica.h"

int64_t kv_page_bytes(const CommonConfig& config, int64_t element_bytes) {
    const auto n_full = std::count(config.layer_kind.begin(), config.layer_kind.end(), LayerKind::kFull);
    const int64_t n_layers = std::max<int64_t>(n_full, int64_t(config.layer_kind.size()) - n_full);
    return n_layers * 2 * config.n_kv_heads * kPagePositions * config.head_dim * element_bytes;
}

Capacity plan_capacity(const CommonConfig& config, const EngineOptions& options, int64_t memory_bytes,
                       int64_t element_bytes, int max_batch_tokens, int prefill_chunk) {
    const int positions = options.max_request_positions > 0
                              ? std::min(options.max_request_positions, config.max_context)
                              : config.max_context;
    const int64_t page_bytes = kv_page_bytes(config, element_bytes);
    const int64_t n_seq = std::max(1, options.max_sequences);
    // No more pages than all sequences need when they are longest and a chunk of a prompt is being read.
    const int longest = pages_for(positions);
    const bool slides = std::count(config.layer_kind.begin(), config.layer_kind.end(), LayerKind::kSliding) > 0;
    const int64_t of_each =
        longest + (slides ? std::min(longest, sliding_pages_needed(config.sliding_window, prefill_chunk)) : 0);
    const int64_t n_pages = std::min({n_seq * of_each, memory_bytes / page_bytes, int64_t(INT32_MAX)});
    const int least = slides ? 2 : 1;  // one position: a full page and a sliding one
    if (n_pages < least)
        fail("KV cache: one sequence needs at least {} MB, and {} MB are free beside the weights",
             least * page_bytes / 1000000 + 1, std::max<int64_t>(memory_bytes, 0) / 1000000);

    Capacity capacity;
    capacity.max_sequences = int(std::min(n_seq, n_pages / least));
    capacity.prefill_chunk = prefill_chunk;
    capacity.max_batch_tokens = max_batch_tokens;
    capacity.n_pages = int(n_pages);
    capacity.max_prefill_tokens_beside_decode = prefill_chunk;
    return capacity;
}
