// small_config.h: a model's dimensions, small and with both kinds of layers, for tests that need no weights.
#pragma once
#include "model.h"

inline Config small_config(int n_layers) {
    Config c;
    c.vocab_size = 320;
    c.hidden_dim = c.intermediate_dim = 64;
    c.n_layers = n_layers;
    c.n_attn_heads = 4;
    c.n_kv_heads = 2;
    c.head_dim = 32;
    c.n_experts = 4;
    c.experts_per_token = 2;
    c.sliding_window = 16;
    c.max_context = 4096;
    for (int l = 0; l < n_layers; l++) c.layer_kind.push_back(l % 2 ? LayerKind::kFull : LayerKind::kSliding);
    return c;
}
