// file.h: files as the project uses them: mapped whole for reading, written atomically.
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

// Writes `path` through a temporary file beside it: the final name appears, complete and synced, at commit(), and not
// at all if commit() is never reached. Throws Error (disk full, no permission).
class AtomicFile {
  public:
    explicit AtomicFile(const std::string& path);
    ~AtomicFile();  // without commit(): removes the temporary file
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(const void* data, int64_t n_bytes);
    void write(std::string_view text) { write(text.data(), int64_t(text.size())); }
    void commit();

  private:
    std::string path_, temporary_;
    int fd_ = -1;
};

std::string read_file(const std::string& path);  // throws Error
bool is_directory(const std::string& path);
bool is_file(const std::string& path);
bool same_file(const std::string& a, const std::string& b);  // both exist and are one file
