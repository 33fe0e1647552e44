// hub_cache.cpp: where Hugging Face's tools put what they download.
#include "model/hub_cache.h"

#include <cstdlib>
#include <filesystem>

#include "base/file.h"

namespace fs = std::filesystem;

namespace {

constexpr const char* kFolderPrefix = "models--";

// The variable, its ~ expanded as those tools do it; "" if it is not set.
std::string from_environment(const char* name) {
    const char* value = std::getenv(name);
    if (!value) return "";
    const std::string path = value;
    const char* home = std::getenv("HOME");
    return home && (path == "~" || path.rfind("~/", 0) == 0) ? home + path.substr(1) : path;
}

std::string hub_cache() {
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
        if (const std::string cache = from_environment(name); !cache.empty()) return cache;
    if (const std::string home = from_environment("HF_HOME"); !home.empty()) return home + "/hub";
    if (const std::string cache = from_environment("XDG_CACHE_HOME"); !cache.empty()) return cache + "/huggingface/hub";
    return from_environment("HOME") + "/.cache/huggingface/hub";
}

// "openai/gpt-oss-20b" → "models--openai--gpt-oss-20b"; "" if it is no such name.
std::string folder_of(const std::string& model_id) {
    const size_t slash = model_id.find('/');
    const char* kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
    if (slash == 0 || slash == std::string::npos || slash + 1 == model_id.size()) return "";
    if (model_id.find('/', slash + 1) != std::string::npos || model_id.find("..") != std::string::npos) return "";
    if (model_id[0] == '.' || model_id.find_first_not_of(kAllowed) != std::string::npos) return "";
    return kFolderPrefix + model_id.substr(0, slash) + "--" + model_id.substr(slash + 1);
}

bool ends_with(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Some file NAME.incomplete in `folder` or below it; "" if there is none.
std::string incomplete_in(const std::string& folder) {
    std::error_code error;
    for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        if (ends_with(it->path().string(), ".incomplete")) return it->path().string();
    return "";
}

}  // namespace

std::optional<std::string> snapshot_in(const std::string& model_folder) {
    const std::string snapshots = model_folder + "/snapshots", main = model_folder + "/refs/main";
    if (is_file(main)) {
        std::string commit = read_file(main);
        while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back()))) commit.pop_back();
        const bool is_name = !commit.empty() && commit[0] != '.' && commit.find('/') == std::string::npos;
        if (is_name && is_directory(snapshots + "/" + commit)) return snapshots + "/" + commit;
    }
    std::error_code error;
    std::string newest;
    std::pair<bool, fs::file_time_type> newest_rank;  // any with a config.json is before any without
    for (fs::directory_iterator it(snapshots, error), end; !error && it != end; it.increment(error)) {
        const std::string path = it->path().string();
        if (!is_directory(path)) continue;
        std::error_code ignored;
        const std::pair<bool, fs::file_time_type> rank(is_file(path + "/config.json"),
                                                       fs::last_write_time(path, ignored));
        if (newest.empty() || rank > newest_rank) newest = path, newest_rank = rank;
    }
    if (newest.empty()) return std::nullopt;
    return newest;
}

std::optional<std::string> find_in_hub_cache(const std::string& model_id, std::string* looked_in) {
    const std::string folder = folder_of(model_id);
    if (looked_in) *looked_in = folder.empty() ? "" : hub_cache() + "/" + folder;
    return folder.empty() ? std::nullopt : snapshot_in(hub_cache() + "/" + folder);
}

std::string incomplete_download(const std::string& snapshot) {
    const std::string notes = snapshot + "/.cache/huggingface/download";
    if (is_directory(notes)) return incomplete_in(notes);
    const fs::path snapshots = fs::path(snapshot).parent_path();
    if (snapshots.filename() != "snapshots") return "";
    return incomplete_in((snapshots.parent_path() / "blobs").string());
}
