// gpt2_model.h: small GPT-2s made on the spot, in a directory of their own that goes away with them.
#pragma once
#include "checkpoint.h"
#include "support/random_gpt2.h"
#include "temp_folder.h"

class Gpt2Model {
  public:
    // llm.c's file.
    Gpt2Model(const std::string& preset, DType dtype, float padding = 0) {
        write_llmc_gpt2(directory_.path(), gpt2_preset(preset), dtype, padding);
        path_ = directory_.path("model.bin");
        model_ = open_model(path_);
    }
    // Hugging Face's.
    Gpt2Model(const std::string& preset, const Gpt2Snapshot& form) {
        write_gpt2_snapshot(directory_.path(), gpt2_preset(preset), form);
        path_ = directory_.path();
        model_ = open_model(path_);
    }
    const Model& model() const { return model_; }
    const std::string& path() const { return path_; }

  private:
    TempFolder directory_;
    std::string path_;
    Model model_;
};
