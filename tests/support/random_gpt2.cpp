// random_gpt2.cpp: the numbers, and the two forms of files.
#include "support/random_gpt2.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "error.h"
#include "model/gpt2.h"
#include "model/safetensors.h"
#include "noise.h"
#include "support/json.h"

namespace {

// A whole number in [-127, 127] times 2^-exponent. Around a center of 1 it is one in [-31, 31], so that the sum has 8
// bits too.
float weight(int tensor, int64_t i, int exponent, float center) {
    const float most = center == 0 ? 127 : 31;
    return std::nearbyint(noise(uint64_t(tensor), uint64_t(i)) * most) * std::ldexp(1.0f, -exponent) + center;
}

// A tensor as llm.c has it: all layers, (out, in).
struct Tensor {
    std::string name;
    std::vector<int64_t> shape;  // of one layer
    int exponent;                // standard deviation 73 · 2^-exponent; 18 · 2^-exponent around 1
    float center = 0;
    bool in_layers = true;
};

// The exponent that brings a matrix's numbers near this standard deviation.
int exponent_for(double deviation) {
    return int(std::lround(std::log2(73.0 / deviation)));
}

std::vector<Tensor> tensors_of(const Gpt2Spec& s) {
    const int64_t c = s.dim;
    const int wide = exponent_for(1 / std::sqrt(double(c))), down = exponent_for(0.5 / std::sqrt(double(c)));
    constexpr int kGain = 7, kBias = 10;
    return {{"wte", {s.vocab, c}, wide - 1, 0, false},
            {"wpe", {s.context, c}, wide + 1, 0, false},
            {"ln1w", {c}, kGain, 1},
            {"ln1b", {c}, kBias},
            {"qkvw", {3 * c, c}, wide},
            {"qkvb", {3 * c}, kBias},
            {"attprojw", {c, c}, wide},
            {"attprojb", {c}, kBias},
            {"ln2w", {c}, kGain, 1},
            {"ln2b", {c}, kBias},
            {"fcw", {4 * c, c}, wide},
            {"fcb", {4 * c}, kBias},
            {"fcprojw", {c, 4 * c}, down},
            {"fcprojb", {c}, kBias},
            {"lnfw", {c}, kGain, 1, false},
            {"lnfb", {c}, kBias, 0, false}};
}

int64_t count(const std::vector<int64_t>& shape) {
    int64_t n = 1;
    for (const int64_t d : shape) n *= d;
    return n;
}

// Exact for every number in here.
uint16_t to_f16(float f) {
    if (f == 0) return 0;
    int exponent;
    const float fraction = std::frexp(std::fabs(f), &exponent);  // in [0.5, 1)
    const auto bits = uint16_t((exponent + 14) << 10 | (int(fraction * 2048) & 0x3ff));
    return f < 0 ? uint16_t(bits | 0x8000) : bits;
}

void append(std::string& bytes, float f, DType dtype) {
    if (dtype == DType::kF32) {
        bytes.append(reinterpret_cast<const char*>(&f), sizeof f);
        return;
    }
    const uint16_t half = dtype == DType::kF16 ? to_f16(f) : to_bf16(f).bits;
    bytes.append(reinterpret_cast<const char*>(&half), sizeof half);
}

void write(const std::string& path, const std::string& bytes) {
    std::ofstream file(path, std::ios::binary);
    file << bytes;
    if (!file.flush()) fail("{}: cannot write", path);
}

std::string header(std::initializer_list<int32_t> fields) {
    std::string bytes(sizeof(LlmcHeader), '\0');
    std::memcpy(bytes.data(), fields.begin(), fields.size() * sizeof(int32_t));
    return bytes;
}

// Layer `layer` of tensor number `number`.
std::string layer_bytes(const Tensor& t, int number, int64_t layer, DType dtype, bool transposed) {
    const int64_t n = count(t.shape), n_in = t.shape.back(), n_out = n / n_in;
    std::string bytes;
    bytes.reserve(size_t(n) * 4);
    for (int64_t at = 0; at < n; at++) {
        const int64_t i = transposed ? at % n_out * n_in + at / n_out : at;
        append(bytes, weight(number, layer * n + i, t.exponent, t.center), dtype);
    }
    return bytes;
}

void write_tokenizer(const std::string& path, int vocab) {
    std::string bytes = header({kLlmcTokenizerMagic, 2, vocab, vocab - 1});
    std::vector<std::string> tokens = gpt2_test_tokens(vocab);
    tokens.push_back("<|endoftext|>");
    for (const std::string& token : tokens) bytes += char(token.size()) + token;
    write(path, bytes);
}

struct NamedBytes {
    NamedTensorInfo info;
    std::string bytes;
};

std::vector<NamedBytes> snapshot_tensors(const Gpt2Spec& s, const Gpt2Snapshot& form) {
    const std::vector<Tensor> all = tensors_of(s);
    const std::string spelled = form.dtype == DType::kF32 ? "F32" : form.dtype == DType::kF16 ? "F16" : "BF16";
    std::vector<NamedBytes> out;
    const auto add = [&](const std::string& name, int number, int64_t layer, bool conv1d = false) {
        const Tensor& t = all[size_t(number)];
        std::vector<int64_t> shape = t.shape;
        if (conv1d) std::swap(shape[0], shape[1]);
        out.push_back({{name, spelled, shape}, layer_bytes(t, number, layer, form.dtype, conv1d)});
    };
    add(form.prefix + "wte.weight", 0, 0);
    add(form.prefix + "wpe.weight", 1, 0);
    for (int l = 0; l < s.n_layers; l++) {
        const std::string h = fmt::format("{}h.{}.", form.prefix, l);
        if (form.buffers) out.push_back({{h + "attn.bias", "F32", {1, 1, 2, 2}}, std::string(16, '\0')});
        int number = 2;
        for (const char* name : {"ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias",
                                 "attn.c_proj.weight", "attn.c_proj.bias", "ln_2.weight", "ln_2.bias",
                                 "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"}) {
            add(h + name, number, l, all[size_t(number)].shape.size() == 2);
            number++;
        }
    }
    add(form.prefix + "ln_f.weight", 14, 0);
    add(form.prefix + "ln_f.bias", 15, 0);
    if (form.lm_head) {
        add("lm_head.weight", 0, 0);
        std::string last;
        append(last, weight(0, count(all[0].shape) - 1, all[0].exponent, all[0].center) + form.head_error, form.dtype);
        out.back().bytes.replace(out.back().bytes.size() - last.size(), last.size(), last);
    }
    return out;
}

nlohmann::json snapshot_config(const Gpt2Spec& s) {
    return {{"model_type", "gpt2"},       {"activation_function", "gelu_new"},
            {"layer_norm_epsilon", 1e-5}, {"n_ctx", s.context},
            {"n_positions", s.context},   {"n_embd", s.dim},
            {"n_head", s.n_heads},        {"n_layer", s.n_layers},
            {"vocab_size", s.vocab},      {"eos_token_id", s.vocab - 1}};
}

}  // namespace

