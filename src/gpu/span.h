// span.h: some consecutive layers of a model, and the bytes that they take on a device.
#pragma once
#include <cstdint>
#include <numeric>
#include <vector>

// Layers [first, end), with the embedding before them and the head after them if they are the first or the last.
struct Span {
    int first = 0, end = 0;
    bool embeds = false, samples = false;
};

// A model's config, of any architecture, for the layers of a span alone.
template <class AnyConfig>
AnyConfig config_of(const AnyConfig& config, const Span& span) {
    AnyConfig part = config;
    part.n_layers = span.end - span.first;
    part.layer_kind.assign(config.layer_kind.begin() + span.first, config.layer_kind.begin() + span.end);
    return part;
}

// What loading a model's weights will allocate.
struct WeightBytes {
    std::vector<int64_t> layers;
    int64_t embed = 0, head = 0, every_span = 0;  // every_span: what each has a copy of

    int64_t of(const Span& span) const {
        const int64_t sum = std::accumulate(layers.begin() + span.first, layers.begin() + span.end, every_span);
        return sum + (span.embeds ? embed : 0) + (span.samples ? head : 0);
    }
};
