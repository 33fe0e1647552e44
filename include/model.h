// model.h: what a checkpoint holds, of gpt-oss or of GPT-2: the numbers of its config and views of its tensors.
//
// Nothing here owns or copies weights: a Matrix points into the mapped file, in the dtype that the file has.
// Shape letters (the same in every comment of the project), with the sizes of gpt-oss 20b / 120b:
//   V vocab 201088          D hidden_dim 2880         L n_layers 24 / 36     E n_experts 32 / 128
//   H n_attn_heads 64       G n_kv_heads 8            P head_dim 64          A experts_per_token 4
//   F intermediate_dim 2880                           T tokens in a step     S sequences
// GPT-2's, 124M: V 50257, D 768, L 12, H = G 12, P 64, F 3072; and C max_context 1024.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bf16.h"
#include "f16.h"

enum class LayerKind { kSliding, kFull };

// How to sample, by the model's authors (generation_config.json). Empty: they do not say.
struct SamplingDefaults {
    std::optional<bool> do_sample;
    std::optional<float> temperature, top_p;
    std::optional<int> top_k;  // 0: all tokens
};

// What the architectures share: all that the scheduler, the KV cache, attention and the modes know of a model.
struct CommonConfig {
    int vocab_size = 0;
    int max_context = 0;  // positions
    int n_layers = 0;
    int n_attn_heads = 0;
    int n_kv_heads = 0;
    int head_dim = 0;
    std::vector<LayerKind> layer_kind;  // (L)
    int sliding_window = 0;             // keys a sliding layer sees, the token itself included; 0: no layer slides
    std::vector<int> stop_ids;          // ids that end generation; generation_config.json wins over config.json
    SamplingDefaults sampling;
};

// The numbers of a gpt-oss.
struct Config : CommonConfig {
    int hidden_dim = 0;
    int intermediate_dim = 0;
    int n_experts = 0;
    int experts_per_token = 0;
    float norm_eps = 1e-5f;
    float swiglu_limit = 7.0f;
    float swiglu_alpha = 1.702f;

    // RoPE; with rope_factor == 1 the frequencies are the plain ones. YaRN: src/model/rope.cpp.
    float rope_theta = 150000.0f;
    float rope_factor = 1.0f;
    float rope_beta_fast = 32.0f;
    float rope_beta_slow = 1.0f;
    bool rope_truncate = false;          // round the ramp's ends to whole pairs
    int rope_original_context = 4096;    // positions the frequencies were trained on
    float rope_attention_factor = 1.0f;  // multiplies cos and sin
};

struct Gpt2Config : CommonConfig {
    int hidden_dim = 0;
    int intermediate_dim = 0;
    float norm_eps = 1e-5f;
};

// kF16: some fine-tunes are saved in it. Wherever it is used it becomes f32, which holds all its values.
enum class DType { kF32, kBF16, kF16, kMXFP4 };

// (n), contiguous. Never MXFP4. data == nullptr: absent, which reads as zeros (a model without biases).
struct Vector {
    DType dtype = DType::kBF16;
    int64_t n = 0;
    const void* data = nullptr;

    float operator[](int64_t i) const {
        if (!data) return 0.0f;
        if (dtype == DType::kF16) return to_f32(static_cast<const f16*>(data)[i]);
        return dtype == DType::kF32 ? static_cast<const float*>(data)[i] : to_f32(static_cast<const bf16*>(data)[i]);
    }
    // Elements [begin, begin + count).
    Vector slice(int64_t begin, int64_t count) const;
};

// (n_out, n_in), rows contiguous; y = W x.
struct Matrix {
    DType dtype = DType::kBF16;
    bool transposed = false;  // stored as (n_in, n_out): the experts of dequantised Hugging Face snapshots
    int64_t n_out = 0;
    int64_t n_in = 0;
    const void* data = nullptr;       // kMXFP4: (n_out, n_in/32, 16) bytes, two E2M1 codes each, low nibble first
    const uint8_t* scales = nullptr;  // kMXFP4: (n_out, n_in/32), E8M0: 2^(s - 127)

