// gpt2_weights.h: GPT-2's weights of some layers on one GPU, packed for its matrix cores.
#pragma once
#include <vector>

#include "gpu/device_memory.h"
#include "gpu/span.h"
#include "kernels/kernels.h"
#include "model.h"

struct Gpt2DeviceLayer {
    LayerNormParams norm_attn;
    QkvWeights qkv;  // thirds of one matrix
    PackedMatrix o;
    LayerNormParams norm_mlp;
    PackedMatrix up, down;
};

struct Gpt2DeviceModel {
    const bf16 *embed = nullptr, *positions = nullptr;  // (V, D) and (C, D), if the span embeds
    std::vector<Gpt2DeviceLayer> layers;                // of the span
    LayerNormParams norm_final;                         // if it samples
    PackedMatrix unembed;
    DeviceMemory memory;  // holds all of the above
};

// What load_gpt2() will allocate.
WeightBytes gpt2_weight_bytes(const Gpt2& model);
// Copies and packs the weights of a span for the current device. bytes: WeightBytes::of(span). Throws Error if memory
// runs out.
Gpt2DeviceModel load_gpt2(const Gpt2& model, const Span& span, int64_t bytes);
