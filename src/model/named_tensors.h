// named_tensors.h: which named tensor of a checkpoint is which part of Weights, for reading and for writing.
#pragma once
#include <string>
#include <vector>

#include "model.h"

struct NamedTensor {
    enum class Holds {
        kVectors,   // BF16, F16 or F32; there may be several, one after the other
        kMatrices,  // the same
        kConv1d,    // one matrix of the same types, transposed: (n_in, n_out), as GPT-2 has it
        kExperts,   // dense experts of the same types, transposed: (E, n_in, n_out)
        kBlocks,    // MXFP4 codes: (E, n_out, n_in/32, 16) U8
        kScales,    // MXFP4 scales: (E, n_out, n_in/32) U8
    };
    Holds holds;
    std::string name;
    std::vector<int64_t> shape;
    std::vector<Vector*> vectors;
    std::vector<Matrix*> matrices;
    ExpertMatrices* experts = nullptr;
};

// What decides, together with Config, which tensors there are.
struct TensorOptions {
    bool mxfp4 = true;             // how the experts are stored
    bool attention_bias = true;    // q, k, v and o have biases
    bool tied_embeddings = false;  // no unembedding
};

// Weights with every shape set and no data.
Weights shaped_weights(const Config& config);

// All tensors, in the order in which a forward pass uses them. The pointers are into `weights`, which has its shapes.
std::vector<NamedTensor> huggingface_tensors(const Config& config, Weights& weights, const TensorOptions& options);
std::vector<NamedTensor> original_tensors(const Config& config, Weights& weights);
