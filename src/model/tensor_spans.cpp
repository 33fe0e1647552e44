// tensor_spans.cpp: of every kind of checkpoint, by the tables that readers and exporters go by.
#include "model/tensor_spans.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "model/export.h"
#include "model/gpt2.h"
#include "model/legacy.h"

namespace {

using Span = TensorSpan;

Span::Holds holds_of(DType dtype) {
    if (dtype == DType::kF32) return Span::Holds::kF32;
    return dtype == DType::kF16 ? Span::Holds::kF16 : Span::Holds::kBF16;
}

Span span_of(const NamedTensor& tensor) {
    using Holds = NamedTensor::Holds;
    Span span{tensor.name, tensor.shape, Span::Holds::kBytes, nullptr, 1};
    const auto dense = [&](DType dtype, const void* data) {
        span.holds = holds_of(dtype);
        span.data = static_cast<const uint8_t*>(data);
    };
    switch (tensor.holds) {
        case Holds::kVectors:
            dense(tensor.vectors[0]->dtype, tensor.vectors[0]->data);
            break;
        case Holds::kMatrices:
        case Holds::kConv1d:
            dense(tensor.matrices[0]->dtype, tensor.matrices[0]->data);
            break;
        case Holds::kExperts:
            dense(tensor.experts->first.dtype, tensor.experts->first.data);
            break;
        case Holds::kBlocks:
            span.data = static_cast<const uint8_t*>(tensor.experts->first.data);
            break;
        case Holds::kScales:
            span.holds = Span::Holds::kScales;
            span.data = tensor.experts->first.scales;
            break;
    }
    for (const int64_t n : tensor.shape) span.n_bytes *= n;
    span.n_bytes *= element_size(span.holds);
    return span;
}

std::vector<Span> legacy_spans(Weights& weights) {
    std::vector<Span> spans;
    std::map<std::string, int> n_parts;  // so far, by name: a layer has one of each name
    for (const LegacyPart& part : legacy_parts(weights)) {
        const Matrix* matrix = part.matrix ? part.matrix : part.experts ? &part.experts->first : nullptr;
        Span span{fmt::format("{} {}", part.name, n_parts[part.name]++), {}, Span::Holds::kBytes, nullptr, 1};
        if (part.experts) span.shape.push_back(part.experts->n_experts);
        if (matrix) span.shape.insert(span.shape.end(), {matrix->n_out, matrix->n_in});
        if (part.vector) span.shape = {part.vector->n};
        span.holds = holds_of(matrix ? matrix->dtype : part.vector->dtype);
        span.data = static_cast<const uint8_t*>(matrix ? matrix->data : part.vector->data);
        for (const int64_t n : span.shape) span.n_bytes *= n;
        span.n_bytes *= element_size(span.holds);
        spans.push_back(span);
    }
    return spans;
}

std::vector<Span> gpt2_spans(const Model& model) {
    Gpt2 gpt2 = model.gpt2();
    std::vector<Span> spans;
    if (model.kind != CheckpointKind::kLlmc) {
        for (const NamedTensor& tensor : gpt2_tensors(gpt2.config, gpt2.weights, "")) spans.push_back(span_of(tensor));
        return spans;
    }
    std::map<std::string, int> n_parts;  // so far, by name: a layer has one of each name
    for (const LlmcPart& part : llmc_parts(gpt2.weights, gpt2.config.vocab_size)) {
        const DType dtype = part.vector ? part.vector->dtype : part.matrix->dtype;
        const void* data = part.vector ? part.vector->data : part.matrix->data;
        Span span{fmt::format("{} {}", part.name, n_parts[part.name]++),
                  {},
                  holds_of(dtype),
                  static_cast<const uint8_t*>(data),
                  0};
        span.shape = part.vector ? std::vector<int64_t>{part.vector->n}
                                 : std::vector<int64_t>{part.matrix->n_out, part.matrix->n_in};
        span.n_bytes = elements(part) * element_size(span.holds);
        spans.push_back(span);
    }
    return spans;
}

std::vector<Span> gpt_oss_spans(const Model& model) {
    Weights weights = model.gpt_oss().weights;
    std::vector<Span> spans;
    if (model.kind == CheckpointKind::kLegacy) {
        spans = legacy_spans(weights);
    } else {
        TensorOptions options = tensor_options(weights);
        options.tied_embeddings = weights.unembed.data == weights.embed.data;
        const std::vector<NamedTensor> layout = model.kind == CheckpointKind::kOriginal
                                                    ? original_tensors(model.gpt_oss().config, weights)
                                                    : huggingface_tensors(model.gpt_oss().config, weights, options);
        for (const NamedTensor& tensor : layout) spans.push_back(span_of(tensor));
    }
    return spans;
}

}  // namespace

int64_t element_size(TensorSpan::Holds holds) {
    if (holds == TensorSpan::Holds::kF32) return 4;
    return holds == TensorSpan::Holds::kBF16 || holds == TensorSpan::Holds::kF16 ? 2 : 1;
}

std::vector<Span> tensor_spans(const Model& model) {
    std::vector<Span> spans = model.is_gpt2() ? gpt2_spans(model) : gpt_oss_spans(model);
    spans.erase(std::remove_if(spans.begin(), spans.end(), [](const Span& span) { return !span.data; }), spans.end());
    const auto file_of = [&](const Span& span) {
        return std::find_if(model.mappings.begin(), model.mappings.end(), [&](const Model::Mapping& file) {
            return span.data >= file.data && span.data < file.data + file.n_bytes;
        });
    };
    std::sort(spans.begin(), spans.end(), [&](const Span& a, const Span& b) {
        return std::pair(file_of(a), a.data) < std::pair(file_of(b), b.data);
    });
    return spans;
}
