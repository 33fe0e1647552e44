// gpt2_weights.cpp: which of GPT-2's tensors goes where, for counting and for copying.
#include "gpu/gpt2_weights.h"

#include <algorithm>

#include "gpu/uploader.h"

namespace {

// Rows [first, first + n) of a packed matrix: whole slabs.
PackedMatrix rows_of(const PackedMatrix& w, int first, int n) {
    PackedMatrix part = w;
    part.n_out = n;
    if (!w.tiles) return part;  // bytes are being counted
    part.tiles = static_cast<const char*>(w.tiles) + packed_tile_bytes(false, first, w.n_in);
    part.bias = w.bias + first;
    return part;
}

struct Loader {
    const Gpt2Config& config;
    Uploader& up;

    LayerNormParams norm(const LayerNorm& from) {
        return {up.vector(from.gain, true), up.vector(from.bias, true), config.hidden_dim, config.norm_eps};
    }
    PackedMatrix matrix(const Matrix& m, const Vector& bias) { return up.matrix(m, bias, SlabRows::kPlain, 0); }

    Gpt2DeviceLayer layer(const Gpt2Layer& from) {
        const int dim = config.hidden_dim;
        Gpt2DeviceLayer to;
        to.norm_attn = norm(from.norm_attn);
        const PackedMatrix qkv = matrix(from.w_qkv, from.b_qkv);
        to.qkv = {rows_of(qkv, 0, dim), rows_of(qkv, dim, dim), rows_of(qkv, 2 * dim, dim)};
        to.o = matrix(from.w_o, from.b_o);
        to.norm_mlp = norm(from.norm_mlp);
        to.up = matrix(from.w_up, from.b_up);
        to.down = matrix(from.w_down, from.b_down);
        return to;
    }
    void tables(Gpt2DeviceModel& to, const Gpt2Weights& from) {
        to.embed = up.rows(from.embed);
        to.positions = up.rows(from.positions);
    }
    // The embedding again, in slabs.
    void head(Gpt2DeviceModel& to, const Gpt2Weights& from) {
        to.norm_final = norm(from.norm_final);
        to.unembed = matrix(from.embed, {});
    }
};

int64_t largest_transposed(const Gpt2Weights& w) {
    int64_t bytes = 0;
    for (const Gpt2Layer& layer : w.layers)
        for (const Matrix* m : {&layer.w_qkv, &layer.w_o, &layer.w_up, &layer.w_down})
            if (m->transposed) bytes = std::max(bytes, uploaded_bytes(*m));
    return bytes;
}

}  // namespace

WeightBytes gpt2_weight_bytes(const Gpt2& model) {
    Gpt2DeviceModel device;
    const auto counted = [&](auto&& lay) {
        Uploader up;
        lay(Loader{model.config, up});
        return up.used();
    };
    WeightBytes bytes;
    bytes.embed = counted([&](Loader to) { to.tables(device, model.weights); });
    for (const Gpt2Layer& layer : model.weights.layers)
        bytes.layers.push_back(counted([&](Loader to) { to.layer(layer); }));
    bytes.head = counted([&](Loader to) { to.head(device, model.weights); });
    return bytes;
}

Gpt2DeviceModel load_gpt2(const Gpt2& model, const Span& span, int64_t bytes) {
    Gpt2DeviceModel device;
    device.memory = DeviceMemory(bytes, "weights");
    Uploader up(device.memory.data(), largest_transposed(model.weights));
    Loader to{model.config, up};
    if (span.embeds) to.tables(device, model.weights);
    for (int l = span.first; l < span.end; l++) device.layers.push_back(to.layer(model.weights.layers[size_t(l)]));
    if (span.samples) to.head(device, model.weights);
    up.finish();
    return device;
}
