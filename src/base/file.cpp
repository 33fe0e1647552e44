// file.cpp: POSIX calls behind file.h, each failure turned into one line that names the file.
#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "error.h"

namespace {

// A call for one large range may move less than asked; Linux moves at most 2 GiB at once.
constexpr int64_t kMaxIoBytes = int64_t(1) << 30;

void sync_directory_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;  // some file systems refuse; the rename itself has succeeded
    fsync(fd);
    close(fd);
}

}  // namespace

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

AtomicFile::AtomicFile(const std::string& path) : path_(path), temporary_(fmt::format("{}.tmp{}", path, getpid())) {
    fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd_ < 0) fail("{}: cannot write: {}", temporary_, std::strerror(errno));
}

AtomicFile::~AtomicFile() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, int64_t n_bytes) {
    const char* p = static_cast<const char*>(data);
    while (n_bytes > 0) {
        const ssize_t n = ::write(fd_, p, size_t(n_bytes < kMaxIoBytes ? n_bytes : kMaxIoBytes));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail("{}: cannot write: {}", temporary_, std::strerror(errno));
        p += n;
        n_bytes -= n;
    }
}

void AtomicFile::commit() {
    if (fsync(fd_) != 0) fail("{}: cannot sync: {}", temporary_, std::strerror(errno));
    if (rename(temporary_.c_str(), path_.c_str()) != 0)
        fail("{}: cannot rename to it: {}", path_, std::strerror(errno));
    close(fd_);
    fd_ = -1;
    sync_directory_of(path_);
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

bool same_file(const std::string& a, const std::string& b) {
    struct stat x {
    }, y{};
    return stat(a.c_str(), &x) == 0 && stat(b.c_str(), &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}
