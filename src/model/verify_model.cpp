// verify_model.cpp: reads all of a checkpoint, front to back, and looks for damage: NaN, infinity, wrong checksums.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "checkpoint.h"
#include "error.h"
#include "model/container_checksums.h"
#include "model/export.h"
#include "model/gpt2.h"
#include "model/legacy.h"

namespace {

constexpr int64_t kPieceBytes = int64_t(64) << 20;  // asked for while the one before it is checked
constexpr int64_t kTaskBytes = int64_t(1) << 20;

// A tensor as it lies in its file.
struct Span {
    enum class Holds { kF32, kBF16, kF16, kScales, kBytes };
    std::string name;
    std::vector<int64_t> shape;
    Holds holds;
    const uint8_t* data;
    int64_t n_bytes;
};

int64_t element_size(Span::Holds holds) {
    if (holds == Span::Holds::kF32) return 4;
    return holds == Span::Holds::kBF16 || holds == Span::Holds::kF16 ? 2 : 1;
}

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

// All tensors, in the order in which they lie in the files.
std::vector<Span> spans_of(const Model& model) {
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

// Index of the first of n numbers whose exponent is all ones, or n. The first loop is for the compiler to vectorise.
template <class T>
int64_t find_no_number(const uint8_t* data, int64_t n, T exponent) {
    const T* values = reinterpret_cast<const T*>(data);
    T bad = 0;
    for (int64_t i = 0; i < n; i++) bad = T(bad | T((values[i] & exponent) == exponent));
    if (!bad) return n;
    return std::find_if(values, values + n, [&](T value) { return (value & exponent) == exponent; }) - values;
}

// The same for a span at `data`. Scales are exponents, of which 255 is NaN.
int64_t find_bad(Span::Holds holds, const uint8_t* data, int64_t n) {
    switch (holds) {
        case Span::Holds::kF32:
            return find_no_number<uint32_t>(data, n, 0x7f800000);
        case Span::Holds::kBF16:
            return find_no_number<uint16_t>(data, n, 0x7f80);
        case Span::Holds::kF16:
            return find_no_number<uint16_t>(data, n, 0x7c00);
        case Span::Holds::kScales:
            return find_no_number<uint8_t>(data, n, 0xff);
        case Span::Holds::kBytes:  // every code is a number
            return n;
    }
    return n;
}

void ask_for(const uint8_t* data, int64_t n_bytes) {
    const auto page = uintptr_t(sysconf(_SC_PAGESIZE));
    const uintptr_t begin = reinterpret_cast<uintptr_t>(data) / page * page;
    madvise(reinterpret_cast<void*>(begin), size_t(reinterpret_cast<uintptr_t>(data) + uintptr_t(n_bytes) - begin),
            MADV_WILLNEED);
}

[[noreturn]] void fail_at(const std::string& path, const Span& span, int64_t index) {
    std::string place;
    int64_t left = index;
    for (size_t d = span.shape.size(); d-- > 0; left /= span.shape[d])
        place = fmt::format("{}{}{}", left % span.shape[d], place.empty() ? "" : ", ", place);
    const char* what = span.holds == Span::Holds::kScales ? "a scale that is NaN" : "NaN or infinity";
    fail("{}: {}: expected finite numbers, found {} at [{}]", path, span.name, what, place);
}

// Reads a span with all cores; `checksum`, if there is one, reads it too.
void verify_span(const std::string& path, const Span& span, Checksum* checksum,
                 const std::function<void(int64_t)>& add) {
    const int64_t size = element_size(span.holds), n_elements = span.n_bytes / size;
    for (int64_t piece = 0; piece < span.n_bytes; piece += kPieceBytes) {
        const int64_t end = std::min(piece + kPieceBytes, span.n_bytes);
        ask_for(span.data + end, std::min(kPieceBytes, span.n_bytes - end));
        int64_t bad = n_elements;
#pragma omp parallel for schedule(static, 1) reduction(min : bad)
        for (int64_t begin = piece; begin < end; begin += kTaskBytes) {
            const int64_t first = begin / size, n = (std::min(begin + kTaskBytes, end) - begin) / size;
            const int64_t found = find_bad(span.holds, span.data + begin, n);
            if (found < n) bad = std::min(bad, first + found);
        }
        if (bad < n_elements) fail_at(path, span, bad);
        if (checksum) checksum->add(span.data + piece, end - piece);
        add(end - piece);
    }
}

}  // namespace

void verify_model(const Model& model, const std::function<void(int64_t, int64_t)>& progress) {
    const std::vector<Span> spans = spans_of(model);
    std::optional<ContainerChecksums> checksums;
    if (model.kind == CheckpointKind::kContainer) checksums.emplace(model.path);
    int64_t done = 0, total = 0;
    for (const Span& span : spans) total += span.n_bytes;
    for (const Span& span : spans) {
        Checksum checksum;
        verify_span(model.path, span, checksums ? &checksum : nullptr, [&](int64_t n_bytes) {
            done += n_bytes;
            if (progress) progress(done, total);
        });
        if (checksums) checksums->check(span.name, checksum);
    }
}
