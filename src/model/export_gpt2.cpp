// export_gpt2.cpp: writes GPT-2 as a Hugging Face snapshot or as llm.c's file.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "error.h"
#include "model/config.h"
#include "model/export.h"
#include "model/gpt2.h"
#include "tokenizer.h"

namespace {

// The ids that end a text. llm.c's model file does not say; the tokenizer does.
std::vector<int> stop_ids_of(const Model& model, const ExportOptions& options) {
    if (!model.common().stop_ids.empty()) return model.common().stop_ids;
    try {
        const std::optional<int> id = Tokenizer::for_model(model, options.tokenizer_path).special("<|endoftext|>");
        return id ? std::vector<int>{*id} : std::vector<int>();
    } catch (const Error&) {  // put_tokenizer() says why
        return {};
    }
}

// The tokenizer that the model has, in GPT-2's own forms; "why not" is a note. `write` gets it.
void put_forms_of_gpt2(const Model& model, const ExportOptions& options,
                       const std::function<void(const Tokenizer& tokenizer)>& write) {
    try {
        write(Tokenizer::for_model(model, options.tokenizer_path));
    } catch (const Error& e) {
        if (!options.tokenizer_path.empty()) throw;
        if (options.note) options.note(e.what());
    }
}

void write_snapshot(const Model& model, const std::string& out_path, const ExportOptions& options) {
    Gpt2 gpt2 = model.gpt2();
    const std::vector<NamedTensor> named = gpt2_tensors(gpt2.config, gpt2.weights, "");
    const std::vector<OutputTensor> tensors = output_tensors(named, /*as_bf16=*/false);
    gpt2.config.stop_ids = stop_ids_of(model, options);

    StagedDirectory directory(out_path);
    put_tokenizer(model, directory, options);
    put_forms_of_gpt2(model, options, [&](const Tokenizer& tokenizer) {
        const std::string vocab = tokenizer.to_vocab_json(), merges = tokenizer.to_merges();
        write_text(directory.file("vocab.json"), vocab);
        write_text(directory.file("merges.txt"), merges);
    });
    write_text(directory.file("config.json"), gpt2_config_json(gpt2.config).dump(2));
    write_text(directory.file("generation_config.json"), generation_config_json(gpt2.config).dump(2));
    write_snapshot_tensors(directory, tensors, options);
    directory.commit();
}

// Beside the model, where llm.c looks for it. One that is there stays, unless files may be replaced.
void put_llmc_tokenizer(const Tokenizer& tokenizer, const std::string& model_path, const ExportOptions& options) {
    const std::string path = std::filesystem::path(model_path).parent_path() / "gpt2_tokenizer.bin";
    const std::string bytes = tokenizer.to_llmc();
    if (!is_file(path) || options.overwrite) {
        AtomicFile file(path, existing(options));
        file.write(bytes);
        file.commit();
    } else if (read_file(path) != bytes && options.note) {
        options.note(fmt::format("{}: another tokenizer is there, and stays", path));
    }
}

LlmcHeader header_of(const Gpt2Config& c, int padded_vocab, bool f32) {
    LlmcHeader h{};
    h[0] = kLlmcModelMagic;
    h[1] = f32 ? kLlmcVersionF32 : kLlmcVersionBF16;
    h[2] = c.max_context;
    h[3] = c.vocab_size;
    h[4] = c.n_layers;
    h[5] = c.n_attn_heads;
    h[6] = c.hidden_dim;
    h[7] = padded_vocab;
    return h;
}

void write_llmc(const Model& model, const std::string& out_path, const ExportOptions& options) {
    Gpt2 gpt2 = model.gpt2();
    const Gpt2Config& c = gpt2.config;
    if (c.intermediate_dim != 4 * c.hidden_dim)
        fail("llm.c: n_inner: expected {}, 4 times n_embd, as this kind of checkpoint has no field for it, found {}",
             4 * c.hidden_dim, c.intermediate_dim);
    check_published_value("llm.c", "layer norm epsilon", c.norm_eps, Gpt2Config().norm_eps);
    const bool f32 = options.kind == ExportKind::kLlmcF32;
    const DType dtype = f32 ? DType::kF32 : DType::kBF16;
    const int64_t element_bytes = f32 ? 4 : 2;
    const int padded_vocab = (c.vocab_size + kLlmcPadding - 1) / kLlmcPadding * kLlmcPadding;
    const LlmcHeader header = header_of(c, padded_vocab, f32);
    const std::vector<LlmcPart> parts = llmc_parts(gpt2.weights, padded_vocab);
    int64_t n = 0;
    for (const LlmcPart& part : parts) n += elements(part) + part.n_skipped;

    AtomicFile file(out_path, existing(options));
    Progress progress(options, int64_t(sizeof header) + n * element_bytes);
    const ByteSink sink = [&](const void* data, int64_t n_bytes) {
        file.write(data, n_bytes);
        progress.add(n_bytes);
    };
    sink(&header, sizeof header);
    for (const LlmcPart& part : parts) {
        if (part.vector) stream_vector(*part.vector, dtype, sink, part.name);
        if (part.matrix) stream_matrix(*part.matrix, dtype, false, sink, part.name);
        // llm.c wants zeros: its training computes with them.
        const std::vector<uint8_t> zeros(size_t(part.n_skipped * element_bytes));
        if (!zeros.empty()) sink(zeros.data(), int64_t(zeros.size()));
    }
    file.commit();
    put_forms_of_gpt2(model, options,
                      [&](const Tokenizer& tokenizer) { put_llmc_tokenizer(tokenizer, out_path, options); });
}

}  // namespace

void export_gpt2(const Model& model, const std::string& out_path, const ExportOptions& options) {
    switch (options.kind) {
        case ExportKind::kHuggingFace:
            return write_snapshot(model, out_path, options);
        case ExportKind::kLlmcF32:
        case ExportKind::kLlmcBF16:
            return write_llmc(model, out_path, options);
        default:
            fail("--to: expected hf, llmc-f32 or llmc-bf16, as this is GPT-2; found another kind");
    }
}