    int64_t bytes() const;  // in the file, scales included
    // Rows [begin, begin + count). Not for a transposed matrix.
    Matrix rows(int64_t begin, int64_t count) const;
    void row(int64_t o, float* out) const;  // row o (n_in), decoded
    // Element (o, i), decoded. For tests: one element at a time is slow.
    float at(int64_t o, int64_t i) const;
};

// E matrices of one shape, one after the other.
struct ExpertMatrices {
    Matrix first;
    int n_experts = 0;

    Matrix operator[](int e) const;
};

struct LayerWeights {
    Vector g_attn;          // (D)
    Matrix w_q, w_k, w_v;   // (H·P, D), (G·P, D), (G·P, D)
    Vector b_q, b_k, b_v;   // (H·P), (G·P), (G·P)
    Vector sinks;           // (H)
    Matrix w_o;             // (D, H·P)
    Vector b_o;             // (D)
    Vector g_mlp;           // (D)
    Matrix w_router;        // (E, D)
    Vector b_router;        // (E)
    ExpertMatrices w_up;    // E × (2F, D), rows 2f gate, 2f+1 linear
    Vector b_up;            // (E · 2F)
    ExpertMatrices w_down;  // E × (D, F)
    Vector b_down;          // (E · D)
};

struct Weights {
    Matrix embed;                      // (V, D)
    std::vector<LayerWeights> layers;  // (L)
    Vector g_final;                    // (D)
    Matrix unembed;                    // (V, D)
};

struct GptOss {
    Config config;
    Weights weights;
};

struct LayerNorm {
    Vector gain, bias;  // (D)
};

struct Gpt2Layer {
    LayerNorm norm_attn;
    Matrix w_qkv;  // (3D, D), rows of q, then k, then v
    Vector b_qkv;  // (3D)
    Matrix w_o;    // (D, D)
    Vector b_o;    // (D)
    LayerNorm norm_mlp;
    Matrix w_up;    // (F, D)
    Vector b_up;    // (F)
    Matrix w_down;  // (D, F)
    Vector b_down;  // (D)
};

struct Gpt2Weights {
    Matrix embed;                   // (V, D), the head too
    Matrix positions;               // (C, D)
    std::vector<Gpt2Layer> layers;  // (L)
    LayerNorm norm_final;
};

struct Gpt2 {
    Gpt2Config config;
    Gpt2Weights weights;
};

enum class CheckpointKind {
    kHuggingFace,
    kOriginal,
    kContainer,
    kLegacy,
    kLlmc,  // llm.c's GPT-2
};

// An open checkpoint. Copies share the mapping.
struct Model {
    std::string path;  // the file or directory that the user gave, or that was found from it
    CheckpointKind kind = CheckpointKind::kHuggingFace;
    std::variant<GptOss, Gpt2> architecture;
    int64_t weight_bytes = 0;    // of all tensors
    std::string tokenizer_data;  // Tokenizer::serialize()d, from a container that has one; else empty
    struct Mapping {
        std::shared_ptr<const void> keep;  // keeps the file mapped
        const uint8_t* data;
        int64_t n_bytes;
    };
    std::vector<Mapping> mappings;

    bool is_gpt2() const { return std::holds_alternative<Gpt2>(architecture); }
    // For what only one architecture has. The model must be of that architecture.
    GptOss& gpt_oss() { return std::get<GptOss>(architecture); }
    const GptOss& gpt_oss() const { return std::get<GptOss>(architecture); }
    Gpt2& gpt2() { return std::get<Gpt2>(architecture); }
    const Gpt2& gpt2() const { return std::get<Gpt2>(architecture); }
    const CommonConfig& common() const {
        return is_gpt2() ? static_cast<const CommonConfig&>(gpt2().config) : gpt_oss().config;
    }
};

// cos and sin of position `pos`, each (P/2), multiplied by the attention factor. inv_freq from rope_inv_freq().
std::vector<float> rope_inv_freq(const Config& config);  // (P/2)
void rope_cos_sin(const Config& config, const std::vector<float>& inv_freq, int pos, float* cos, float* sin);
