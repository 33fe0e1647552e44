// device_model.h: the weights on one GPU, packed for its matrix cores: the only copy there.
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

struct DeviceModel {
    const bf16* embed = nullptr;  // (V, D)
    std::vector<DeviceLayer> layers;
    const float* g_final = nullptr;  // (D)
    PackedMatrix unembed;
    const float* cos_sin = nullptr;  // (max_context, P / 2, 2)
    DeviceMemory memory;             // holds all of the above
};

// What load_weights() will allocate.
int64_t device_weight_bytes(const Model& model);
// Copies and packs; the current device's. Throws Error if memory runs out.
DeviceModel load_weights(const Model& model);
