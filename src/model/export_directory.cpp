// export_directory.cpp: writes a Hugging Face snapshot, or OpenAI's layout, into a directory that gets its name last.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "error.h"
#include "model/config.h"
#include "model/export.h"
#include "tokenizer.h"

namespace fs = std::filesystem;

namespace {

// A directory under another name until commit().
class StagedDirectory {
  public:
    explicit StagedDirectory(const std::string& path)
        : path_(path), temporary_(fmt::format("{}.tmp{}", path, getpid())) {
        if (fs::exists(path_) && !(is_directory(path_) && fs::is_empty(path_)))
            fail("{}: expected a new or empty directory, found something in its place", path_);
        if (mkdir(temporary_.c_str(), 0777) != 0)
            fail("{}: cannot make this directory: {}", temporary_, std::strerror(errno));
    }
    ~StagedDirectory() {
        std::error_code ignored;
        if (!committed_) fs::remove_all(temporary_, ignored);
    }
    StagedDirectory(const StagedDirectory&) = delete;
    StagedDirectory& operator=(const StagedDirectory&) = delete;

    std::string file(const std::string& name) const { return temporary_ + "/" + name; }
    // Its files have been synced by then.
    void commit() {
        if (rename(temporary_.c_str(), path_.c_str()) != 0)
            fail("{}: cannot rename to it: {}", path_, std::strerror(errno));
        committed_ = true;
        const std::string parent = fs::absolute(path_).parent_path().string();
        const int fd = open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return;  // some file systems refuse; the rename itself has succeeded
        fsync(fd);
        close(fd);
    }

  private:
    std::string path_, temporary_;
    bool committed_ = false;
};

void write_text(const std::string& path, const std::string& text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

// Of the tokenizer files, only tokenizer.json does.
bool begins_with_brace(const std::string& text) {
    const size_t first = text.find_first_not_of(" \t\r\n");
    return first != std::string::npos && text[first] == '{';
}

// The tokenizer.json that goes with the model; "" if it has none.
std::string find_tokenizer(const Model& model, const ExportOptions& options) {
    if (!options.tokenizer_path.empty()) {
        Tokenizer::for_model(model, options.tokenizer_path);  // throws if it is none, or another model's
        const std::string path =
            is_directory(options.tokenizer_path) ? options.tokenizer_path + "/tokenizer.json" : options.tokenizer_path;
        if (!is_file(path) || !begins_with_brace(read_file(path)))
            fail("{}: expected a tokenizer.json, the one form that this kind of checkpoint holds", path);
        return path;
    }
    const std::string own = model.path + "/tokenizer.json", above = model.path + "/../tokenizer.json";
    if (is_file(own)) return own;
    return model.kind == CheckpointKind::kOriginal && is_file(above) ? above : "";
}

void copy_tokenizer(const Model& model, const StagedDirectory& directory, const ExportOptions& options) {
    const std::string tokenizer = find_tokenizer(model, options);
    if (tokenizer.empty()) {
        if (options.note) options.note("no tokenizer is put in: the source has no tokenizer.json");
        return;
    }
    write_text(directory.file("tokenizer.json"), read_file(tokenizer));
    for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"}) {
        const std::string source = fs::path(tokenizer).parent_path() / name;
        if (is_file(source)) write_text(directory.file(name), read_file(source));
    }
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

nlohmann::json snapshot_config(const Model& model, const LayoutOptions& layout) {
    nlohmann::json json = huggingface_config_json(model.config, layout.attention_bias, layout.mxfp4);
    if (model.weights.embed.dtype == DType::kF16) json["torch_dtype"] = "float16";  // else its readers would round
    return json;
}

}  // namespace

void export_directory(const Model& model, const std::string& out_path, const ExportOptions& options) {
    Weights weights = model.weights;
    const LayoutOptions layout = layout_options(weights);
    const bool original = options.kind == ExportKind::kOriginal;
    if (original) check_published(model.config, "original");
    if (original && !layout.mxfp4)
        fail("original: experts: expected MXFP4, which is all that this kind of checkpoint holds, found dense ones");
    const std::vector<NamedTensor> named =
        original ? original_layout(model.config, weights) : huggingface_layout(model.config, weights, layout);
    if (original) check_no_f16(named);
    const std::vector<OutputTensor> tensors = output_tensors(named, /*as_bf16=*/true);

    std::string path = out_path;
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    StagedDirectory directory(path);
    copy_tokenizer(model, directory, options);
    // The original layout has no place for the stop ids; its own readers pass over this file.
    write_text(directory.file("generation_config.json"), generation_config_json(model.config).dump(2));
    write_text(directory.file("config.json"),
               (original ? original_config_json(model.config) : snapshot_config(model, layout)).dump(2));

    int64_t total = 0;
    std::vector<NamedTensorInfo> infos;
    for (const OutputTensor& tensor : tensors) {
        total += tensor.bytes;
        infos.push_back(tensor.info);
    }
    Progress progress(options, total);
    AtomicFile file(directory.file("model.safetensors"));
    file.write(safetensors_header(infos, {{"format", "pt"}}, 8));
    for (const OutputTensor& tensor : tensors)
        tensor.stream([&](const void* data, int64_t n_bytes) {
            file.write(data, n_bytes);
            progress.add(n_bytes);
        });
    file.commit();
    directory.commit();
}
