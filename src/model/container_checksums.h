// container_checksums.h: the checksums that a .bin carries, one a tensor.
#pragma once
#include <map>
#include <string>

#include "base/checksum.h"
#include "model/safetensors.h"

class ContainerChecksums {
  public:
    explicit ContainerChecksums(const std::string& path);  // of the container; throws Error if it has none
    ContainerChecksums(const SafetensorsHeader& header, const std::string& path);

    // Throws Error if the tensor of that name has another one.
    void check(const std::string& name, const Checksum& found) const;

  private:
    std::string path_;
    std::map<std::string, std::string> expected_;  // 16 hex digits
};
