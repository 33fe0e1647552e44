// safetensors_parts.cpp: a length in 8 bytes, a header in JSON, the data.
#include "support/safetensors_parts.h"

#include <cstring>
#include <fstream>

#include "base/file.h"

SafetensorsParts::SafetensorsParts(const std::string& path) {
    const std::string bytes = read_file(path);
    uint64_t length;
    std::memcpy(&length, bytes.data(), sizeof length);
    header = ordered_json_of(std::string_view(bytes).substr(sizeof length, length));
    data = bytes.substr(sizeof length + length);
}

std::string SafetensorsParts::join(const std::string& header, const std::string& data) {
    const uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

void SafetensorsParts::write(const std::string& path) const {
    std::string text = header.dump();
    text.append(7 - (text.size() + 7) % 8, ' ');
    std::ofstream(path, std::ios::binary | std::ios::trunc) << join(text, data);
}
