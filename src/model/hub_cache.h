// hub_cache.h: the cache that Hugging Face's tools download models to.
//
// A model's folder in it, models--openai--gpt-oss-20b, has refs/main (the commit), snapshots/COMMIT/ (the model's
// files, as links) and blobs/ (their contents; NAME.incomplete while a download runs, or if it has been cut off).
#pragma once
#include <optional>
#include <string>

#include "checkpoint.h"  // find_in_hub_cache()

// The snapshot in a model's folder of the cache: the one that refs/main names, else the newest with a config.json.
// Nothing if it is no such folder, or holds no snapshot.
std::optional<std::string> snapshot_in(const std::string& model_folder);

// The file NAME.incomplete of a download that has not ended: beside the blobs of this snapshot, or in the folder that
// `hf download --local-dir` uses. "" if there is none.
std::string incomplete_download(const std::string& snapshot);
