// checkpoint.h: open a checkpoint of any kind, check what it holds, write it as another kind.
//
// The kinds are: a Hugging Face snapshot directory of gpt-oss or GPT-2; OpenAI's `original/` directory; this project's
// .bin (a safetensors container); the getp family's legacy .bin; llm.c's .bin of GPT-2. They are recognised by content,
// not by name, and all are mapped and used in place.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model.h"

struct OpenOptions {
    bool swap_legacy_embeddings = false;  // legacy .bin: some exporters wrote unembedding before embedding
};

// The snapshot of a model, "openai/gpt-oss-20b", in the cache of Hugging Face's tools ($HF_HUB_CACHE, else
// $HF_HOME/hub, else huggingface/hub in $XDG_CACHE_HOME or ~/.cache): the one that refs/main names, else the newest.
// Nothing if it is not there; *looked_in becomes the folder that it should be in. Downloads nothing.
std::optional<std::string> find_in_hub_cache(const std::string& model_id, std::string* looked_in);

// `path`: a checkpoint's file or directory, or the directory above it; a file of a snapshot; a model's folder in the
// cache of Hugging Face's tools; or, if nothing has that name, a model that find_in_hub_cache() finds. Maps the
// checkpoint and checks every size, offset, dtype and shape against the config; reads no weights, so it takes
// milliseconds. Throws Error.
Model open_model(const std::string& path, const OpenOptions& options = {});

// Throws Error, with the tensor's name, if an MXFP4 scale is 255, the NaN of E8M0. open_model() reads no scales.
void check_scales(const Model& model);

// Reads the uncached parts of the model's files, front to back; page faults would read them in small pieces in random
// order. Calls progress(bytes cached, bytes in all) as it goes. Does nothing if almost nothing is missing, or if the
// whole would not fit.
void read_ahead(const Model& model, const std::function<void(int64_t done, int64_t total)>& progress);

// The files and directories of an open model and of its tokenizer, which no output may overwrite. `tokenizer`: the path
// that the user gave; "": the model's own.
std::vector<std::string> paths_of(const Model& model, const std::string& tokenizer);

enum class ExportKind {
    kHuggingFace,
    kOriginal,
    kContainer,
    kLegacyF32,
    kLegacyBF16,
    kDequantised,  // a Hugging Face snapshot whose experts are bf16
    kLlmcF32,      // GPT-2 can be exported to these two and to kHuggingFace
    kLlmcBF16,
};

struct ExportOptions {
    ExportKind kind = ExportKind::kContainer;
    std::string tokenizer_path;  // "": the one that belongs to the model, if any
    bool overwrite = false;      // a file of that name is replaced
    std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;  // may be empty
    std::function<void(const std::string& line)> note;                      // gets what the copy lacks; may be empty
};

// Writes `model` at `out_path`. Nothing may exist there yet, except an empty directory for the directory kinds.
// Streams, so memory stays small whatever the size. The final name appears only when all of it is written and synced;
// an export that fails or is ended by a signal leaves nothing. MXFP4 experts are copied bit for bit if the kind has
// them; dense tensors keep their dtype in a container and become bf16 in the directory kinds. Throws Error, also if the
// kind cannot hold the model exactly (legacy has no YaRN betas, say; bf16 cannot hold every f32).
void export_model(const Model& model, const std::string& out_path, const ExportOptions& options);

// Reads all of the model once, front to back, with all cores: every number must be finite, every scale below 255, and a
// container's checksums right. Calls progress(bytes read, bytes in all), which may be empty. Throws Error with the name
// of the first tensor that is damaged.
void verify_model(const Model& model, const std::function<void(int64_t done, int64_t total)>& progress);

// 16 hex digits that tell two models apart: of the config, and of the checksums in a container's header, or all bytes
// up to 256 MB, or small tensors and pieces of large ones.
std::string model_checksum(const Model& model);

// Compares a container's tensors with the checksums in it; export_model does so with its source. Throws Error with the
// name of the first one that differs.
void verify_checksums(const std::string& container_path);
