// tensor_spans.h: where every tensor of an open model lies, for what reads all of them as bytes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model.h"

struct TensorSpan {
    enum class Holds { kF32, kBF16, kF16, kScales, kBytes };
    std::string name;
    std::vector<int64_t> shape;
    Holds holds;
    const uint8_t* data;
    int64_t n_bytes;
};

int64_t element_size(TensorSpan::Holds holds);

// All tensors, in the order in which they lie in the files.
std::vector<TensorSpan> tensor_spans(const Model& model);
