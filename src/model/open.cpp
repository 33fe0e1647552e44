// open.cpp: finds out which kind of checkpoint it is, and calls its reader.
#include <cstring>

#include "base/foreign_file.h"
#include "base/json_fields.h"
#include "error.h"
#include "model/gpt2.h"
#include "model/locate.h"
#include "model/readers.h"

namespace {

Model open_directory(const std::string& directory) {
    const std::string path = directory + "/config.json";
    const std::string text = read_config_file(path);
    const JsonFields fields(parse_json(text, path), path, ": ");
    // OpenAI's config.json is the one without a model_type.
    if (!fields.has("model_type") && fields.has("num_experts")) return open_original(directory);
    if (fields.string_or("model_type", "") == "gpt2") return open_gpt2_snapshot(directory);
    return open_huggingface(directory);
}

// A safetensors file starts with the length of its header, below 2^32; in the legacy .bin, hidden_dim stands in the
// upper half of that number.
bool is_safetensors(const std::string& path) {
    const MappedFile file(path);
    refuse_text_file(file.view(), path, "a checkpoint");
    uint64_t length = 0;
    if (file.size() < int64_t(sizeof length))
        fail("{}: expected a checkpoint, found a file of {} bytes", path, file.size());
    std::memcpy(&length, file.data(), sizeof length);
    return length >> 32 == 0;
}

Model open_kind(const std::string& path, const OpenOptions& options) {
    if (is_directory(path)) return open_directory(path);
    if (is_safetensors(path)) return open_container(path);
    if (is_llmc(path)) return open_llmc(path);
    refuse_hipgpt(path);
    return open_legacy(path, options);
}

}  // namespace

std::string read_config_file(const std::string& path) {
    std::string text = read_file(path);
    refuse_foreign_file(text, path, "JSON");
    const Json json = parse_json(text, path);
    if (!json.is_object()) return text;
    // {"error": "Repository not found"}
    json.each_member([&](const std::string& key, const Json& value) {
        if (key == "error" && value.is_string())
            fail("{}: expected a configuration, found an answer of a server saved in its place, {}: download it again",
                 path, shown(value));
    });
    return text;
}

Model open_model(const std::string& given, const OpenOptions& options) {
    const std::string path = locate_checkpoint(given);
    Model model = open_kind(path, options);
    model.path = path;
    if (options.swap_legacy_embeddings && model.kind != CheckpointKind::kLegacy)
        fail("{}: swapped embeddings: expected a legacy .bin, which is not this", path);
    return model;
}
