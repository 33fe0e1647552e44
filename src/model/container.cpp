// container.cpp: this project's .bin: a safetensors file with Hugging Face's tensors in the order of use, each at a
// multiple of 64 bytes, and everything else that belongs to the model in its metadata.
#include "base/json.h"
#include "error.h"
#include "model/readers.h"

Model open_container(const std::string& path) {
    const TensorFiles files(path);
    const auto& metadata = files.header().metadata;
    const auto version = metadata.find(kContainerVersionKey);
    if (version == metadata.end())
        fail(
            "{}: expected a checkpoint with its config in it, found a safetensors file without: give the directory it "
            "belongs to",
            path);
    if (version->second != kContainerVersion)
        fail("{}: {}: expected version {}, found {}", path, kContainerVersionKey, kContainerVersion,
             shown(version->second));

    const auto read = [&](const char* key) -> const std::string& {
        const auto it = metadata.find(key);
        if (it == metadata.end()) fail("{}: __metadata__: {}: expected JSON, found nothing", path, key);
        return it->second;
    };
    const std::string config_name = path + ": " + kContainerConfigKey;
    HuggingFaceConfig hf = read_huggingface_config(read(kContainerConfigKey), config_name);
    read_generation_config(read(kContainerGenerationKey), path + ": " + kContainerGenerationKey, hf.config);
    Model model = huggingface_model(hf, files, config_name);
    model.kind = CheckpointKind::kContainer;
    const auto tokenizer = metadata.find(kContainerTokenizerKey);
    if (tokenizer != metadata.end()) model.tokenizer_data = tokenizer->second;
    return model;
}
