// config.h: Config from and to the spellings of the checkpoint kinds.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "model.h"

// Bounds of numbers that are read from a file. Within them, no tensor's dimensions · layers · 4 bytes exceed 2^62.
constexpr int kMaxVocab = 1 << 24;
constexpr int kMaxDim = 1 << 17;  // hidden and intermediate
constexpr int kMaxLayers = 1 << 10;
constexpr int kMaxHeads = 1 << 14;
constexpr int kMaxHeadDim = 1 << 10;
constexpr int kMaxExperts = 1 << 14;
constexpr int kMaxContext = 1 << 30;
constexpr double kMinFloat = 1e-6, kMaxFloat = 1e30;   // bounds of numbers that must be positive
constexpr double kMinTheta = 1.001;                    // RoPE divides by its logarithm
constexpr double kMinEps = 1e-12, kMaxEps = 1;         // the norm divides by its root where a row is all zeros
constexpr double kMinSwiglu = 1e-3, kMaxSwiglu = 1e9;  // limit and alpha; products of two stay far from infinity
constexpr double kMinAttentionFactor = 1e-3, kMaxAttentionFactor = 1e3;
constexpr double kMaxTemperature = 100;

class JsonFields;

// What a Hugging Face config.json says beyond Config.
struct HuggingFaceConfig {
    Config config;
    bool attention_bias = true;
    bool tied_embeddings = false;  // no lm_head tensor: the embedding is used
    std::string quantization;      // the method that quantization_config names: "mxfp4"; "": it names none
};

// All of these throw Error. `text` is JSON, `file` names the source in errors.
HuggingFaceConfig read_huggingface_config(std::string_view text, const std::string& file);
Config read_original_config(std::string_view text, const std::string& file);
// The fields that both name alike; all others have their defaults.
Config read_dimensions(const JsonFields& config);
// Positions that a model's RoPE can do. An original config has no field for more; a legacy header means at least as
// many.
int original_context(const Config& config);
// The ids in generation_config.json, if it has any, replace those of config.json; its sampling becomes
// config.sampling.
void read_generation_config(std::string_view text, const std::string& file, CommonConfig& config);
// One id, a list of ids, or none: then nothing changes. Leaves out ids outside the vocabulary, which can never come.
void read_stop_ids(const JsonFields& fields, CommonConfig& config);

// The field for a context other than original_context(), in the generation_config.json of an original directory.
constexpr const char* kOriginalContextKey = "max_position_embeddings";
void read_original_generation_config(std::string_view text, const std::string& file, Config& config);

nlohmann::json huggingface_config_json(const Config& config, bool attention_bias, bool mxfp4);
nlohmann::json original_config_json(const Config& config);
nlohmann::json generation_config_json(const CommonConfig& config);
// The shortest decimal that reads back as the same float: 1e-05, not 9.999999747378752e-06.
double shortest(float f);

// Even layers slide, odd ones see all: gpt-oss as published.
std::vector<LayerKind> alternating_layers(int n_layers);
// YaRN's temperature on the attention logits, as a factor on cos and sin (arXiv 2309.00071, §3.4; `weight` is 1 there).
double yarn_attention_factor(double factor, double weight = 1);
// The published models' end ids (return, endoftext, call), for kinds that do not say. None if the vocabulary is too
// small to have them: a made-up id would cut answers short.
std::vector<int> published_stop_ids(int vocab_size);

// Checks what must hold between fields. `file` names the source.
void check_config(const Config& config, const std::string& file);
// Before writing a kind that lacks fields of Config: throws Error unless these have the published models' values.
// `kind` is the kind's name, for the error.
void check_published(const Config& config, const std::string& kind);
void check_published_value(const std::string& kind, const char* what, float value, float published);
