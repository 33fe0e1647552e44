// device_model.cpp: which tensor goes where, in which slab order. Run twice: to count, then to copy.
#include "gpu/device_model.h"

#include "gpu/uploader.h"

namespace {

std::vector<float> rotation_table(const Config& config) {
    const std::vector<float> inv_freq = rope_inv_freq(config);
    const int64_t half = config.head_dim / 2;
    std::vector<float> table(size_t(config.max_context * half * 2));
#pragma omp parallel
    {
        std::vector<float> cos(static_cast<size_t>(half)), sin(static_cast<size_t>(half));
#pragma omp for
        for (int pos = 0; pos < config.max_context; pos++) {
            rope_cos_sin(config, inv_freq, pos, cos.data(), sin.data());
            float* row = &table[size_t(pos * half * 2)];
            for (int64_t i = 0; i < half; i++) {
                row[2 * i] = cos[size_t(i)];
                row[2 * i + 1] = sin[size_t(i)];
            }
        }
    }
    return table;
}

void lay_out(DeviceModel& device, const Model& model, const std::vector<float>& rotation, Uploader& up) {
    const Weights& w = model.weights;
    device.embed = up.rows(w.embed);
    device.layers.assign(w.layers.size(), {});
    for (size_t l = 0; l < w.layers.size(); l++) {
        const LayerWeights& from = w.layers[l];
        DeviceLayer& to = device.layers[l];
        const int head_dim = model.config.head_dim;
        to.g_attn = up.vector(from.g_attn, true);
        to.qkv.q = up.matrix(from.w_q, from.b_q, SlabRows::kRotated, head_dim);
        to.qkv.k = up.matrix(from.w_k, from.b_k, SlabRows::kRotated, head_dim);
        to.qkv.v = up.matrix(from.w_v, from.b_v, SlabRows::kPlain, head_dim);
        to.sinks = up.vector(from.sinks, true);
        to.o = up.matrix(from.w_o, from.b_o, SlabRows::kPlain, head_dim);
        to.g_mlp = up.vector(from.g_mlp, true);
        to.w_router = up.router(from.w_router);
        to.router_is_f32 = from.w_router.dtype != DType::kBF16;  // f16 travels as f32
        to.b_router = up.vector(from.b_router, true);
        to.up = up.experts(from.w_up, from.b_up, SlabRows::kGated);
        to.down = up.experts(from.w_down, from.b_down, SlabRows::kPlain);
    }
    device.g_final = up.vector(w.g_final, true);
    device.unembed = up.matrix(w.unembed, {}, SlabRows::kPlain, 0);
    device.cos_sin = up.floats(rotation);
}

int64_t largest_transposed(const Weights& w) {
    int64_t bytes = 0;
    for (const LayerWeights& layer : w.layers)
        for (const ExpertMatrices* m : {&layer.w_up, &layer.w_down})
            if (m->first.transposed) bytes = std::max(bytes, uploaded_bytes(m->first));
    return bytes;
}

}  // namespace

int64_t device_weight_bytes(const Model& model) {
    DeviceModel device;
    Uploader up;
    const Config& c = model.config;
    lay_out(device, model, std::vector<float>(size_t(int64_t(c.max_context) * c.head_dim)), up);
    return up.used();
}

DeviceModel load_weights(const Model& model) {
    DeviceModel device;
    device.memory = DeviceMemory(device_weight_bytes(model), "weights");
    Uploader up(device.memory.data(), largest_transposed(model.weights));
    lay_out(device, model, rotation_table(model.config), up);
    up.finish();
    return device;
}
