// tiny_model.h: random models made on the spot, in a directory of their own that goes away with them.
#pragma once
#include <stdlib.h>

#include <filesystem>

#include "../tools/random_snapshot.h"
#include "checkpoint.h"

class TemporaryDirectory {
  public:
    TemporaryDirectory() : path_((std::filesystem::temp_directory_path() / "gptoss-XXXXXX").string()) {
        if (!mkdtemp(path_.data())) fail("{}: cannot make this directory", path_);
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    const std::string& path() const { return path_; }
    std::string file(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

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
    std::string path() const { return directory_.file("model"); }

  private:
    TemporaryDirectory directory_;
    Model model_;
};
