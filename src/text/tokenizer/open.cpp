// open.cpp: finds the tokenizer that is meant, reads it, and checks it against the model.
#include <dirent.h>

#include <algorithm>

#include "base/file.h"
#include "base/foreign_file.h"
#include "error.h"
#include "model.h"
#include "text/tokenizer/impl.h"

namespace {

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

constexpr const char* kVocab = "vocab.json";
constexpr const char* kMerges = "merges.txt";
constexpr const char* kLlmc = "gpt2_tokenizer.bin";
constexpr const char* kKinds =
    "tokenizer.json, vocab.json with merges.txt, *.tiktoken, tokenizer.bin or gpt2_tokenizer.bin";

// The tokenizer file in `directory`, or "".
std::string find_in(const std::string& directory) {
    const std::string json = directory + "/tokenizer.json", vocab = directory + "/" + kVocab;
    if (is_file(json)) return json;
    if (is_file(vocab) && is_file(directory + "/" + kMerges)) return vocab;

    std::vector<std::string> rank_files;
    if (DIR* const listing = opendir((directory + "/").c_str())) {
        while (const dirent* const entry = readdir(listing))
            if (ends_with(entry->d_name, ".tiktoken")) rank_files.push_back(directory + "/" + entry->d_name);
        closedir(listing);
    }
    if (rank_files.size() > 1)
        fail("{}: tokenizer: expected one .tiktoken file, found {}", directory, rank_files.size());
    if (!rank_files.empty()) return rank_files[0];

    for (const char* name : {"tokenizer.bin", kLlmc})
        if (const std::string path = directory + "/" + name; is_file(path)) return path;
    return "";
}

// The tokenizer file beside the checkpoint; "" if there is none.
std::string find_beside(const Model& model) {
    std::string found;
    if (is_directory(model.path)) {
        found = find_in(model.path);
        if (found.empty() && model.kind == CheckpointKind::kOriginal) found = find_in(model.path + "/..");
        return found;
    }
    const size_t slash = model.path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : model.path.substr(0, slash);
    if (const std::string llmc = folder + "/" + kLlmc; model.kind == CheckpointKind::kLlmc && is_file(llmc))
        return llmc;
    found = find_in(folder);
    if (found.empty() && is_file("tokenizer.bin")) found = "tokenizer.bin";  // as the getp family has it
    return found;
}

// `folder` is "" or ends in a slash.
Vocabulary read_two_files(const std::string& folder) {
    const MappedFile vocab(folder + kVocab), merges(folder + kMerges);
    refuse_foreign_file(vocab.view(), vocab.path(), "a tokenizer");
    return read_vocab_and_merges(vocab.view(), vocab.path(), merges.view(), merges.path());
}

Vocabulary read_path(const std::string& path) {
    std::string file = path;
    if (is_directory(path)) {
        file = find_in(path);
        if (file.empty()) fail("{}: expected {} in this directory, found none", path, kKinds);
    }
    if (const size_t folder = file.rfind('/') + 1; file.substr(folder) == kVocab || file.substr(folder) == kMerges)
        return read_two_files(file.substr(0, folder));
    const MappedFile mapped(file);
    refuse_foreign_file(mapped.view(), file, "a tokenizer");
    return read_vocabulary(mapped.view(), file);
}

Vocabulary read_for_model(const Model& model, const std::string& path) {
    if (!path.empty()) return read_path(path);
    if (!model.tokenizer_data.empty()) return read_serialized(model.tokenizer_data, model.path);
    const std::string found = find_beside(model);
    if (found.empty())
        fail("{}: expected a tokenizer with the model ({}), found none; name one with -z", model.path, kKinds);
    return read_path(found);
}

// Names that only fill a table up. A model with a smaller vocabulary does without them.
bool is_reserved(const Special& special) {
    return special.name.rfind("<|reserved_", 0) == 0;
}

}  // namespace

Tokenizer Tokenizer::open(const std::string& path) {
    return Tokenizer(std::make_unique<Impl>(read_path(path)));
}

Tokenizer Tokenizer::parse(std::string_view serialized, const std::string& name) {
    return Tokenizer(std::make_unique<Impl>(read_serialized(serialized, name)));
}

Tokenizer Tokenizer::for_model(const Model& model, const std::string& path) {
    Vocabulary vocabulary = read_for_model(model, path);
    const int n_ids = model.common().vocab_size;
    auto& specials = vocabulary.specials;
    specials.erase(std::remove_if(specials.begin(), specials.end(),
                                  [&](const Special& special) { return special.id >= n_ids && is_reserved(special); }),
                   specials.end());
    if (vocabulary.id_limit() > n_ids)
        fail("{}: token ids: expected below {}, the model's vocabulary size, found {}", vocabulary.source, n_ids,
             vocabulary.id_limit() - 1);
    return Tokenizer(std::make_unique<Impl>(std::move(vocabulary)));
}
