// tiny_model.h: random models made on the spot, in a directory of their own that goes away with them.
#pragma once
#include "checkpoint.h"
#include "support/random_snapshot.h"
#include "temp_folder.h"

// The `tiny` preset, seed 1, as a snapshot of `format` "mxfp4" or "bf16", with other values in its config if given:
// {"head_dim=32", "rope_scaling.factor=4"}.
class TinyModel {
  public:
    explicit TinyModel(const std::string& format, const std::vector<std::string>& settings = {}) {
        SnapshotSpec spec;
        spec.format = format;
        spec.settings = settings;
        write_random_snapshot(path(), spec);
        model_ = open_model(path());
    }
    const Model& model() const { return model_; }
    std::string path() const { return directory_.path("model"); }

  private:
    TempFolder directory_;
    Model model_;
};
