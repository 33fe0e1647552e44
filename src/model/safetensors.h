// safetensors.h: the safetensors format: u64 length of the header, a JSON header, the tensors' bytes.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

struct TensorInfo {
    std::string dtype;           // as the format spells it: "BF16"
    std::vector<int64_t> shape;  // outermost first
    int64_t begin = 0, end = 0;  // bytes of the file
};

struct SafetensorsHeader {
    std::map<std::string, TensorInfo> tensors;
    std::map<std::string, std::string> metadata;
};

constexpr int64_t kMaxSafetensorsHeader = 100'000'000;  // the format's limit, in bytes

// Reads the header of a whole file. Throws Error unless every tensor has the bytes that its shape needs, all of them
// lie in the file and in no other tensor, and the file ends with the last tensor.
SafetensorsHeader parse_safetensors(std::string_view file, const std::string& path);

// The length field and the header of a file that holds `tensors` one after the other; ignores begin and end. The header
// is padded with spaces, so that the data starts at a multiple of `alignment`.
struct NamedTensorInfo {
    std::string name, dtype;
    std::vector<int64_t> shape;
};
std::string safetensors_header(const std::vector<NamedTensorInfo>& tensors,
                               const std::map<std::string, std::string>& metadata, int64_t alignment);

// Bytes of a tensor. Throws Error if the dtype is unknown or the product too large; `where` names the tensor.
int64_t tensor_bytes(const std::string& dtype, const std::vector<int64_t>& shape, const std::string& where);

std::string show_shape(const std::vector<int64_t>& shape);  // "[8, 192, 128]"
