// paths_of.cpp: which files belong to a model, so that no output destroys them.
#include <filesystem>

#include "base/file.h"
#include "checkpoint.h"

namespace fs = std::filesystem;

namespace {

// The tokenizer files in `folder`, of any form.
void add_tokenizers(const fs::path& folder, std::vector<std::string>& paths) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, error)) {
        const fs::path name = entry.path().filename();
        const bool is_one = name == "tokenizer.json" || name == "tokenizer.bin" || name == "gpt2_tokenizer.bin" ||
                            name == "vocab.json" || name == "merges.txt" || name.extension() == ".tiktoken";
        if (is_one) paths.push_back(entry.path());
    }
}

}  // namespace

std::vector<std::string> paths_of(const Model& model, const std::string& tokenizer) {
    std::vector<std::string> paths = {model.path};
    if (!tokenizer.empty()) paths.push_back(tokenizer);
    if (!is_directory(model.path)) {
        add_tokenizers(fs::path(model.path).parent_path(), paths);
        paths.push_back("tokenizer.bin");  // where the getp family has it
    } else if (model.kind == CheckpointKind::kOriginal) {
        add_tokenizers(fs::path(model.path) / "..", paths);
    }
    return paths;
}
