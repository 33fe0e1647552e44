// disk.cpp: a disk that fails, fills up or is slow, for a whole ./run: loaded before the C library ($LD_PRELOAD), it
// replaces what writes and syncs files. It records what it was asked for, and when.
//
//   DISK_NAME=TEXT   regular files alone whose path has this in it
//   DISK_LOG=FILE    a line a call: "write" or "sync", its begin and end on the monotonic clock in ns, result, path
//   DISK_FAULT=WORD  short: 3 bytes at a time; interrupted: two calls of three; full, broken: half of the DISK_AFTER-th
//                    write, then none; unsynced: all is taken, and cannot be kept
//   DISK_FULL_IF=FILE   nothing can be written while this file is there
//   DISK_SLOW_MS=N   each write takes so long
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

const char* setting(const char* name) {
    const char* const value = std::getenv(name);
    return value ? value : "";
}
bool is_fault(const char* name) {
    return std::strcmp(setting("DISK_FAULT"), name) == 0;
}

struct Path {
    char text[4096];
};
// Whether a call for this descriptor is meant.
bool find_path(int fd, Path& path) {
    struct stat file {};
    char link[64];
    if (fd <= STDERR_FILENO || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) return false;
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path.text, sizeof path.text - 1);
    path.text[n > 0 ? n : 0] = 0;
    return std::strstr(path.text, setting("DISK_NAME")) != nullptr;
}

long long now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// Keeps errno.
void record(const char* what, long long begin_ns, long result, const Path& path) {
    static const int log =
        *setting("DISK_LOG") ? open(setting("DISK_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (log < 0) return;
    const int error = errno;
    char line[sizeof path.text + 128];
    const int n =
        std::snprintf(line, sizeof line, "%s %lld %lld %ld %s\n", what, begin_ns, now_ns(), result, path.text);
    syscall(SYS_write, log, line, size_t(n));
    errno = error;
}

long refuse(int error) {
    errno = error;
    return -1;
}

std::atomic<int> n_writes{0};

// `call` writes so many bytes of `n`.
template <class Call>
ssize_t write_by(int fd, size_t n, Call call) {
    Path path{};
    if (n == 0 || !find_path(fd, path)) return call(n);
    const long long begin_ns = now_ns();
    const int i = ++n_writes, after = std::atoi(setting("DISK_AFTER"));
    const bool kills = is_fault("full") || is_fault("broken");
    const int slow_ms = std::atoi(setting("DISK_SLOW_MS"));
    if (slow_ms > 0) usleep(unsigned(slow_ms) * 1000);
    long result = 0;
    if ((kills && i > after) || (*setting("DISK_FULL_IF") && access(setting("DISK_FULL_IF"), F_OK) == 0))
        result = refuse(is_fault("broken") ? EIO : ENOSPC);
    else if (is_fault("interrupted") && i % 3 != 0)
        result = refuse(EINTR);
    else if (is_fault("short"))
        result = call(n < 3 ? n : 3);
    else
        result = call(kills && i == after && n > 1 ? n / 2 : n);
    record("write", begin_ns, result, path);
    return result;
}

int sync_by(long number, int fd) {
    Path path{};
    if (!find_path(fd, path)) return int(syscall(number, fd));
    const long long begin_ns = now_ns();
    const long result = is_fault("unsynced") ? refuse(EIO) : syscall(number, fd);
    record("sync", begin_ns, result, path);
    return int(result);
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t n) {
    return write_by(fd, n, [&](size_t some) { return syscall(SYS_write, fd, data, some); });
}
ssize_t pwrite(int fd, const void* data, size_t n, off_t offset) {
    return write_by(fd, n, [&](size_t some) { return syscall(SYS_pwrite64, fd, data, some, offset); });
}
ssize_t pwrite64(int fd, const void* data, size_t n, off64_t offset) {
    return pwrite(fd, data, n, offset);
}
int fsync(int fd) {
    return sync_by(SYS_fsync, fd);
}
int fdatasync(int fd) {
    return sync_by(SYS_fdatasync, fd);
}
}
