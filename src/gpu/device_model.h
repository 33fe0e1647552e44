// device_model.h: weights of some layers on one GPU, packed for its matrix cores.
#pragma once
#include <vector>

#include "gpu/device_memory.h"
#include "kernels/kernels.h"
#include "model.h"

struct DeviceLayer {
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

// Consecutive layers of a model, [first, end), with the embedding before them and the head behind if these are theirs.
struct Span {
    int first = 0, end = 0;
    bool embeds = false, samples = false;
};
// The model's config as it is for the layers of a span alone.
Config config_of(const Config& config, const Span& span);

struct DeviceModel {
    const bf16* embed = nullptr;      // (V, D), if the span embeds
    std::vector<DeviceLayer> layers;  // of the span
    const float* g_final = nullptr;   // (D), if it samples
    PackedMatrix unembed;
    const float* cos_sin = nullptr;  // (max_context, P / 2, 2)
    DeviceMemory memory;             // holds all of the above
};

// What load_weights() will allocate.
struct WeightBytes {
    std::vector<int64_t> layers;
    int64_t embed = 0, head = 0, rotation = 0;  // rotation: of every span

    int64_t of(const Span& span) const;
};
WeightBytes device_weight_bytes(const Model& model);
// Copies and packs; the current device's. bytes: WeightBytes::of(span). Throws Error if memory runs out.
DeviceModel load_weights(const Model& model, const Span& span, int64_t bytes);
