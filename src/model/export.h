// export.h: the writers behind export_model(), one function a destination. All throw Error.
#pragma once
#include "base/staged_output.h"
#include "checkpoint.h"
#include "model/named_tensors.h"
#include "model/safetensors.h"
#include "model/tensor_stream.h"

// Counts the bytes that are written, and reports them.
class Progress {
  public:
    Progress(const ExportOptions& options, int64_t total_bytes) : options_(options), total_(total_bytes) {}
    void add(int64_t n_bytes) {
        done_ += n_bytes;
        if (options_.progress) options_.progress(done_, total_);
    }

  private:
    const ExportOptions& options_;
    int64_t done_ = 0, total_;
};

Existing existing(const ExportOptions& options);  // whether a file there may be replaced

// A tensor of a safetensors file to be written.
struct OutputTensor {
    NamedTensorInfo info;
    int64_t bytes = 0;
    std::function<void(const ByteSink&)> stream;
};
// Every tensor of `layout`. Dense tensors keep their dtype or, with as_bf16, become bf16 unless they are f16. `layout`
// must outlive the result.
std::vector<OutputTensor> output_tensors(const std::vector<NamedTensor>& layout, bool as_bf16);
void write_tensors(AtomicFile& file, const std::vector<OutputTensor>& tensors, Progress& progress);
// Writes them as the model.safetensors of a snapshot.
void write_snapshot_tensors(StagedDirectory& directory, const std::vector<OutputTensor>& tensors,
                            const ExportOptions& options);
void write_text(const std::string& path, const std::string& text);  // a new file
// Copies a tokenizer.json and what belongs to it; writes a tokenizer of another form as a tokenizer.json. False, and a
// note says why, if the model has none.
bool put_tokenizer(const Model& model, StagedDirectory& directory, const ExportOptions& options);
// Which optional tensors these weights have.
TensorOptions tensor_options(const Weights& weights);

void export_directory(const Model& model, const std::string& out_path, const ExportOptions& options);
void export_container(const Model& model, const std::string& out_path, const ExportOptions& options);
void export_gpt2(const Model& model, const std::string& out_path, const ExportOptions& options);
void export_legacy(const Model& model, const std::string& out_path, const ExportOptions& options);
