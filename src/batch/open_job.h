// open_job.h: what the kinds of jobs share: small looks at files.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

constexpr size_t kBlockBytes = size_t(1) << 16;  // written at once, where lines are copied

int64_t size_of(const std::string& path);  // in bytes; 0 if there is no file
inline bool has_bytes(const std::string& path) {
    return size_of(path) > 0;
}
