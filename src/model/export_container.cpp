// export_container.cpp: writes this project's .bin.
//
// The checksums stand before the data, in the metadata, so the source is read twice.
#include <nlohmann/json.hpp>

#include "base/checksum.h"
#include "error.h"
#include "model/config.h"
#include "model/export.h"
#include "model/readers.h"
#include "tokenizer.h"

namespace {

constexpr int64_t kAlignment = 64;  // of each tensor in the file: a cache line

// The format allows no gaps between tensors, so padding is a tensor too.
std::vector<OutputTensor> aligned(const std::vector<OutputTensor>& tensors) {
    std::vector<OutputTensor> out;
    int64_t offset = 0;
    for (const OutputTensor& tensor : tensors) {
        const int64_t gap = -offset & (kAlignment - 1);
        if (gap > 0) {
            const std::string name = kContainerPadding + tensor.info.name;
            out.push_back({{name, "U8", {gap}}, gap, [gap](const ByteSink& sink) {
                               const uint8_t zeros[kAlignment] = {};
                               sink(zeros, gap);
                           }});
        }
        out.push_back(tensor);
        offset += gap + tensor.bytes;
    }
    return out;
}

// The tokenizer in a container's form. If there is none: "", and a note in the log.
std::string serialized_tokenizer(const Model& model, const ExportOptions& options) {
    if (!options.tokenizer_path.empty()) return Tokenizer::for_model(model, options.tokenizer_path).serialize();
    if (!model.tokenizer_data.empty()) return model.tokenizer_data;
    try {
        return Tokenizer::for_model(model).serialize();
    } catch (const Error& e) {
        if (options.note) options.note(fmt::format("no tokenizer is put in: {}", e.what()));
        return "";
    }
}

}  // namespace

void export_container(const Model& model, const std::string& out_path, const ExportOptions& options) {
    Weights weights = model.gpt_oss().weights;
    const TensorOptions kinds = tensor_options(weights);
    const std::vector<NamedTensor> named = huggingface_tensors(model.gpt_oss().config, weights, kinds);
    const std::vector<OutputTensor> tensors = aligned(output_tensors(named, /*as_bf16=*/false));
    const std::string tokenizer = serialized_tokenizer(model, options);
    AtomicFile file(out_path, existing(options));  // before the long work, so that a bad path is found at once

    int64_t total = 0;
    for (const OutputTensor& tensor : tensors) total += tensor.bytes;
    Progress progress(options, 2 * total);
    std::vector<NamedTensorInfo> infos;
    nlohmann::json checksums;
    for (const OutputTensor& tensor : tensors) {
        infos.push_back(tensor.info);
        Checksum checksum;
        tensor.stream([&](const void* data, int64_t n_bytes) {
            checksum.add(data, n_bytes);
            progress.add(n_bytes);
        });
        if (!is_container_padding(tensor.info.name)) checksums[tensor.info.name] = checksum.hex();
    }

    std::map<std::string, std::string> metadata = {
        {"format", "pt"},  // readers of safetensors expect it
        {kContainerVersionKey, kContainerVersion},
        {kContainerConfigKey,
         huggingface_config_json(model.gpt_oss().config, kinds.attention_bias, kinds.mxfp4).dump()},
        {kContainerGenerationKey, generation_config_json(model.gpt_oss().config).dump()},
        {kContainerChecksumsKey, checksums.dump()},
    };
    if (!tokenizer.empty()) metadata[kContainerTokenizerKey] = tokenizer;
    file.write(safetensors_header(infos, metadata, kAlignment));
    write_tensors(file, tensors, progress);
    file.commit();
}
