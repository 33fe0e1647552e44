// legacy.h: the getp family's .bin: a 60-byte header without magic, then tensors, each over all layers, f32 or bf16.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model.h"

// Little-endian; field 13 is an integer between two floats.
struct LegacyHeader {
    int32_t vocab_size, hidden_dim, n_experts, experts_per_token, intermediate_dim, n_layers, head_dim, n_attn_heads,
        n_kv_heads, seq_len, initial_context_length;
    float rope_theta, rope_scaling_factor;
    int32_t sliding_window;
    float swiglu_limit;
};
static_assert(sizeof(LegacyHeader) == 60);

// One piece of the payload, in file order. Exactly one pointer is set, and what it points to has its shape.
struct LegacyPart {
    const char* name;
    Vector* vector = nullptr;
    Matrix* matrix = nullptr;
    ExpertMatrices* experts = nullptr;
};
std::vector<LegacyPart> legacy_parts(Weights& weights);

// Bytes of the whole file. `config` must be within the bounds of model/config.h.
int64_t legacy_bytes(const Config& config, DType dtype);

// Throws Error if the header cannot say all that the config does.
LegacyHeader legacy_header(const Config& config);
