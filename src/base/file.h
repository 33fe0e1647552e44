// file.h: files as the project reads them: mapped whole, or as a string. Those it writes: output_file.h,
// staged_output.h.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

// A file mapped read-only. An empty file has size 0 and a valid, empty view.
class MappedFile {
  public:
    explicit MappedFile(const std::string& path);  // throws Error
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    const uint8_t* data() const { return data_; }
    int64_t size() const { return size_; }
    std::string_view view() const { return {reinterpret_cast<const char*>(data_), size_t(size_)}; }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
    const uint8_t* data_ = nullptr;
    int64_t size_ = 0;
};

std::string read_file(const std::string& path);  // throws Error
bool is_directory(const std::string& path);
bool is_file(const std::string& path);
