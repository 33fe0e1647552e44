// verify_model.cpp: reads all of a checkpoint, front to back, and looks for damage: NaN, infinity, wrong checksums.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "checkpoint.h"
#include "error.h"
#include "model/container_checksums.h"
#include "model/tensor_spans.h"

namespace {

constexpr int64_t kPieceBytes = int64_t(64) << 20;  // asked for while the one before it is checked
constexpr int64_t kTaskBytes = int64_t(1) << 20;

using Span = TensorSpan;

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
    const std::vector<TensorSpan> spans = tensor_spans(model);
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
