// attention_unit.h: what a wave, or a block of wave groups, works on in attention: a tile of queries and a KV head.
#pragma once
#include "attention_sums.h"
#include "kernels.h"
#include "quad.h"

struct AttentionProblem {
    bf16* att;      // (T, H·P rounded up to kDepthStep)
    bool grouped;   // its rows
    const bf16* q;  // (T, H·P)
    KvLayer kv;
    const float* sinks;      // (H) or nullptr
    const QueryTile* tiles;  // (n_tiles)
    int n_tiles;
    const int *pos, *slot;  // (T)
    int n_heads, n_kv_heads;

    __device__ float sink(int head) const { return sinks ? sinks[head] : kNothing; }
};

struct AttentionUnit {
    QueryTile tile;
    int kv_head, dim0;
    int group, n_rows;
    int slot;
    int first_key, end_key;        // what any row sees; for padding end_key is 0
    int first_common, end_common;  // what all rows see

    // Neighbours have the same KV head: waves of a block then read the same pages.
    __device__ AttentionUnit(const AttentionProblem& p, int idx, int dims) {
        const int part = idx / p.n_tiles;
        tile = p.tiles[idx % p.n_tiles];
        kv_head = part % p.n_kv_heads;
        dim0 = part / p.n_kv_heads * dims;
        group = p.n_heads / p.n_kv_heads;
        n_rows = tile.n_tok * group;
        slot = p.slot[tile.first_token];
        const int first_pos = p.pos[tile.first_token], last_pos = p.pos[tile.first_token + tile.n_tok - 1];
        first_key = first_seen(first_pos, p.kv.window);
        end_key = slot < 0 ? 0 : last_pos + 1;
        first_common = first_seen(last_pos, p.kv.window);
        end_common = first_pos + 1;
    }
    __device__ static int first_seen(int pos, int window) { return window > 0 && pos >= window ? pos - window + 1 : 0; }

    __device__ int first_span() const { return first_key / kSpanPositions; }
    __device__ int end_span() const { return (end_key + kSpanPositions - 1) / kSpanPositions; }
    __device__ bool has_page(int page) const {
        return page >= first_key / kPagePositions && page * kPagePositions < end_key;
    }
    __device__ int token(int row) const { return tile.first_token + row / group; }
    __device__ int head(int row) const { return kv_head * group + row % group; }
};

// If H·P is an odd multiple of 32, a row of att ends with 32 zeros, which the last head writes along.
template <int P>
__device__ inline void store_attended(const AttentionProblem& p, int token, int head, int d, float v) {
    bf16* const row = p.att + int64_t(token) * round_up(p.n_heads * P, kDepthStep);
    row[place_of(head * P + d, p.grouped)] = narrow(v);
    if (P % kDepthStep != 0 && head + 1 == p.n_heads && p.n_heads % 2 != 0) row[p.n_heads * P + d] = {};
}
