// check_scales.cpp: looks for NaN in the experts' scales, 1/17 of their bytes: all the data that is read before use.
#include <algorithm>
#include <cstring>

#include "checkpoint.h"
#include "error.h"
#include "model/named_tensors.h"

namespace {

constexpr int kNaN = 255;                          // in E8M0
constexpr int64_t kChunkBytes = int64_t(1) << 20;  // for one task; memchr, which does the work, is vectorised

// Index of the first NaN, or n.
int64_t find_nan(const uint8_t* scales, int64_t n) {
    int64_t found = n;
#pragma omp parallel for schedule(static) reduction(min : found) if (n > kChunkBytes)
    for (int64_t begin = 0; begin < n; begin += kChunkBytes) {
        const void* nan = std::memchr(scales + begin, kNaN, size_t(std::min(kChunkBytes, n - begin)));
        if (nan) found = std::min(found, int64_t(static_cast<const uint8_t*>(nan) - scales));
    }
    return found;
}

}  // namespace

void check_scales(const Model& model) {
    if (model.is_gpt2()) return;
    Weights weights = model.gpt_oss().weights;
    if (weights.layers[0].w_up.first.dtype != DType::kMXFP4) return;
    const std::vector<NamedTensor> layout = model.kind == CheckpointKind::kOriginal
                                                ? original_tensors(model.gpt_oss().config, weights)
                                                : huggingface_tensors(model.gpt_oss().config, weights, {});
    for (const NamedTensor& tensor : layout) {
        if (tensor.holds != NamedTensor::Holds::kScales) continue;
        const int64_t per_expert = tensor.shape[1] * tensor.shape[2], n = tensor.shape[0] * per_expert;
        const int64_t nan = find_nan(tensor.experts->first.scales, n);
        if (nan < n)
            fail("{}: {}: expected scales below 255, found a NaN in expert {}, row {}, block {}", model.path,
                 tensor.name, nan / per_expert, nan % per_expert / tensor.shape[2], nan % tensor.shape[2]);
    }
}
