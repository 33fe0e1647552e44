// locate.cpp: finds the checkpoint that is meant, by file names alone. Its reader then looks at the content.
#include "model/locate.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/json_fields.h"
#include "error.h"
#include "model/hub_cache.h"

namespace fs = std::filesystem;

namespace {

constexpr const char* kConfig = "/config.json";

bool ends_with(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool begins_with(const std::string& text, const std::string& start) {
    return text.compare(0, start.size(), start) == 0;
}

std::string name_of(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

std::string folder_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// `path` without slashes at its end, and with the home directory in place of a ~ that no shell has expanded.
std::string tidy(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    struct stat st {};
    const char* home = std::getenv("HOME");
    if (home && (path == "~" || begins_with(path, "~/")) && lstat(path.c_str(), &st) != 0) path = home + path.substr(1);
    return path;
}

// False if there is nothing of that name; fails if what is there cannot be reached.
bool exists(const std::string& path) {
    struct stat st {};
    if (stat(path.c_str(), &st) == 0) return true;
    const int error = errno;
    std::error_code ignored;
    if (lstat(path.c_str(), &st) == 0 && S_ISLNK(st.st_mode))
        fail("{}: expected a file, found a link to {}, which is not there: download it again", path,
             fs::read_symlink(path, ignored).string());
    if (error != ENOENT && error != ENOTDIR) fail("{}: cannot open: {}", path, std::strerror(error));
    return false;
}

// Names in a directory, sorted.
std::vector<std::string> names_in(const std::string& directory) {
    std::error_code error;
    std::vector<std::string> names;
    fs::directory_iterator it(directory, error);
    if (error) fail("{}: cannot open: {}", directory, error.message());
    for (const auto& entry : it) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

// The first name with one of these ends; "" if there is none.
std::string with_end(const std::vector<std::string>& names, const std::vector<std::string>& ends) {
    for (const std::string& name : names)
        for (const std::string& end : ends)
            if (ends_with(name, end)) return name;
    return "";
}

std::string from_hub_cache(const std::string& given) {
    std::string id = given;
    const std::string site = "https://huggingface.co/";
    if (begins_with(id, site)) id = id.substr(site.size());
    std::string looked_in;
    if (const auto snapshot = find_in_hub_cache(id, &looked_in)) return *snapshot;
    if (looked_in.empty()) fail("{}: cannot open: {}", given, std::strerror(ENOENT));
    fail("{}: expected a checkpoint, found no file of that name, nor {}: hf download {} brings it there", given,
         looked_in, id);
}

std::string snapshot_of(const std::string& model_folder) {
    if (const auto snapshot = snapshot_in(model_folder)) return *snapshot;
    const std::string part = incomplete_download(model_folder + "/snapshots/none");
    fail("{}: expected a snapshot in this folder of the hub's cache, found {}: start the download again", model_folder,
         part.empty() ? "none" : "a download that has not ended, " + part);
}

// Throws Error for an adapter (LoRA and its like), which is a small difference to another model.
void refuse_adapter(const std::string& directory) {
    const std::string path = directory + "/adapter_config.json";
    if (!is_file(path)) return;
    const std::string text = read_file(path);
    const JsonFields fields(parse_json(text, path), path, ": ");
    const std::string base = fields.string_or("base_model_name_or_path", "its base model");
    fail("{}: expected a whole model, found an adapter (LoRA): merge it into {} and save that (PEFT: merge_and_unload)",
         directory, base);
}

// Throws Error: `expected` is not in this directory. Says what is there in its place.
[[noreturn]] void fail_by_content(const std::string& directory, const std::string& expected) {
    const std::vector<std::string> names = names_in(directory);
    const auto refuse = [&](const std::string& found) {
        fail("{}: expected {}, found {}", directory, expected, found);
    };
    if (names.empty()) refuse("an empty directory");
    if (const std::string part = incomplete_download(directory); !part.empty())
        refuse("a download that has not ended, " + part + ": start it again");
    const char* kSafetensors = ": give a snapshot whose weights are safetensors files";
    if (const std::string name = with_end(names, {".gguf"}); !name.empty()) refuse("a GGUF, " + name + kSafetensors);
    if (const std::string name = with_end(names, {".pt", ".pth", "pytorch_model.bin", "pytorch_model.bin.index.json"});
        !name.empty())
        refuse("PyTorch's " + name + kSafetensors);
    if (const std::string name = with_end(names, {".bin"}); !name.empty() && name != "tokenizer.bin")
        refuse(name + ": give that file, if it is the model");
    if (const std::string name = with_end(names, {".safetensors"}); !name.empty())
        refuse(name + " without it: all files of the model belong into one directory");
    fail("{}: expected {}, found none", directory, expected);
}

// The one folder in this folder that holds a model; "" if none does.
std::string only_model_in(const std::string& directory) {
    std::vector<std::string> found;
    for (const std::string& name : names_in(directory)) {
        const std::string path = directory + "/" + name;
        if (!is_directory(path)) continue;
        if (is_file(path + kConfig))
            found.push_back(path);
        else if (const auto snapshot = begins_with(name, "models--") ? snapshot_in(path) : std::nullopt)
            found.push_back(*snapshot);
    }
    if (found.size() > 1)
        fail("{}: expected one model, found {} in it, {} and {} among them: name the one you mean", directory,
             found.size(), found[0], found[1]);
    return found.empty() ? "" : found[0];
}

std::string locate_in(const std::string& directory) {
    if (exists(directory + kConfig)) return directory;
    if (is_directory(directory + "/snapshots")) return snapshot_of(directory);
    if (const std::string above = folder_of(directory); begins_with(name_of(above), "models--"))
        return snapshot_of(above);  // its snapshots, blobs or refs
    refuse_adapter(directory);
    const std::string inside = only_model_in(directory);
    if (inside.empty()) fail_by_content(directory, "config.json in this directory");
    return inside;
}

// Whether a user who gives this file means the snapshot that it is in. Other files may lie beside a config.json without
// belonging to it.
bool names_snapshot(const std::string& name) {
    return name == "config.json" || name == "generation_config.json" || name == "model.safetensors" ||
           name == "model.safetensors.index.json" ||
           (begins_with(name, "model-") && name.find("-of-") != std::string::npos && ends_with(name, ".safetensors"));
}

std::string locate_file(const std::string& path) {
    const std::string name = name_of(path), folder = folder_of(path), above = folder_of(folder);
    for (const char* end : {".incomplete", ".part", ".crdownload", ".aria2"})
        if (ends_with(name, end)) fail("{}: expected a checkpoint, found a download that has not ended", path);
    if (names_snapshot(name) && is_file(folder + kConfig)) return folder;
    if (name_of(folder) == "blobs" && begins_with(name_of(above), "models--")) return snapshot_of(above);
    return path;
}

}  // namespace

std::string locate_checkpoint(const std::string& given) {
    if (given.empty()) fail("MODEL: expected a path, found an empty one");
    const std::string path = tidy(given);
    if (!exists(path)) return from_hub_cache(path);
    if (is_directory(path)) return locate_in(path);
    if (!is_file(path)) fail("{}: expected a file or a directory, found a pipe or a device", path);
    return locate_file(path);
}

void fail_without_weights(const std::string& directory) {
    refuse_adapter(directory);
    fail_by_content(directory, "model.safetensors or model.safetensors.index.json in it");
}
