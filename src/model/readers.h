// readers.h: one function a kind of checkpoint. Each checks all that open_model() promises; all throw Error.
#pragma once
#include "checkpoint.h"
#include "model/config.h"
#include "model/tensor_files.h"

// The text of a config.json or a similar file. Throws Error if it is what people often save in place of one.
std::string read_config_file(const std::string& path);

Model open_huggingface(const std::string& directory);
Model open_original(const std::string& directory);
Model open_container(const std::string& path);
Model open_legacy(const std::string& path, const OpenOptions& options);
Model open_gpt2_snapshot(const std::string& directory);
Model open_llmc(const std::string& path);

// The model of a config and tensors in Hugging Face's names: a snapshot, or a container. `config_name` is for errors.
Model huggingface_model(const HuggingFaceConfig& hf, const TensorFiles& files, const std::string& config_name);

// Binds every tensor of the layout and fills in weight_bytes and mappings.
void bind_all(Model& model, const std::vector<NamedTensor>& layout, const TensorFiles& files);
// MXFP4 experts come in blocks along both of their inputs. Throws Error.
void check_mxfp4_shape(const Config& config, const std::string& config_name);

// The metadata of this project's container. Its tensors are those of a Hugging Face snapshot.
constexpr const char* kContainerVersionKey = "gptoss_container";
constexpr const char* kContainerVersion = "1";
constexpr const char* kContainerConfigKey = "config";                 // config.json
constexpr const char* kContainerGenerationKey = "generation_config";  // generation_config.json
constexpr const char* kContainerTokenizerKey = "tokenizer";           // Tokenizer::serialize()
constexpr const char* kContainerPadding = "padding.";                 // before the name of the tensor that it aligns
constexpr const char* kContainerChecksumsKey = "checksums";           // {tensor: XXH3-64, 16 hex digits}
inline bool is_container_padding(const std::string& tensor) {
    return tensor.rfind(kContainerPadding, 0) == 0;
}
