// export_gpt2.cpp: writes GPT-2 as a Hugging Face snapshot or as llm.c's file.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "error.h"
#include "model/config.h"
#include "model/export.h"
#include "model/gpt2.h"
#include "tokenizer.h"

namespace fs = std::filesystem;

namespace {

constexpr const char* kLlmcTokenizer = "gpt2_tokenizer.bin";

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

// What `make` makes of the model's tokenizer: the content of each of `files`. Nothing, which a note says, if the model
// has no tokenizer, or one that has no place there.
std::vector<std::string> tokenizer_as(const char* files, const Model& model, const ExportOptions& options,
                                      const std::function<std::vector<std::string>(const Tokenizer& tokenizer)>& make) {
    try {
        return make(Tokenizer::for_model(model, options.tokenizer_path));
    } catch (const Error& e) {
        if (!options.tokenizer_path.empty()) throw;
        if (options.note) options.note(fmt::format("no {} is written: {}", files, e.what()));
        return {};
    }
}

void put_vocab_and_merges(const Model& model, StagedDirectory& directory, const ExportOptions& options) {
    const std::vector<std::string> texts =
        tokenizer_as("vocab.json with merges.txt", model, options, [](const Tokenizer& tokenizer) {
            return std::vector<std::string>{tokenizer.to_vocab_json(), tokenizer.to_merges()};
        });
    if (texts.empty()) return;
    write_text(directory.file("vocab.json"), texts[0]);
    write_text(directory.file("merges.txt"), texts[1]);
}

void write_snapshot(const Model& model, const std::string& out_path, const ExportOptions& options) {
    Gpt2 gpt2 = model.gpt2();
    const std::vector<NamedTensor> named = gpt2_tensors(gpt2.config, gpt2.weights, "");
    const std::vector<OutputTensor> tensors = output_tensors(named, /*as_bf16=*/false);
    gpt2.config.stop_ids = stop_ids_of(model, options);

    StagedDirectory directory(out_path);
    if (put_tokenizer(model, directory, options)) put_vocab_and_merges(model, directory, options);
    write_text(directory.file("config.json"), gpt2_config_json(gpt2.config).dump(2));
    write_text(directory.file("generation_config.json"), generation_config_json(gpt2.config).dump(2));
    write_snapshot_tensors(directory, tensors, options);
    directory.commit();
}

// The tokenizer beside the model, where llm.c looks for it. It gets its name just before the model does, so that no
// model lacks it, and loses it again if the model fails to. One that is there stays, as other models may need it.
class LlmcTokenizer {
  public:
    LlmcTokenizer(const Model& model, const std::string& model_path, const ExportOptions& options)
        : path_(fs::path(model_path).parent_path() / kLlmcTokenizer) {
        const std::vector<std::string> bytes =
            tokenizer_as(kLlmcTokenizer, model, options,
                         [](const Tokenizer& tokenizer) { return std::vector<std::string>{tokenizer.to_llmc()}; });
        if (bytes.empty()) return;
        if (!is_file(path_)) {
            file_.emplace(path_, Existing::kRefuse);
            file_->write(bytes[0]);
        } else if (read_file(path_) != bytes[0] && options.note) {
            options.note(fmt::format("{}: another tokenizer is there, and stays", path_));
        }
    }
    void commit_with(AtomicFile& model) {
        if (!file_) return model.commit();
        file_->commit();
        TemporaryPath until_model_is_there(path_);
        model.commit();
        until_model_is_there.release();
    }

  private:
    const std::string path_;
    std::optional<AtomicFile> file_;
};

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
    if (fs::path(out_path).filename() == kLlmcTokenizer)
        fail("DST: expected another name than {}, which the tokenizer gets, found {}", kLlmcTokenizer, out_path);
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

    LlmcTokenizer tokenizer(model, out_path, options);
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
    tokenizer.commit_with(file);
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
