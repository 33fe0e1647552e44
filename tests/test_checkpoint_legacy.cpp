// test_checkpoint_legacy.cpp: the getp family's .bin, from files written here by hand, from the format's table alone.
#include <gtest/gtest.h>

#include <cmath>

#include "support/checkpoint_checks.h"

namespace {

// Field values of a small model, in the order of the header; all dimensions differ.
struct Header {
    int32_t vocab_size = 11, hidden_dim = 6, n_experts = 3, experts_per_token = 2, intermediate_dim = 5, n_layers = 2,
            head_dim = 4, n_attn_heads = 4, n_kv_heads = 2, seq_len = 2048, initial_context_length = 4096;
    float rope_theta = 150000, rope_scaling_factor = 32;
    int32_t sliding_window = 7;
    float swiglu_limit = 6.5f;
};
static_assert(sizeof(Header) == 60);

constexpr int kV = 11, kH = 6, kE = 3, kI = 5, kL = 2, kD = 4, kNq = 4, kNkv = 2, kQkv = kD * (kNq + 2 * kNkv);
// Elements of each tensor, over all layers, in the order of the format.
constexpr int kSizes[] = {kV * kH,         kV* kH,    kL* kH,  kL* kH,     kH,     kL* kQkv* kH,        kL* kQkv,
                          kL* kH* kD* kNq, kL* kH,    kL* kNq, kL* kE* kH, kL* kE, kL* kE * 2 * kI* kH, kL* kE * 2 * kI,
                          kL* kE* kH* kI,  kL* kE* kH};

int elements_before(int tensor) {
    int n = 0;
    for (int i = 0; i < tensor; i++) n += kSizes[i];
    return n;
}

// Element k of the payload has value k, or k mod 256, which bf16 holds too.
std::string payload(bool f32) {
    std::string bytes;
    for (int k = 0; k < elements_before(16); k++) {
        const float value = f32 ? float(k) : float(k % 256);
        const bf16 half = to_bf16(value);
        bytes += f32 ? std::string(reinterpret_cast<const char*>(&value), 4)
                     : std::string(reinterpret_cast<const char*>(&half), 2);
    }
    return bytes;
}

std::string file_of(const Header& header, bool f32 = true) {
    return std::string(reinterpret_cast<const char*>(&header), sizeof header) + payload(f32);
}

class Legacy : public testing::Test {
  protected:
    std::string write(const std::string& bytes) {
        write_bytes(directory.path("model.bin"), bytes);
        return directory.path("model.bin");
    }
    TempFolder directory;
};

TEST_F(Legacy, HeaderAndConstants) {
    const Model model = open_model(write(file_of({})));
    const Config& c = model.gpt_oss().config;
    EXPECT_EQ(model.kind, CheckpointKind::kLegacy);
    EXPECT_EQ(c.vocab_size, 11);
    EXPECT_EQ(c.hidden_dim, 6);
    EXPECT_EQ(c.n_experts, 3);
    EXPECT_EQ(c.experts_per_token, 2);
    EXPECT_EQ(c.intermediate_dim, 5);
    EXPECT_EQ(c.n_layers, 2);
    EXPECT_EQ(c.head_dim, 4);
    EXPECT_EQ(c.n_attn_heads, 4);
    EXPECT_EQ(c.n_kv_heads, 2);
    EXPECT_EQ(c.sliding_window, 7);
    EXPECT_EQ(c.swiglu_limit, 6.5f);
    EXPECT_EQ(c.rope_theta, 150000.0f);
    EXPECT_EQ(c.rope_factor, 32.0f);
    EXPECT_EQ(c.rope_original_context, 4096);
    EXPECT_EQ(c.rope_beta_fast, 32.0f);
    EXPECT_EQ(c.rope_beta_slow, 1.0f);
    EXPECT_FALSE(c.rope_truncate);
    EXPECT_EQ(c.rope_attention_factor, float(1.3465735902799727));
    EXPECT_EQ(c.norm_eps, 1e-5f);
    EXPECT_EQ(c.swiglu_alpha, 1.702f);
    EXPECT_EQ(c.layer_kind, (std::vector<LayerKind>{LayerKind::kSliding, LayerKind::kFull}));
    EXPECT_EQ(c.max_context, 131072) << "seq_len is often a buffer's size";
    EXPECT_TRUE(c.stop_ids.empty()) << "ids of the published vocabulary do not exist in this one";
    EXPECT_EQ(model.weight_bytes, 4 * elements_before(16));
    check_scales(model);

    Header longer;
    longer.seq_len = 200'000;
    EXPECT_EQ(open_model(write(file_of(longer))).gpt_oss().config.max_context, 200'000);
}

TEST_F(Legacy, EveryTensorLiesWhereTheFormatSays) {
    for (const bool f32 : {true, false}) {
        const Model model = open_model(write(file_of({}, f32)));
        const Weights& w = model.gpt_oss().weights;
        const auto value = [&](int tensor, int64_t i) {
            const int64_t k = elements_before(tensor) + i;
            return f32 ? float(k) : float(k % 256);
        };
        EXPECT_EQ(w.embed.dtype, f32 ? DType::kF32 : DType::kBF16);
        EXPECT_EQ(w.embed.at(10, 5), value(0, 65));
        EXPECT_EQ(w.unembed.at(2, 3), value(1, 15));
        EXPECT_EQ(w.g_final[4], value(4, 4));
        for (int l = 0; l < kL; l++) {
            const LayerWeights& layer = w.layers[size_t(l)];
            EXPECT_EQ(layer.g_attn[2], value(2, l * kH + 2));
            EXPECT_EQ(layer.g_mlp[3], value(3, l * kH + 3));
            const int q = l * kQkv, k = q + kD * kNq, v = k + kD * kNkv;
            EXPECT_EQ(layer.w_q.at(9, 1), value(5, (q + 9) * kH + 1));
            EXPECT_EQ(layer.w_k.at(7, 5), value(5, (k + 7) * kH + 5));
            EXPECT_EQ(layer.w_v.at(0, 0), value(5, v * kH));
            EXPECT_EQ(layer.b_q[15], value(6, q + 15));
            EXPECT_EQ(layer.b_k[0], value(6, k));
            EXPECT_EQ(layer.b_v[7], value(6, v + 7));
            EXPECT_EQ(layer.w_o.at(5, 15), value(7, (l * kH + 5) * kD * kNq + 15));
            EXPECT_EQ(layer.b_o[1], value(8, l * kH + 1));
            EXPECT_EQ(layer.sinks[3], value(9, l * kNq + 3));
            EXPECT_EQ(layer.w_router.at(2, 4), value(10, (l * kE + 2) * kH + 4));
            EXPECT_EQ(layer.b_router[1], value(11, l * kE + 1));
            for (int e = 0; e < kE; e++) {
                EXPECT_EQ(layer.w_up[e].at(9, 2), value(12, ((l * kE + e) * 2 * kI + 9) * kH + 2));
                EXPECT_EQ(layer.w_down[e].at(5, 4), value(14, ((l * kE + e) * kH + 5) * kI + 4));
            }
            EXPECT_EQ(layer.b_up[12], value(13, l * kE * 2 * kI + 12));
            EXPECT_EQ(layer.b_down[17], value(15, l * kE * kH + 17));
        }
    }
}

TEST_F(Legacy, SwappedEmbeddings) {
    OpenOptions swap;
    swap.swap_legacy_embeddings = true;
    const Model model = open_model(write(file_of({})), swap);
    EXPECT_EQ(model.gpt_oss().weights.embed.at(0, 0), float(kV * kH));
    EXPECT_EQ(model.gpt_oss().weights.unembed.at(0, 0), 0.0f);
}

TEST_F(Legacy, StopIdsOfThePublishedVocabulary) {
    Header header;
    header.hidden_dim = header.n_layers = 1;
    header.vocab_size = 200'010;
    const int64_t qkv = kD * (kNq + 2 * kNkv);
    const int64_t n =
        2 * 200'010 + 1 + 1 + 1 + qkv + qkv + kD * kNq + 1 + kNq + kE + kE + kE * 2 * kI + kE * 2 * kI + kE * kI + kE;
    const std::string head(reinterpret_cast<const char*>(&header), sizeof header);
    const Model model = open_model(write(head + std::string(size_t(n) * 2, '\0')));
    EXPECT_EQ(model.common().stop_ids, (std::vector<int>{200002, 199999})) << "200012 is outside";
}

TEST_F(Legacy, SizeDecidesAndBothAreNamed) {
    const std::string f32 = file_of({}), half = file_of({}, false);
    const std::vector<std::string> both = {"model.bin", std::to_string(f32.size()), std::to_string(half.size())};
    for (const size_t size : {size_t(60), size_t(61), half.size() - 1, half.size() + 1, f32.size() - 1}) {
        EXPECT_TRUE(has(open_error(write(f32.substr(0, size))), both)) << size;
        EXPECT_TRUE(has(open_error(write(f32.substr(0, size))), {std::to_string(size)}));
    }
    EXPECT_TRUE(has(open_error(write(f32 + "x")), both));
    for (const size_t size : {size_t(8), size_t(59)})
        EXPECT_TRUE(has(open_error(write(f32.substr(0, size))), {"model.bin", "60 bytes", std::to_string(size)}));
}

TEST_F(Legacy, FloatsInIntegerFieldsAskForAnotherExport) {
    for (const float value : {128.0f, 4096.0f, 1.0f}) {
        int32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        Header context, window;
        context.initial_context_length = bits;
        window.sliding_window = bits;
        EXPECT_TRUE(has(open_error(write(file_of(context))), {"model.bin", "initial_context_length", "re-export"}));
        EXPECT_TRUE(has(open_error(write(file_of(window))), {"model.bin", "sliding_window", "re-export"}));
    }
}

TEST_F(Legacy, EveryFieldIsChecked) {
    const char* const names[] = {"vocab_size",
                                 "hidden_dim",
                                 "n_experts",
                                 "experts_per_token",
                                 "intermediate_dim",
                                 "n_layers",
                                 "head_dim",
                                 "n_attn_heads",
                                 "n_kv_heads",
                                 "seq_len",
                                 "initial_context_length",
                                 "rope_theta",
                                 "rope_scaling_factor",
                                 "sliding_window",
                                 "swiglu_limit"};
    for (int field = 0; field < 15; field++)
        for (const int32_t value : {0, -1, INT32_MIN, INT32_MAX}) {  // as floats: 0, NaN, -0, NaN
            Header header;
            std::memcpy(reinterpret_cast<char*>(&header) + 4 * field, &value, sizeof value);
            // Eight bytes with an upper half of zero are a safetensors file.
            if (field == 1 && value == 0) continue;
            EXPECT_TRUE(has(open_error(write(file_of(header))), {"model.bin", names[field]})) << value;
        }
    Header odd;
    odd.head_dim = 3;
    EXPECT_TRUE(has(open_error(write(file_of(odd))), {"head dimension", "3"}));
    Header groups;
    groups.n_kv_heads = 3;
    EXPECT_TRUE(has(open_error(write(file_of(groups))), {"attention heads", "3", "4"}));
    Header top;
    top.experts_per_token = 4;
    EXPECT_TRUE(has(open_error(write(file_of(top))), {"experts per token", "3", "4"}));
    Header infinite;
    infinite.rope_scaling_factor = INFINITY;
    EXPECT_TRUE(has(open_error(write(file_of(infinite))), {"rope_scaling_factor"}));
}

// The largest model that the header can spell: sizes must neither overflow nor be allocated.
TEST_F(Legacy, LargestDimensions) {
    Header header;
    header.vocab_size = 1 << 24;
    header.hidden_dim = header.intermediate_dim = 1 << 17;
    header.n_experts = header.n_attn_heads = header.n_kv_heads = 1 << 14;
    header.n_layers = header.head_dim = 1 << 10;
    EXPECT_TRUE(has(open_error(write(file_of(header))), {"model.bin", "file size"}));
}

}  // namespace
