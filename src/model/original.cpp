// original.cpp: OpenAI's `original/` directory: a flat config.json, q, k and v in one tensor, MXFP4 experts.
#include "error.h"
#include "model/readers.h"

Model open_original(const std::string& directory) {
    const std::string config = directory + "/config.json", generation = directory + "/generation_config.json";
    Model model;
    model.kind = CheckpointKind::kOriginal;
    model.gpt_oss().config = read_original_config(read_config_file(config), config);
    // The layout has no place for stop ids, so our exports add this file.
    if (is_file(generation))
        read_original_generation_config(read_config_file(generation), generation, model.gpt_oss().config);
    check_mxfp4_shape(model.gpt_oss().config, config);
    model.gpt_oss().weights = shaped_weights(model.gpt_oss().config);
    const TensorFiles files = TensorFiles::in_directory(directory, true);
    bind_all(model, original_tensors(model.gpt_oss().config, model.gpt_oss().weights), files);
    if (files.has(fmt::format("block.{}.attn.norm.scale", model.gpt_oss().config.n_layers)))
        fail("{}: num_hidden_layers: expected as many as there are tensors for, found {}, and tensors for more", config,
             model.gpt_oss().config.n_layers);
    return model;
}
