// file.cpp: POSIX calls behind file.h, each failure turned into one line that names the file.
#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "error.h"

MappedFile::MappedFile(const std::string& path) : path_(path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail("{}: cannot open: {}", path, std::strerror(errno));
    struct stat st {};
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        fail("{}: expected a regular file", path);
    }
    size_ = st.st_size;
    if (size_ > 0) {
        void* p = mmap(nullptr, size_t(size_), PROT_READ, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) data_ = static_cast<const uint8_t*>(p);
    }
    const int error = errno;
    close(fd);
    if (size_ > 0 && !data_) fail("{}: cannot map {} bytes: {}", path, size_, std::strerror(error));
}

MappedFile::~MappedFile() {
    if (data_) munmap(const_cast<uint8_t*>(data_), size_t(size_));
}

std::string read_file(const std::string& path) {
    // Not through a mapping: prompts may come from a pipe.
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail("{}: cannot open: {}", path, std::strerror(errno));
    std::string text;
    char buffer[1 << 16];
    for (;;) {
        const ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            const int error = errno;
            close(fd);
            fail("{}: cannot read: {}", path, std::strerror(error));
        }
        if (n == 0) break;
        text.append(buffer, size_t(n));
    }
    close(fd);
    return text;
}

bool is_directory(const std::string& path) {
    struct stat st {};
    return stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

bool is_file(const std::string& path) {
    struct stat st {};
    return stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
}
