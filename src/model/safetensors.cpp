// safetensors.cpp: reads headers, checks every number in them, and writes them.
#include "model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json_fields.h"
#include "error.h"

namespace {

constexpr int64_t kLengthBytes = 8;
constexpr int kHeaderDepth = 3;  // header, tensor, shape

constexpr struct {
    const char* name;
    int64_t bytes;
} kDtypes[] = {
    {"BOOL", 1}, {"U8", 1},   {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}, {"U16", 2}, {"I16", 2},
    {"F16", 2},  {"BF16", 2}, {"U32", 4}, {"I32", 4},     {"F32", 4},     {"U64", 8},     {"I64", 8}, {"F64", 8},
};

std::vector<int64_t> read_sizes(const JsonFields& tensor, const char* key) {
    const Json* const list = tensor.find(key);
    if (!list || !list->is_array()) tensor.wrong(key, "an array");
    std::vector<int64_t> sizes;
    for (const Json& n : *list) {
        const std::optional<int64_t> size = n.is_number() ? n.integer() : std::nullopt;
        if (!size || *size < 0) wrong(tensor.path(key), "sizes below 2^63", n);
        sizes.push_back(*size);
    }
    return sizes;
}

TensorInfo read_tensor(const Json& object, int64_t data_start, int64_t data_bytes, const std::string& where) {
    const JsonFields tensor(object, where, ": ");
    const std::optional<std::string> dtype = tensor.text("dtype");
    if (!dtype) tensor.wrong("dtype", "a string");

    TensorInfo info;
    info.dtype = *dtype;
    info.shape = read_sizes(tensor, "shape");
    const int64_t bytes = tensor_bytes(info.dtype, info.shape, where);
    const std::vector<int64_t> offsets = read_sizes(tensor, "data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1])
        fail("{}: data_offsets: expected [begin, end], found {}", where, show_shape(offsets));
    if (offsets[1] > data_bytes)
        fail("{}: data_offsets: expected an end within the file's {} bytes of data, found {}: is the file truncated?",
             where, data_bytes, offsets[1]);
    if (offsets[1] - offsets[0] != bytes)
        fail("{}: data_offsets: expected {} bytes for {} {}, found {}", where, bytes, info.dtype,
             show_shape(info.shape), offsets[1] - offsets[0]);
    info.begin = data_start + offsets[0];
    info.end = data_start + offsets[1];
    return info;
}

std::map<std::string, std::string> read_metadata(const Json& object, const std::string& where) {
    if (!object.is_object()) wrong(where, "a JSON object", object);
    std::map<std::string, std::string> metadata;
    object.each_member([&](const std::string& key, const Json& text) {
        if (!text.is_string()) wrong(where + ": " + key, "a string", text);
        if (!metadata.emplace(key, text.string()).second)
            fail("{}: {}: expected each key once, found it twice", where, key);
    });
    return metadata;
}

void check_places(const SafetensorsHeader& header, int64_t data_start, int64_t file_bytes, const std::string& path) {
    using Entry = std::pair<const std::string, TensorInfo>;
    std::vector<const Entry*> in_order;
    for (const Entry& entry : header.tensors) in_order.push_back(&entry);
    std::sort(in_order.begin(), in_order.end(), [](const Entry* a, const Entry* b) {
        return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
    });
    int64_t end = data_start;
    for (size_t i = 0; i < in_order.size(); i++) {
        if (in_order[i]->second.begin < end)
            fail("{}: {}: expected bytes of its own, found an overlap with {}", path, in_order[i]->first,
                 in_order[i - 1]->first);
        end = in_order[i]->second.end;
    }
    if (end != file_bytes) fail("{}: expected {} bytes, the end of the last tensor, found {}", path, end, file_bytes);
}

}  // namespace

std::string show_shape(const std::vector<int64_t>& shape) {
    constexpr size_t kShown = 8;
    std::string text = "[";
    for (size_t i = 0; i < shape.size() && i < kShown; i++) text += fmt::format("{}{}", i ? ", " : "", shape[i]);
    return text + (shape.size() > kShown ? ", ...]" : "]");
}

int64_t tensor_bytes(const std::string& dtype, const std::vector<int64_t>& shape, const std::string& where) {
    int64_t bytes = 0;
    for (const auto& known : kDtypes)
        if (dtype == known.name) bytes = known.bytes;
    if (bytes == 0) fail("{}: dtype: expected one of the safetensors format, found {}", where, shown(dtype));
    bool overflow = false;
    for (const int64_t n : shape) overflow |= __builtin_mul_overflow(bytes, n, &bytes);
    if (overflow) fail("{}: shape: expected fewer than 2^63 bytes, found {}", where, show_shape(shape));
    return bytes;
}

SafetensorsHeader parse_safetensors(std::string_view file, const std::string& path) {
    const int64_t file_bytes = int64_t(file.size());
    uint64_t length = 0;
    if (file_bytes < kLengthBytes) fail("{}: expected a safetensors file, found {} bytes", path, file_bytes);
    std::memcpy(&length, file.data(), kLengthBytes);
    const int64_t longest = std::min(file_bytes - kLengthBytes, kMaxSafetensorsHeader);
    if (length > uint64_t(longest))
        fail("{}: header length: expected at most {} bytes in a file of {}, found {}", path, longest, file_bytes,
             length);
    const int64_t data_start = kLengthBytes + int64_t(length);
    const std::string name_of_header = path + ": header";
    const Json object = parse_json(file.substr(kLengthBytes, length), name_of_header, kHeaderDepth);
    if (!object.is_object()) wrong(name_of_header, "a JSON object", object);

    SafetensorsHeader header;
    bool has_metadata = false;
    object.each_member([&](const std::string& name, const Json& value) {
        const std::string where = path + ": " + name;
        const bool is_new =
            name == "__metadata__"
                ? !std::exchange(has_metadata, true)
                : header.tensors.emplace(name, read_tensor(value, data_start, file_bytes - data_start, where)).second;
        if (!is_new) fail("{}: expected each key once, found it twice", where);
        if (name == "__metadata__") header.metadata = read_metadata(value, where);
    });
    check_places(header, data_start, file_bytes, path);
    return header;
}

std::string safetensors_header(const std::vector<NamedTensorInfo>& tensors,
                               const std::map<std::string, std::string>& metadata, int64_t alignment) {
    using nlohmann::ordered_json;
    std::string text = "{\"__metadata__\":" + ordered_json(metadata).dump();
    int64_t offset = 0;
    for (const NamedTensorInfo& t : tensors) {  // one by one: an ordered object compares a new key with all others
        const int64_t end = offset + tensor_bytes(t.dtype, t.shape, t.name);
        const ordered_json info = {{"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {offset, end}}};
        text += "," + ordered_json(t.name).dump() + ":" + info.dump();
        offset = end;
    }
    text += "}";
    while ((kLengthBytes + int64_t(text.size())) % alignment != 0) text += ' ';
    const uint64_t length = text.size();
    std::string out(sizeof length, '\0');
    std::memcpy(out.data(), &length, sizeof length);
    return out + text;
}
