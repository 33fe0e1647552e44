// huggingface.cpp: a Hugging Face snapshot: config.json, generation_config.json if there, safetensors files.
#include "error.h"
#include "model/readers.h"
#include "model/tensor.h"

void check_mxfp4_shape(const Config& config, const std::string& config_name) {
    const auto check = [&](const char* what, int n) {
        if (n % kMxBlock != 0)
            fail("{}: {} dimension: expected a multiple of {}, as MXFP4 blocks have, found {}", config_name, what,
                 kMxBlock, n);
    };
    check("hidden", config.hidden_dim);
    check("intermediate", config.intermediate_dim);
}

void bind_all(Model& model, const std::vector<NamedTensor>& layout, const TensorFiles& files) {
    model.weight_bytes = 0;
    for (const NamedTensor& tensor : layout) model.weight_bytes += files.bind(tensor);
    model.mappings = files.mappings();
}

namespace {

// The tensors say how the experts are stored: bf16 fine-tunes often keep the quantization_config of their origin, and
// others have lost it. Where neither form is there, the config decides what the error says.
bool has_mxfp4(const HuggingFaceConfig& hf, const TensorFiles& files) {
    const std::string experts = "model.layers.0.mlp.experts.gate_up_proj";
    return files.has(experts + "_blocks") || (hf.quantization == "mxfp4" && !files.has(experts));
}

// bind_all(), but if it fails and the quantization is unknown, the error names the quantization: the odd names, dtypes
// and shapes only follow from it.
void bind_quantized(Model& model, const std::vector<NamedTensor>& layout, const TensorFiles& files,
                    const std::string& quantization, const std::string& config_name) {
    try {
        bind_all(model, layout, files);
    } catch (const Error& e) {
        if (quantization.empty() || quantization == "mxfp4") throw;
        fail("{}: quantization: expected weights in MXFP4, bf16, f16 or f32, found \"{}\": {}", config_name,
             quantization, e.what());
    }
}

}  // namespace

Model huggingface_model(const HuggingFaceConfig& hf, const TensorFiles& files, const std::string& config_name) {
    Model model;
    model.gpt_oss().config = hf.config;
    model.gpt_oss().weights = shaped_weights(hf.config);
    TensorOptions options;
    options.mxfp4 = has_mxfp4(hf, files);
    options.attention_bias = hf.attention_bias;
    options.tied_embeddings = hf.tied_embeddings;
    if (options.mxfp4) check_mxfp4_shape(hf.config, config_name);
    bind_quantized(model, huggingface_tensors(hf.config, model.gpt_oss().weights, options), files, hf.quantization,
                   config_name);
    if (hf.tied_embeddings) model.gpt_oss().weights.unembed = model.gpt_oss().weights.embed;
    if (files.has(fmt::format("model.layers.{}.input_layernorm.weight", hf.config.n_layers)))
        fail("{}: num_hidden_layers: expected as many as there are tensors for, found {}, and tensors for more",
             config_name, hf.config.n_layers);
    return model;
}

Model open_huggingface(const std::string& directory) {
    const std::string config = directory + "/config.json", generation = directory + "/generation_config.json";
    HuggingFaceConfig hf = read_huggingface_config(read_config_file(config), config);
    if (is_file(generation)) read_generation_config(read_config_file(generation), generation, hf.config);
    Model model = huggingface_model(hf, TensorFiles::in_directory(directory, false), config);
    model.kind = CheckpointKind::kHuggingFace;
    return model;
}
