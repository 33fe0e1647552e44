// architecture.h: what the rest of this folder needs from a model's architecture: the sizes of its parts, and its
// forward pass. gpt_oss_forward.cpp and gpt2_forward.cpp have these.
#pragma once
#include <functional>
#include <memory>

#include "gpu/forward.h"

struct ModelSizes {
    CommonConfig config;
    int64_t residual_bytes = 0;  // of a token, from one layer to the next
    WeightBytes weights;
    std::function<int64_t(const Span&, int max_tokens)> workspace_bytes;
};

class Architecture {
  public:
    virtual ~Architecture() = default;
    virtual const CommonConfig& config() const = 0;
    virtual ModelSizes sizes() const = 0;
    virtual std::vector<const char*> op_names() const = 0;  // ops.h
    // Loads the weights onto the current device. Throws Error if memory runs out.
    virtual std::unique_ptr<Forward> make_forward(const ForwardPlace& place) const = 0;
};
// Keeps a pointer to the model. Throws Error for sizes that the kernels were not written for.
std::unique_ptr<Architecture> architecture_of(const Model& model);

std::unique_ptr<Architecture> make_gpt_oss(const GptOss& model);
std::unique_ptr<Architecture> make_gpt2(const Gpt2& model);

// Of a gpt-oss.
ModelSizes gpt_oss_sizes(const Config& config, const WeightBytes& weights);

// Throws Error unless ok: no kernel was written for this.
void need(bool ok, const char* field, const char* expected, int found);
