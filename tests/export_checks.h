// export_checks.h: every kind that a checkpoint can be exported to, and a folder for exports.
#pragma once
#include <gtest/gtest.h>

#include "support/checkpoint_checks.h"

inline constexpr ExportKind kKinds[] = {ExportKind::kHuggingFace, ExportKind::kOriginal, ExportKind::kContainer,
                                        ExportKind::kLegacyF32,
                                        ExportKind::kLegacyBF16};  // f32 and bf16 hold MXFP4 decoded

inline const char* name_of(ExportKind kind) {
    const char* const names[] = {"hf", "original", "container", "legacy-f32", "legacy-bf16", "bf16"};
    return names[int(kind)];
}

inline ExportOptions to(ExportKind kind) {
    ExportOptions options;
    options.kind = kind;
    return options;
}

class Export : public testing::Test {
  protected:
    // Exports, opens what came out.
    Model exported(const Model& model, ExportKind kind) {
        const std::string path = directory.path(fmt::format("{}.{}", ++count, name_of(kind)));
        export_model(model, path, to(kind));
        return open_model(path);
    }
    TempFolder directory;
    int count = 0;
};
