// io_faults.cpp: write(), fsync(), fdatasync(), close() and time() of the test program.
#include "support/io_faults.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

IoFaults& io_faults() {
    static IoFaults* const faults = new IoFaults;
    return *faults;
}

void IoFaults::start(Fault what, const std::string& end_of_name, int after_writes) {
    n_writes = 0;
    n_syncs = 0;
    after = after_writes;
    end = end_of_name;
    fault = what;
}

namespace {

bool is_meant(int fd) {
    struct stat file {};
    if (io_faults().fault == Fault::kNone || fd <= STDERR_FILENO || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
        return false;
    const std::string& end = io_faults().end;
    if (end.empty()) return true;
    char path[4096];
    const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
    const std::string name(path, n > 0 ? size_t(n) : 0);
    return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

ssize_t refuse(int error) {
    errno = error;
    return -1;
}

// What a write does: passes `n` on, or fails with `error`; 0: neither, it returns 0.
struct Answer {
    size_t n;
    int error = 0;
};

Answer answer_to_write(size_t n) {
    IoFaults& faults = io_faults();
    const int i = ++faults.n_writes;
    switch (faults.fault) {
        case Fault::kShort:
            return {n > 3 ? 3 : n};
        case Fault::kInterrupted:
            return {n, i % 3 != 0 ? EINTR : 0};
        case Fault::kBusy:
            return {n, i % 3 != 0 ? EAGAIN : 0};
        case Fault::kNothing:
            return {i >= faults.after ? 0 : n};
        case Fault::kBroken:
        case Fault::kFull:
            if (i > faults.after) return {n, faults.fault == Fault::kFull ? ENOSPC : EIO};
            return {i == faults.after ? n / 2 : n};
        default:
            return {n};
    }
}

int sync_by(long call, int fd) {
    if (is_meant(fd)) {
        io_faults().n_syncs++;
        if (io_faults().fault == Fault::kLostAtSync) return int(refuse(EIO));
    }
    return int(syscall(call, fd));
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t n) {
    if (n > 0 && is_meant(fd)) {
        const Answer answer = answer_to_write(n);
        if (answer.error) return refuse(answer.error);
        if (answer.n == 0) return 0;
        n = answer.n;
    }
    return syscall(SYS_write, fd, data, n);
}

time_t time(time_t* where) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    const time_t shown = now.tv_sec + io_faults().clock_offset_s;
    if (where) *where = shown;
    return shown;
}

int fsync(int fd) {
    return sync_by(SYS_fsync, fd);
}

int fdatasync(int fd) {
    return sync_by(SYS_fdatasync, fd);
}

int close(int fd) {
    const bool lost = io_faults().fault == Fault::kLostAtClose && is_meant(fd);
    const int result = int(syscall(SYS_close, fd));
    return lost ? int(refuse(EIO)) : result;
}
}
