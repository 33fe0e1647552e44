// kv_read.hip: the KV cache's packed pages as plain rows, for tests of what writes them.
#include "kv_read.h"

#include "gpu/mma.h"
#include "gpu/platform.h"

namespace {

// One thread an element; idx = (position, dim).
__global__ void kv_read_kernel(bf16* keys, bf16* values, KvLayer kv, int slot, int n_positions, int kv_head,
                               int head_dim) {
    const int idx = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (idx >= n_positions * head_dim) return;
    const int pos = idx / head_dim, d = idx % head_dim, p = pos % kPagePositions;
    int page = pos / kPagePositions;
    if (kv.ring_pages) page %= kv.ring_pages;
    const bf16* const head = kv.base + int64_t(kv.table[slot * kv.table_stride + page]) * kv.page_stride +
                             int64_t(kv_head) * 2 * kPagePositions * head_dim;
    const int key_tile = p / kTile * (head_dim / kTileDepth) + d / kTileDepth;
    keys[idx] = head[(key_tile * kTileRuns + run_index(p % kTile, d % kTileDepth / 8 * 8)) * 8 + d % 8];
    const int k = k_slot(p);
    values[idx] =
        head[kPagePositions * head_dim + (d / kTile * kTileRuns + run_index(d % kTile, k / 8 * 8)) * 8 + k % 8];
}

}  // namespace

void kv_read(bf16* keys, bf16* values, const KvLayer& kv, int slot, int n_positions, int kv_head, int head_dim) {
    GPU_LAUNCH(kv_read_kernel, dim3(unsigned((n_positions * head_dim + 63) / 64)), dim3(64), 0, nullptr, keys, values,
               kv, slot, n_positions, kv_head, head_dim);
}
