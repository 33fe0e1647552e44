// export_directory.cpp: writes a Hugging Face snapshot, or OpenAI's layout, into a directory that gets its name last.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "error.h"
#include "model/config.h"
#include "model/export.h"
#include "tokenizer.h"

namespace fs = std::filesystem;

void write_text(const std::string& path, const std::string& text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

namespace {

// Only tokenizer.json does, of all kinds of tokenizer files.
bool begins_with_brace(const std::string& text) {
    const size_t first = text.find_first_not_of(" \t\r\n");
    return first != std::string::npos && text[first] == '{';
}

// The tokenizer.json to copy; "" if the tokenizer that goes with the model has another form, or there is none.
std::string tokenizer_file(const Model& model, const ExportOptions& options) {
    if (!options.tokenizer_path.empty()) {
        const std::string in_it = options.tokenizer_path + "/tokenizer.json";
        const std::string path = is_file(in_it) ? in_it : options.tokenizer_path;
        return is_file(path) && begins_with_brace(read_file(path)) ? path : "";
    }
    const std::string own = model.path + "/tokenizer.json", above = model.path + "/../tokenizer.json";
    if (is_file(own)) return own;
    return model.kind == CheckpointKind::kOriginal && is_file(above) ? above : "";
}

}  // namespace

bool put_tokenizer(const Model& model, StagedDirectory& directory, const ExportOptions& options) {
    const bool is_asked_for = !options.tokenizer_path.empty();
    const std::string path = tokenizer_file(model, options);
    if (!path.empty()) {
        if (is_asked_for) Tokenizer::for_model(model, path);  // throws if it is another model's
        write_text(directory.file("tokenizer.json"), read_file(path));
        for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"}) {
            const std::string source = fs::path(path).parent_path() / name;
            if (is_file(source)) write_text(directory.file(name), read_file(source));
        }
        return true;
    }
    std::string json;
    try {
        json = Tokenizer::for_model(model, options.tokenizer_path).to_json();
    } catch (const Error& e) {
        if (is_asked_for || !model.tokenizer_data.empty()) throw;
        if (options.note) options.note(fmt::format("no tokenizer is put in: {}", e.what()));
        return false;
    }
    write_text(directory.file("tokenizer.json"), json);
    return true;
}

namespace {

// OpenAI's config.json has fields neither for stop ids nor for a context that is not the product of two others. Its
// readers ignore this file.
std::string generation_config(const Config& config, bool original) {
    nlohmann::json json = generation_config_json(config);
    if (original && config.max_context != original_context(config)) json[kOriginalContextKey] = config.max_context;
    return json.dump(2);
}

// The readers of OpenAI's layout take its tensors as bf16.
void check_no_f16(const std::vector<NamedTensor>& layout) {
    for (const NamedTensor& tensor : layout) {
        bool found = false;
        for (const Vector* part : tensor.vectors) found |= part->dtype == DType::kF16;
        for (const Matrix* part : tensor.matrices) found |= part->dtype == DType::kF16;
        if (found) fail("original: {}: expected bf16, all that this kind of checkpoint holds, found f16", tensor.name);
    }
}

nlohmann::json snapshot_config(const Model& model, const TensorOptions& kinds) {
    nlohmann::json json = huggingface_config_json(model.gpt_oss().config, kinds.attention_bias, kinds.mxfp4);
    if (model.gpt_oss().weights.embed.dtype == DType::kF16)
        json["torch_dtype"] = "float16";  // else its readers would round
    return json;
}

}  // namespace

void export_directory(const Model& model, const std::string& out_path, const ExportOptions& options) {
    Weights weights = model.gpt_oss().weights;
    TensorOptions kinds = tensor_options(weights);
    if (options.kind == ExportKind::kDequantised) kinds.mxfp4 = false;
    const bool original = options.kind == ExportKind::kOriginal;
    if (original) check_published(model.gpt_oss().config, "original");
    if (original && !kinds.mxfp4)
        fail("original: experts: expected MXFP4, which is all that this kind of checkpoint holds, found dense ones");
    const std::vector<NamedTensor> named = original ? original_tensors(model.gpt_oss().config, weights)
                                                    : huggingface_tensors(model.gpt_oss().config, weights, kinds);
    if (original) check_no_f16(named);
    const std::vector<OutputTensor> tensors = output_tensors(named, /*as_bf16=*/true);

    StagedDirectory directory(out_path);
    put_tokenizer(model, directory, options);
    write_text(directory.file("generation_config.json"), generation_config(model.gpt_oss().config, original));
    write_text(directory.file("config.json"),
               (original ? original_config_json(model.gpt_oss().config) : snapshot_config(model, kinds)).dump(2));
    write_snapshot_tensors(directory, tensors, options);
    directory.commit();
}
