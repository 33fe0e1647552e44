// llmc.cpp: llm.c's model file, fp32 or bf16, mapped and used in place.
#include <cstring>
#include <string>

#include "base/file.h"
#include "error.h"
#include "model/config.h"
#include "model/gpt2.h"
#include "model/readers.h"
#include "model/tensor.h"

namespace {

// What llm.c writes, by magic number. All begin with a date.
constexpr struct {
    int32_t magic;
    const char* name;
} kFiles[] = {
    {kLlmcModelMagic, "model"},
    {kLlmcTokenizerMagic, "tokenizer"},
    {20240327, "debug state"},
    {20240520, "token shard"},
    {20240801, "token shard"},
    {20240522, "evaluation"},
    {20240527, "state of a training run"},
};

const char* name_of(int32_t magic) {
    for (const auto& file : kFiles)
        if (file.magic == magic) return file.name;
    return nullptr;
}

int32_t first_integer(const MappedFile& file) {
    int32_t magic = 0;
    if (file.size() >= int64_t(sizeof magic)) std::memcpy(&magic, file.data(), sizeof magic);
    return magic;
}

// What a header says.
struct HeaderContent {
    Gpt2Config config;
    int padded_vocab;
    DType dtype;
};

HeaderContent read_header(const LlmcHeader& h, const std::string& path) {
    const auto integer = [&](int at, const char* name, int min, int max) {
        const int32_t value = h[size_t(at)];
        if (value < min || value > max)
            fail("{}: {}: expected an integer from {} to {}, found {}", path, name, min, max, value);
        return value;
    };
    if (h[1] != kLlmcVersionF32 && h[1] != kLlmcVersionBF16)
        fail("{}: version: expected {} (fp32) or {} (bf16), found {}: export the model anew with llm.c's train_gpt2.py",
             path, kLlmcVersionF32, kLlmcVersionBF16, h[1]);
    Gpt2Config c;
    c.max_context = integer(2, "max_seq_len", 1, kMaxContext);
    c.vocab_size = integer(3, "vocab_size", 1, kMaxVocab);
    c.n_layers = integer(4, "num_layers", 1, kMaxLayers);
    c.n_attn_heads = c.n_kv_heads = integer(5, "num_heads", 1, kMaxHeads);
    c.hidden_dim = integer(6, "channels", 1, kMaxDim / 4);
    if (c.hidden_dim % c.n_attn_heads != 0)
        fail("{}: num_heads: expected a divisor of the {} channels, found {}", path, c.hidden_dim, c.n_attn_heads);
    c.head_dim = c.hidden_dim / c.n_attn_heads;
    if (c.head_dim > kMaxHeadDim)
        fail("{}: num_heads: expected heads of at most {} channels, found {}", path, kMaxHeadDim, c.head_dim);
    c.intermediate_dim = 4 * c.hidden_dim;
    c.layer_kind.assign(size_t(c.n_layers), LayerKind::kFull);
    // The file does not say which token ends a text; in OpenAI's vocabulary it is the last.
    constexpr int kOpenAiVocab = 50257;
    if (c.vocab_size == kOpenAiVocab) c.stop_ids = {kOpenAiVocab - 1};
    return {c, integer(7, "padded_vocab_size", c.vocab_size, kMaxVocab),
            h[1] == kLlmcVersionF32 ? DType::kF32 : DType::kBF16};
}

}  // namespace

std::vector<LlmcPart> llmc_parts(Gpt2Weights& w, int padded_vocab) {
    std::vector<LlmcPart> parts;
    const auto each_layer = [&](const char* name, auto part_of) {
        for (Gpt2Layer& layer : w.layers) {
            auto* part = part_of(layer);
            if constexpr (std::is_same_v<decltype(part), Vector*>)
                parts.push_back({name, part, nullptr});
            else
                parts.push_back({name, nullptr, part});
        }
    };
    parts.push_back({"wte", nullptr, &w.embed, (padded_vocab - w.embed.n_out) * w.embed.n_in});
    parts.push_back({"wpe", nullptr, &w.positions});
    each_layer("ln1w", [](Gpt2Layer& l) { return &l.norm_attn.gain; });
    each_layer("ln1b", [](Gpt2Layer& l) { return &l.norm_attn.bias; });
    each_layer("qkvw", [](Gpt2Layer& l) { return &l.w_qkv; });
    each_layer("qkvb", [](Gpt2Layer& l) { return &l.b_qkv; });
    each_layer("attprojw", [](Gpt2Layer& l) { return &l.w_o; });
    each_layer("attprojb", [](Gpt2Layer& l) { return &l.b_o; });
    each_layer("ln2w", [](Gpt2Layer& l) { return &l.norm_mlp.gain; });
    each_layer("ln2b", [](Gpt2Layer& l) { return &l.norm_mlp.bias; });
    each_layer("fcw", [](Gpt2Layer& l) { return &l.w_up; });
    each_layer("fcb", [](Gpt2Layer& l) { return &l.b_up; });
    each_layer("fcprojw", [](Gpt2Layer& l) { return &l.w_down; });
    each_layer("fcprojb", [](Gpt2Layer& l) { return &l.b_down; });
    parts.push_back({"lnfw", &w.norm_final.gain, nullptr});
    parts.push_back({"lnfb", &w.norm_final.bias, nullptr});
    return parts;
}

int64_t elements(const LlmcPart& part) {
    return part.vector ? part.vector->n : part.matrix->n_out * part.matrix->n_in;
}

bool is_llmc(const std::string& path) {
    return name_of(first_integer(MappedFile(path))) != nullptr;
}

Model open_llmc(const std::string& path) {
    const auto file = std::make_shared<const MappedFile>(path);
    LlmcHeader header;
    const int32_t magic = first_integer(*file);
    if (magic != kLlmcModelMagic) fail("{}: expected a model, found llm.c's {}", path, name_of(magic));
    if (file->size() < int64_t(sizeof header))
        fail("{}: expected a header of {} bytes, found a file of {}", path, sizeof header, file->size());
    std::memcpy(&header, file->data(), sizeof header);
    const HeaderContent layout = read_header(header, path);

    Gpt2 gpt2{layout.config, shaped_gpt2_weights(layout.config)};
    const std::vector<LlmcPart> parts = llmc_parts(gpt2.weights, layout.padded_vocab);
    int64_t n = 0;
    for (const LlmcPart& part : parts) n += elements(part) + part.n_skipped;
    const int64_t expected = int64_t(sizeof header) + n * element_bytes(layout.dtype);
    if (file->size() != expected)
        fail("{}: file size: expected {} bytes, as its header says, found {}", path, expected, file->size());

    const uint8_t* data = file->data() + sizeof header;
    for (const LlmcPart& part : parts) {
        if (part.vector) {
            part.vector->dtype = layout.dtype;
            part.vector->data = data;
        } else {
            part.matrix->dtype = layout.dtype;
            part.matrix->data = data;
        }
        data += (elements(part) + part.n_skipped) * element_bytes(layout.dtype);
    }
    Model model;
    model.kind = CheckpointKind::kLlmc;
    model.architecture = std::move(gpt2);
    model.weight_bytes = file->size() - int64_t(sizeof header);
    model.mappings.push_back({file, file->data(), file->size()});
    return model;
}
