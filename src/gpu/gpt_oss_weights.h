// gpt_oss_weights.h: gpt-oss's weights of some layers on one GPU, packed for its matrix cores.
#pragma once
#include <vector>

#include "gpu/device_memory.h"
#include "gpu/span.h"
#include "kernels/kernels.h"
#include "model.h"

struct GptOssDeviceLayer {
    const float* g_attn = nullptr;  // (D)
    QkvWeights qkv;
    const float* sinks = nullptr;  // (H)
    PackedMatrix o;
    const float* g_mlp = nullptr;    // (D)
    const void* w_router = nullptr;  // (E, D) bf16 or f32
    bool router_is_f32 = false;
    const float* b_router = nullptr;  // (E)
    PackedMatrix up, down;
};

struct GptOssDeviceModel {
    const bf16* embed = nullptr;            // (V, D), if the span embeds
    std::vector<GptOssDeviceLayer> layers;  // of the span
    const float* g_final = nullptr;         // (D), if it samples
    PackedMatrix unembed;
    const float* cos_sin = nullptr;  // (max_context, P / 2, 2)
    DeviceMemory memory;             // holds all of the above
};

// What load_gpt_oss() will allocate.
WeightBytes gpt_oss_weight_bytes(const GptOss& model);
// Copies and packs the weights of a span for the current device. bytes: WeightBytes::of(span). Throws Error if memory
// runs out.
GptOssDeviceModel load_gpt_oss(const GptOss& model, const Span& span, int64_t bytes);
