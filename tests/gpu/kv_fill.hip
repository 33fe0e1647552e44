// kv_fill.hip: plain rows into the KV cache's packed pages, for tests of what reads them.
#include "kv_fill.h"

#include "gpu/mma.h"

namespace {

// One thread an element; idx = (position, dim).
__global__ void kv_fill_kernel(KvLayer kv, const bf16* keys, const bf16* values, int slot, int first_pos, int n,
                               int kv_head, int head_dim) {
    const int idx = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (idx >= n * head_dim) return;
    const int pos = first_pos + idx / head_dim, d = idx % head_dim, c = pos % kPagePositions;
    int page = pos / kPagePositions;
    if (kv.ring_pages) page %= kv.ring_pages;
    bf16* const head = kv.base + int64_t(kv.table[slot * kv.table_stride + page]) * kv.page_stride +
                       int64_t(kv_head) * 2 * kPagePositions * head_dim;
    const int key_tile = c / kTile * (head_dim / kTileDepth) + d / kTileDepth;
    head[(key_tile * kTileRuns + run_index(c % kTile, d % kTileDepth / 8 * 8)) * 8 + d % 8] = keys[idx];
    const int k = k_slot(c);
    const int value_run = d / kTile * kTileRuns + run_index(d % kTile, k / 8 * 8);
    head[kPagePositions * head_dim + value_run * 8 + k % 8] = values[idx];
}

}  // namespace

void kv_fill(const KvLayer& kv, const bf16* keys, const bf16* values, int slot, int first_pos, int n, int kv_head,
             int head_dim) {
    GPU_LAUNCH(kv_fill_kernel, dim3(unsigned((n * head_dim + 63) / 64)), dim3(64), 0, nullptr, kv, keys, values, slot,
               first_pos, n, kv_head, head_dim);
}
