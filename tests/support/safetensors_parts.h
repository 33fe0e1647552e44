// safetensors_parts.h: a safetensors file taken apart, to be damaged and written again.
#pragma once
#include <string>

#include "support/json.h"

// Takes it apart without the code under test.
struct SafetensorsParts {
    nlohmann::ordered_json header;
    std::string data;

    explicit SafetensorsParts(const std::string& path);
    static std::string join(const std::string& header, const std::string& data);
    // Spaces after the header keep the data aligned, as in all files of the format.
    void write(const std::string& path) const;
};
