// gpt_oss_config.h: the shapes of gpt-oss 20b and 120b, for benchmarks and tests that have no checkpoint. They differ
// in layers and experts.
#pragma once
#include "model/config.h"

inline Config gpt_oss_config(bool large) {
    Config c;
    c.vocab_size = 201088;
    c.hidden_dim = c.intermediate_dim = 2880;
    c.n_layers = large ? 36 : 24;
    c.n_attn_heads = 64;
    c.n_kv_heads = 8;
    c.head_dim = 64;
    c.n_experts = large ? 128 : 32;
    c.experts_per_token = 4;
    c.sliding_window = 128;
    c.max_context = 131072;
    c.rope_factor = 32;
    c.layer_kind = alternating_layers(c.n_layers);
    return c;
}
