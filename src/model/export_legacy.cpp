// export_legacy.cpp: writes the getp family's .bin: everything dense, in f32 or bf16.
#include "error.h"
#include "model/config.h"
#include "model/export.h"
#include "model/legacy.h"

void export_legacy(const Model& model, const std::string& out_path, const ExportOptions& options) {
    const LegacyHeader header = legacy_header(model.gpt_oss().config);
    const DType dtype = options.kind == ExportKind::kLegacyF32 ? DType::kF32 : DType::kBF16;
    if (options.note && model.gpt_oss().config.stop_ids != published_stop_ids(model.gpt_oss().config.vocab_size))
        options.note("the ids that end an answer are not put in: a legacy .bin has no place for them");

    if (options.note && model.gpt_oss().config.max_context < original_context(model.gpt_oss().config))
        options.note(
            fmt::format("the context of {} positions becomes {}: readers of a legacy .bin take the larger of what "
                        "it says and what its RoPE can do",
                        model.gpt_oss().config.max_context, original_context(model.gpt_oss().config)));

    AtomicFile file(out_path, existing(options));
    Progress progress(options, legacy_bytes(model.gpt_oss().config, dtype));
    const ByteSink sink = [&](const void* data, int64_t n_bytes) {
        file.write(data, n_bytes);
        progress.add(n_bytes);
    };
    sink(&header, sizeof header);
    Weights weights = model.gpt_oss().weights;
    for (const LegacyPart& part : legacy_parts(weights)) {
        if (part.vector) stream_vector(*part.vector, dtype, sink, part.name);
        if (part.matrix) stream_matrix(*part.matrix, dtype, false, sink, part.name);
        for (int e = 0; part.experts && e < part.experts->n_experts; e++)
            stream_matrix((*part.experts)[e], dtype, false, sink, part.name);
    }
    file.commit();
}
