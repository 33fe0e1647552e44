// kv_fill.h: plain rows into the KV cache's packed pages.
#pragma once
#include "kernels/kernels.h"

// keys, values (n, P): positions first_pos and on of a sequence, one KV head. A ring must have room for all of them.
void kv_fill(const KvLayer& kv, const bf16* keys, const bf16* values, int slot, int first_pos, int n, int kv_head,
             int head_dim);
