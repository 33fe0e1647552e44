// tensor_files.cpp: finds the files, maps them, and checks each tensor against the layout before it is used.
#include "model/tensor_files.h"

#include <filesystem>

#include "base/foreign_file.h"
#include "base/json_fields.h"
#include "error.h"
#include "model/hub_cache.h"
#include "model/locate.h"
#include "model/readers.h"
#include "model/tensor.h"

namespace {

using Holds = NamedTensor::Holds;

// Names of OpenAI's shards: model--00001-of-00007.safetensors, ... Empty if there are none.
std::vector<std::string> numbered_files(const std::string& directory) {
    const std::string before = "model--00001-of-", after = ".safetensors";
    constexpr size_t kDigits = 5;
    std::string first;
    int n = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        const std::string name = entry.path().filename().string();
        if (name.size() != before.size() + kDigits + after.size() || name.compare(0, before.size(), before) != 0)
            continue;
        const std::string digits = name.substr(before.size(), kDigits);
        if (name != before + digits + after || digits.find_first_not_of("0123456789") != std::string::npos) continue;
        if (!first.empty()) fail("{}: expected one set of shards, found {} and {}", directory, first, name);
        first = name;
        n = std::stoi(digits);
    }
    std::vector<std::string> names;
    for (int i = 1; i <= n; i++) names.push_back(fmt::format("model--{:05}-of-{:05}.safetensors", i, n));
    return names;
}

DType dtype_of(const std::string& spelled, bool bytes, const std::string& where) {
    if (bytes && spelled == "U8") return DType::kMXFP4;
    if (!bytes && spelled == "BF16") return DType::kBF16;
    if (!bytes && spelled == "F16") return DType::kF16;
    if (!bytes && spelled == "F32") return DType::kF32;
    fail("{}: dtype: expected {}, found {}", where, bytes ? "U8" : "BF16, F16 or F32", spelled);
}

// Throws Error unless all files that the index names are there.
void check_complete(const std::string& directory, const std::string& index,
                    const std::map<std::string, size_t>& files) {
    std::vector<std::string> missing;
    for (const auto& [name, unused] : files)
        if (!std::filesystem::exists(directory + "/" + name)) missing.push_back(name);
    if (missing.empty()) return;
    const std::string part = incomplete_download(directory);
    fail("{}: weight_map: expected {} files beside it, found {} missing, {} among them{}: download what is missing",
         index, files.size(), missing.size(), missing[0], part.empty() ? "" : ", and one that has not ended, " + part);
}

}  // namespace

TensorFiles::TensorFiles(const std::string& path) : source_(path) {
    add_all_tensors(add(path));
}

TensorFiles TensorFiles::in_directory(const std::string& directory, bool numbered) {
    const std::string index = directory + "/model.safetensors.index.json", single = directory + "/model.safetensors";
    TensorFiles files;
    files.source_ = directory;
    if (is_file(index)) {
        files.add_index(directory, index);
        return files;
    }
    if (is_file(single)) return TensorFiles(single);
    const std::vector<std::string> names = numbered ? numbered_files(directory) : std::vector<std::string>();
    if (names.empty()) fail_without_weights(directory);
    for (const std::string& name : names) files.add_all_tensors(files.add(directory + "/" + name));
    return files;
}

size_t TensorFiles::add(const std::string& path) {
    auto map = std::make_shared<const MappedFile>(path);
    refuse_text_file(map->view(), path, "a safetensors file");
    SafetensorsHeader header = parse_safetensors(map->view(), path);
    files_.push_back({std::move(map), std::move(header)});
    return files_.size() - 1;
}

void TensorFiles::add_index(const std::string& directory, const std::string& index) {
    source_ = index;
    const std::string text = read_config_file(index);
    const JsonFields fields(parse_json(text, index), index, ": ");
    const Json* const weight_map = fields.find("weight_map");
    if (!weight_map || !weight_map->is_object()) fields.wrong("weight_map", "an object");
    std::map<std::string, size_t> opened;  // 0: not yet
    weight_map->each_member([&](const std::string& tensor, const Json& file) {
        const std::string where = index + ": weight_map: " + tensor;
        if (!file.is_string()) fail("{}: expected a file name, found {}", where, shown(file));
        const std::string name = file.string();
        if (name.find('/') != std::string::npos || name.find('\0') != std::string::npos)
            fail("{}: expected a file of the same directory, found {}", where, shown(file));
        opened[name] = 0;
    });
    check_complete(directory, index, opened);
    for (auto& [name, file] : opened) file = add(directory + "/" + name);
    weight_map->each_member([&](const std::string& tensor, const Json& value) {
        const std::string where = index + ": weight_map: " + tensor, name = value.string();
        const size_t file = opened.at(name);
        if (!files_[file].header.tensors.count(tensor))
            fail("{}: expected this tensor in {}, which does not hold it", where, name);
        if (!file_of_.emplace(tensor, file).second) fail("{}: expected each key once, found it twice", where);
    });
}

void TensorFiles::add_all_tensors(size_t file) {
    for (const auto& [name, info] : files_[file].header.tensors)
        if (!file_of_.emplace(name, file).second)
            fail("{}: {}: expected each tensor in one file, found it in two", files_[file].map->path(), name);
}

int64_t TensorFiles::bind(const NamedTensor& tensor) const {
    const auto it = file_of_.find(tensor.name);
    if (it == file_of_.end())
        fail("{}: {}: expected a tensor of shape {}, found none of that name", source_, tensor.name,
             show_shape(tensor.shape));
    const File& file = files_[it->second];
    const TensorInfo& info = file.header.tensors.at(tensor.name);
    const std::string where = file.map->path() + ": " + tensor.name;

    if (info.shape != tensor.shape)
        fail("{}: shape: expected {}, as the config says, found {}", where, show_shape(tensor.shape),
             show_shape(info.shape));
    const bool bytes = tensor.holds == Holds::kBlocks || tensor.holds == Holds::kScales;
    const DType dtype = dtype_of(info.dtype, bytes, where);
    const int64_t element = bytes ? 1 : element_bytes(dtype);
    if (info.begin % element != 0)
        fail("{}: expected it to start at a multiple of its {}-byte elements, found byte {}", where, element,
             info.begin);

    const uint8_t* data = file.map->data() + info.begin;
    for (Vector* part : tensor.vectors) {
        part->dtype = dtype;
        part->data = data;
        data += part->n * element;
    }
    for (Matrix* part : tensor.matrices) {
        part->dtype = dtype;
        part->transposed = tensor.holds == Holds::kConv1d;
        part->data = data;
        data += part->n_out * part->n_in * element;
    }
    if (tensor.experts) {
        Matrix& first = tensor.experts->first;
        first.dtype = dtype;
        first.transposed = tensor.holds == Holds::kExperts;
        if (tensor.holds == Holds::kScales)
            first.scales = data;
        else
            first.data = data;
    }
    return info.end - info.begin;
}

std::vector<Model::Mapping> TensorFiles::mappings() const {
    std::vector<Model::Mapping> maps;
    for (const File& file : files_) maps.push_back({file.map, file.map->data(), file.map->size()});
    return maps;
}
