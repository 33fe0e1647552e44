// fuzz_file.h: a file in memory, for fuzz targets of functions that take a path.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

class FuzzFile {
  public:
    FuzzFile() : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {}
    ~FuzzFile() { close(fd_); }
    FuzzFile(const FuzzFile&) = delete;
    FuzzFile& operator=(const FuzzFile&) = delete;

    // Its content from now on.
    void write(const uint8_t* data, size_t size) const {
        if (ftruncate(fd_, 0) != 0 || pwrite(fd_, data, size, 0) != ssize_t(size)) std::abort();
    }
    std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

  private:
    int fd_;
};
