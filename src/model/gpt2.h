// gpt2.h: GPT-2's checkpoints: Hugging Face's names, llm.c's file, and HipGPT's, which is recognised and refused.
#pragma once
#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "model.h"
#include "model/named_tensors.h"

// Hugging Face's config.json. Throws Error, also for variants that change the arithmetic. `file` names it in errors.
Gpt2Config read_gpt2_config(std::string_view text, const std::string& file);
nlohmann::json gpt2_config_json(const Gpt2Config& config);

// Weights with every shape set and no data.
Gpt2Weights shaped_gpt2_weights(const Gpt2Config& config);
// Every tensor of a snapshot but lm_head.weight, which repeats wte. prefix: "" or "transformer.".
std::vector<NamedTensor> gpt2_tensors(const Gpt2Config& config, Gpt2Weights& weights, const std::string& prefix);

// llm.c's file: a header of 256 integers, little-endian, then tensors, each over all layers, in one dtype.
constexpr int32_t kLlmcModelMagic = 20240326, kLlmcTokenizerMagic = 20240328;
constexpr int32_t kLlmcVersionF32 = 3, kLlmcVersionBF16 = 5;
constexpr int kLlmcPadding = 128;  // the vocabulary is padded to a multiple of this
using LlmcHeader = std::array<int32_t, 256>;

// One piece of the file, in order. One pointer is set, and what it points to has its shape.
struct LlmcPart {
    const char* name;
    Vector* vector = nullptr;
    Matrix* matrix = nullptr;
    int64_t n_skipped = 0;  // elements after it that nobody reads: rows that pad the vocabulary
};
std::vector<LlmcPart> llmc_parts(Gpt2Weights& weights, int padded_vocab);
int64_t elements(const LlmcPart& part);  // without the skipped ones

// Whether it begins as one of llm.c's files does; open_llmc() says which.
bool is_llmc(const std::string& path);
// Throws Error if it is a checkpoint of HipGPT.
void refuse_hipgpt(const std::string& path);
