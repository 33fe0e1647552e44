// tensor_files.h: the safetensors files of one checkpoint, mapped, and views of their tensors.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/named_tensors.h"
#include "model/safetensors.h"

class TensorFiles {
  public:
    // One file. `path` is kept for errors.
    explicit TensorFiles(const std::string& path);
    // The shards that model.safetensors.index.json names, else model.safetensors alone, else, if `numbered`, the files
    // model--00001-of-0000N.safetensors, ... of OpenAI's layout, which has no index. Other files there are ignored.
    static TensorFiles in_directory(const std::string& directory, bool numbered);

    bool has(const std::string& name) const { return file_of_.count(name) > 0; }
    // Makes what `tensor` points to a view of the tensor of that name. Returns its bytes. Throws Error if it is missing
    // or has another dtype or shape.
    int64_t bind(const NamedTensor& tensor) const;

    const SafetensorsHeader& header() const { return files_[0].header; }  // the only file's
    std::vector<Model::Mapping> mappings() const;

  private:
    struct File {
        std::shared_ptr<const MappedFile> map;
        SafetensorsHeader header;
    };
    TensorFiles() = default;
    size_t add(const std::string& path);
    void add_index(const std::string& directory, const std::string& index);
    void add_all_tensors(size_t file);

    std::string source_;
    std::vector<File> files_;
    std::map<std::string, size_t> file_of_;  // tensor → index into files_
};
