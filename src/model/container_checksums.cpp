// container_checksums.cpp: reads the checksums of a .bin and compares its tensors with them.
#include "model/container_checksums.h"

#include "base/file.h"
#include "base/json_fields.h"
#include "checkpoint.h"
#include "error.h"
#include "model/readers.h"

ContainerChecksums::ContainerChecksums(const std::string& path)
    : ContainerChecksums(parse_safetensors(MappedFile(path).view(), path), path) {}

ContainerChecksums::ContainerChecksums(const SafetensorsHeader& header, const std::string& path) : path_(path) {
    const auto it = header.metadata.find(kContainerChecksumsKey);
    if (it == header.metadata.end())
        fail("{}: __metadata__: {}: expected JSON, found nothing", path, kContainerChecksumsKey);
    const std::string where = fmt::format("{}: {}", path, kContainerChecksumsKey);
    const Json json = parse_json(it->second, where);
    if (!json.is_object()) wrong(where, "a JSON object", json);
    json.each_member([&](const std::string& name, const Json& sum) {
        if (!sum.is_string()) wrong(where + ": " + name, "a string", sum);
        expected_[name] = sum.string();
    });
}

void ContainerChecksums::check(const std::string& name, const Checksum& found) const {
    const auto it = expected_.find(name);
    const std::string expected = it == expected_.end() ? "none" : it->second;
    if (found.hex() != expected)
        fail("{}: {}: checksum: expected {}, found {}: the file is damaged", path_, name, expected, found.hex());
}

void verify_checksums(const std::string& path) {
    const MappedFile file(path);
    const SafetensorsHeader header = parse_safetensors(file.view(), path);
    const ContainerChecksums checksums(header, path);
    for (const auto& [name, info] : header.tensors) {
        if (is_container_padding(name)) continue;
        Checksum checksum;
        checksum.add(file.data() + info.begin, info.end - info.begin);
        checksums.check(name, checksum);
    }
}