Gpt2Spec gpt2_preset(const std::string& name) {
    if (name == "gpt2-tiny") return {};
    if (name == "gpt2-odd") return {3, 3, 96, 997, 70};
    if (name == "gpt2-124M") return {12, 12, 768, 50257, 1024};
    if (name == "gpt2-355M") return {24, 16, 1024, 50257, 1024};
    fail("preset: expected gpt2-tiny, gpt2-odd, gpt2-124M or gpt2-355M, found {}", name);
}

std::vector<std::string> gpt2_test_tokens(int vocab) {
    std::vector<std::string> tokens;
    const auto is_printable = [](int b) { return (b >= 33 && b < 127) || (b >= 161 && b != 173); };
    for (const bool printable : {true, false})
        for (int b = 0; b < 256; b++)
            if (is_printable(b) == printable) tokens.push_back(std::string(1, char(b)));
    for (const char* pair : {" t", "he", " a", "in", " the", "er", " w", "ing"}) tokens.push_back(pair);
    // Then all pairs from '0' to 'Z', then what they make with one more.
    const std::string letters = "0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    std::vector<std::string> pairs;
    for (const char a : letters)
        for (const char b : letters) pairs.push_back({a, b});
    tokens.insert(tokens.end(), pairs.begin(), pairs.end());
    for (const std::string& pair : pairs)
        for (const char c : letters) tokens.push_back(pair + c);
    tokens.resize(size_t(vocab - 1));
    return tokens;
}

void write_llmc_gpt2(const std::string& directory, const Gpt2Spec& s, DType dtype, float padding) {
    std::filesystem::create_directories(directory);
    const int padded = (s.vocab + kLlmcPadding - 1) / kLlmcPadding * kLlmcPadding;
    std::string bytes = header({kLlmcModelMagic, dtype == DType::kF32 ? kLlmcVersionF32 : kLlmcVersionBF16, s.context,
                                s.vocab, s.n_layers, s.n_heads, s.dim, padded});
    int number = 0;
    for (const Tensor& t : tensors_of(s)) {
        for (int l = 0; l < (t.in_layers ? s.n_layers : 1); l++) bytes += layer_bytes(t, number, l, dtype, false);
        if (number++ == 0)
            for (int64_t i = 0; i < int64_t(padded - s.vocab) * s.dim; i++) append(bytes, padding, dtype);
    }
    write(directory + "/model.bin", bytes);
    write_tokenizer(directory + "/gpt2_tokenizer.bin", s.vocab);
}

void write_gpt2_snapshot(const std::string& directory, const Gpt2Spec& spec, const Gpt2Snapshot& form) {
    std::filesystem::create_directories(directory);
    const std::vector<NamedBytes> tensors = snapshot_tensors(spec, form);
    nlohmann::json map;
    for (int shard = 0; shard < form.shards; shard++) {
        const std::string name =
            form.shards == 1 ? "model.safetensors" : fmt::format("model-{}-of-{}.safetensors", shard + 1, form.shards);
        std::vector<NamedTensorInfo> infos;
        std::string data;
        for (size_t i = size_t(shard); i < tensors.size(); i += size_t(form.shards)) {
            infos.push_back(tensors[i].info);
            data += tensors[i].bytes;
            map[tensors[i].info.name] = name;
        }
        write(directory + "/" + name, safetensors_header(infos, {{"format", "pt"}}, 8) + data);
    }
    if (form.shards > 1) write(directory + "/model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
    write(directory + "/config.json", snapshot_config(spec).dump());
}
