// kv_read.h: the KV cache's packed pages as plain rows.
#pragma once
#include "kernels/kernels.h"

// keys, values (n_positions, P): positions 0 and on of a sequence, one KV head.
void kv_read(bf16* keys, bf16* values, const KvLayer& kv, int slot, int n_positions, int kv_head, int head_dim);
