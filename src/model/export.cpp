// export.cpp: checks that hold for every destination, then the writer of the kind asked for.
#include "model/export.h"

#include "base/output_file.h"
#include "error.h"

namespace {

using Holds = NamedTensor::Holds;

bool is_directory(ExportKind kind) {
    return kind == ExportKind::kHuggingFace || kind == ExportKind::kDequantised || kind == ExportKind::kOriginal;
}

// Before work that may take an hour: the destination must be free and no file of the model.
void check_destination(const Model& model, const std::string& out_path, const ExportOptions& options) {
    KeptFiles kept;
    for (const std::string& path : paths_of(model, options.tokenizer_path)) kept.add(path, "the source's");
    kept.check("export", out_path);
    is_directory(options.kind) ? check_free_directory(out_path) : check_free(out_path, existing(options));
}

DType stored_dtype(const NamedTensor& tensor) {
    if (!tensor.vectors.empty()) return tensor.vectors[0]->dtype;
    return tensor.experts ? tensor.experts->first.dtype : tensor.matrices[0]->dtype;
}

// f16 stays f16: bf16 lacks most of its values.
DType output_dtype(const NamedTensor& tensor, bool as_bf16) {
    const DType stored = stored_dtype(tensor);
    return as_bf16 && stored != DType::kF16 ? DType::kBF16 : stored;
}

void stream(const NamedTensor& tensor, int64_t n_bytes, DType dtype, const ByteSink& sink) {
    for (const Vector* part : tensor.vectors) stream_vector(*part, dtype, sink, tensor.name);
    for (const Matrix* part : tensor.matrices)
        stream_matrix(*part, dtype, tensor.holds == Holds::kConv1d, sink, tensor.name);
    if (tensor.holds == Holds::kBlocks) stream_bytes(tensor.experts->first.data, n_bytes, sink);
    if (tensor.holds == Holds::kScales) stream_bytes(tensor.experts->first.scales, n_bytes, sink);
    if (tensor.holds == Holds::kExperts)
        for (int e = 0; e < tensor.experts->n_experts; e++)
            stream_matrix((*tensor.experts)[e], dtype, true, sink, tensor.name);
}

}  // namespace

Existing existing(const ExportOptions& options) {
    return options.overwrite ? Existing::kReplace : Existing::kRefuse;
}

TensorOptions tensor_options(const Weights& weights) {
    TensorOptions options;
    options.mxfp4 = weights.layers[0].w_up.first.dtype == DType::kMXFP4;
    options.attention_bias = weights.layers[0].b_q.data != nullptr;
    return options;
}

std::vector<OutputTensor> output_tensors(const std::vector<NamedTensor>& layout, bool as_bf16) {
    std::vector<OutputTensor> tensors;
    for (const NamedTensor& tensor : layout) {
        const bool raw = tensor.holds == Holds::kBlocks || tensor.holds == Holds::kScales;
        const DType dtype = output_dtype(tensor, as_bf16);
        const std::string spelled = raw ? "U8" : dtype == DType::kF32 ? "F32" : dtype == DType::kF16 ? "F16" : "BF16";
        const int64_t bytes = tensor_bytes(spelled, tensor.shape, tensor.name);
        tensors.push_back({{tensor.name, spelled, tensor.shape}, bytes, [&tensor, bytes, dtype](const ByteSink& sink) {
                               stream(tensor, bytes, dtype, sink);
                           }});
    }
    return tensors;
}

void write_tensors(AtomicFile& file, const std::vector<OutputTensor>& tensors, Progress& progress) {
    for (const OutputTensor& tensor : tensors)
        tensor.stream([&](const void* data, int64_t n_bytes) {
            file.write(data, n_bytes);
            progress.add(n_bytes);
        });
}

void write_snapshot_tensors(StagedDirectory& directory, const std::vector<OutputTensor>& tensors,
                            const ExportOptions& options) {
    int64_t total = 0;
    std::vector<NamedTensorInfo> infos;
    for (const OutputTensor& tensor : tensors) {
        total += tensor.bytes;
        infos.push_back(tensor.info);
    }
    Progress progress(options, total);
    AtomicFile file(directory.file("model.safetensors"));
    file.write(safetensors_header(infos, {{"format", "pt"}}, 8));
    write_tensors(file, tensors, progress);
    file.commit();
}

void export_model(const Model& model, const std::string& out_path, const ExportOptions& options) {
    check_destination(model, out_path, options);
    if (model.is_gpt2()) return export_gpt2(model, out_path, options);
    check_scales(model);
    if (model.kind == CheckpointKind::kContainer) verify_checksums(model.path);
    switch (options.kind) {
        case ExportKind::kHuggingFace:
        case ExportKind::kDequantised:
        case ExportKind::kOriginal:
            return export_directory(model, out_path, options);
        case ExportKind::kContainer:
            return export_container(model, out_path, options);
        case ExportKind::kLegacyF32:
        case ExportKind::kLegacyBF16:
            return export_legacy(model, out_path, options);
        case ExportKind::kLlmcF32:
        case ExportKind::kLlmcBF16:
            fail(
                "--to: expected bin, hf, bf16, original, legacy-f32 or legacy-bf16, as this is gpt-oss; found llm.c's "
                "kind, which holds GPT-2");
    }
}
