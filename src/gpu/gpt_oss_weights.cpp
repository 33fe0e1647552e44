// gpt_oss_weights.cpp: which tensor goes where, in which slab order, for counting and for copying.
#include "gpu/gpt_oss_weights.h"

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

GptOssDeviceLayer lay_out(const LayerWeights& from, int head_dim, Uploader& up) {
    GptOssDeviceLayer to;
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
    return to;
}

void lay_out_head(GptOssDeviceModel& device, const Weights& w, Uploader& up) {
    device.g_final = up.vector(w.g_final, true);
    device.unembed = up.matrix(w.unembed, {}, SlabRows::kPlain, 0);
}

int64_t largest_transposed(const Weights& w) {
    int64_t bytes = 0;
    for (const LayerWeights& layer : w.layers)
        for (const ExpertMatrices* m : {&layer.w_up, &layer.w_down})
            if (m->first.transposed) bytes = std::max(bytes, uploaded_bytes(m->first));
    return bytes;
}

}  // namespace

WeightBytes gpt_oss_weight_bytes(const GptOss& model) {
    GptOssDeviceModel device;
    const Config& c = model.config;
    const auto counted = [](auto&& lay) {
        Uploader up;
        lay(up);
        return up.used();
    };
    WeightBytes bytes;
    bytes.embed = counted([&](Uploader& up) { up.rows(model.weights.embed); });
    for (const LayerWeights& layer : model.weights.layers)
        bytes.layers.push_back(counted([&](Uploader& up) { lay_out(layer, c.head_dim, up); }));
    bytes.head = counted([&](Uploader& up) { lay_out_head(device, model.weights, up); });
    bytes.every_span =
        counted([&](Uploader& up) { up.floats(std::vector<float>(size_t(int64_t(c.max_context) * c.head_dim))); });
    return bytes;
}

GptOssDeviceModel load_gpt_oss(const GptOss& model, const Span& span, int64_t bytes) {
    GptOssDeviceModel device;
    device.memory = DeviceMemory(bytes, "weights");
    Uploader up(device.memory.data(), largest_transposed(model.weights));
    if (span.embeds) device.embed = up.rows(model.weights.embed);
    for (int l = span.first; l < span.end; l++)
        device.layers.push_back(lay_out(model.weights.layers[size_t(l)], model.config.head_dim, up));
    if (span.samples) lay_out_head(device, model.weights, up);
    device.cos_sin = up.floats(rotation_table(model.config));
    up.finish();
    return device;
}
