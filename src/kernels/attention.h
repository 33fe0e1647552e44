// attention.h: attention with a say in how its work is spread, which attention() decides by itself; for tests.
#pragma once
#include "kernels.h"

// The results have the same bits.
enum class SpanWork {
    kSpread,   // a wave a span; partial results go through scratch
    kInBlock,  // a block a tile and KV head, four waves a span; it merges them: at most kBlockSpans
    kWalked,   // a wave walks through all spans of its tile and KV head
};
constexpr int kBlockSpans = 8;

void attention_with(SpanWork work, RowsOut att, const bf16* q, const KvLayer& kv, const float* sinks,
                    const QueryTile* tiles, int n_tiles, int max_spans, const Tokens& tokens, int n_heads,
                    int n_kv_heads, int head_dim, void* scratch, gpu::Stream stream);
