// output_file.cpp: POSIX calls behind output_file.h.
#include "base/output_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/write_all.h"
#include "error.h"

namespace {

constexpr int kRemoved = -1;  // in place of an errno: the file has lost its name, so nobody could find what is written
constexpr int kMaxLinks = 40;

std::string describe(int error) {
    return error == kRemoved ? "it has been removed or replaced during the run" : std::strerror(error);
}

// The descriptor that a path like /dev/stdout or /proc/self/fd/3, or a link to one, stands for; -1: an ordinary path.
int descriptor_named(std::string path) {
    for (int i = 0; i < kMaxLinks; i++) {
        if (path.empty() || path == "-" || path == "/dev/stdout") return STDOUT_FILENO;
        if (path == "/dev/stderr") return STDERR_FILENO;
        for (const std::string& folder : {std::string("/dev/fd/"), std::string("/proc/self/fd/")}) {
            const std::string digits = path.compare(0, folder.size(), folder) == 0 ? path.substr(folder.size()) : "";
            if (!digits.empty() && digits.size() < 8 && digits.find_first_not_of("0123456789") == std::string::npos)
                return std::stoi(digits);
        }
        char target[4096];
        const ssize_t n = readlink(path.c_str(), target, sizeof target);
        if (n <= 0 || n == ssize_t(sizeof target)) return -1;
        const bool is_absolute = target[0] == '/';
        path = (is_absolute ? "" : path.substr(0, path.rfind('/') + 1)) + std::string(target, size_t(n));
    }
    return -1;
}

// Another descriptor of what is open as `fd`: it shares the place in the file, and truncates nothing.
int share(int fd, const std::string& name) {
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0) fail("{}: cannot write: {}", name, std::strerror(errno));
    if ((flags & O_ACCMODE) == O_RDONLY) fail("{}: cannot write: it is open for reading only", name);
    const int shared = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (shared < 0) fail("{}: cannot write: {}", name, std::strerror(errno));
    return shared;
}

}  // namespace

bool names_descriptor(const std::string& path) {
    return descriptor_named(path) >= 0;
}

void KeptFiles::add(const struct stat& file, const std::string& whose) {
    // /dev/null may be read and written in one run.
    if (S_ISREG(file.st_mode) || S_ISFIFO(file.st_mode)) whose_.emplace(std::pair(file.st_dev, file.st_ino), whose);
}

void KeptFiles::add(const std::string& path, const std::string& whose) {
    struct stat file {};
    if (path.empty() || stat(path.c_str(), &file) != 0) return;
    add(file, whose);
    if (!S_ISDIR(file.st_mode)) return;
    const auto add_entries = [&](const std::string& folder, const auto& on_folder) {
        DIR* const listing = opendir(folder.c_str());
        if (!listing) return;
        while (const dirent* const entry = readdir(listing)) {
            const std::string name = entry->d_name, entry_path = folder + "/" + name;
            if (name == "." || name == ".." || stat(entry_path.c_str(), &file) != 0) continue;
            add(file, whose);
            if (S_ISDIR(file.st_mode)) on_folder(entry_path);
        }
        closedir(listing);
    };
    const auto leave = [](const std::string&) {};
    add_entries(path, [&](const std::string& folder) { add_entries(folder, leave); });
}

void KeptFiles::add_open(int fd, const std::string& whose) {
    struct stat file {};
    if (fstat(fd, &file) == 0) add(file, whose);
}

void KeptFiles::check(const struct stat& file, const std::string& flag, const std::string& path) const {
    const auto it = whose_.find({file.st_dev, file.st_ino});
    if (it == whose_.end()) return;
    fail("{}: expected a file other than {}, found {}, which writing would destroy", flag, it->second, path);
}

void KeptFiles::check(const std::string& flag, const std::string& path) const {
    struct stat file {};
    if (stat(path.c_str(), &file) == 0) check(file, flag, path);
}

OutputFile::OutputFile(const std::string& flag, const std::string& path, const KeptFiles& kept, Use use)
    : name_(path.empty() || path == "-" ? "stdout" : path), use_(use) {
    const int named = descriptor_named(path);
    is_shared_ = named >= 0;
    if (is_shared_)
        fd_ = share(named, name_);
    else
        open_path(path);
    try {
        examine(flag, kept);
    } catch (...) {
        close(fd_);
        if (made_) unlink(name_.c_str());
        throw;
    }
}

void OutputFile::open_path(const std::string& path) {
    const int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY | (use_ == Use::kPlaced ? 0 : O_APPEND);
    fd_ = open(path.c_str(), flags);
    if (fd_ < 0 && errno == ENOENT) {
        fd_ = open(path.c_str(), flags | O_CREAT | O_EXCL, 0666);
        made_ = fd_ >= 0;
        if (fd_ < 0 && errno == EEXIST) fd_ = open(path.c_str(), flags | O_CREAT, 0666);  // a link to a new file
    }
    if (fd_ < 0) fail("{}: cannot write: {}", path, std::strerror(errno));
}

// Throws Error unless what is open may be written.
void OutputFile::examine(const std::string& flag, const KeptFiles& kept) {
    struct stat file {};
    if (fstat(fd_, &file) != 0) fail("{}: cannot write: {}", name_, std::strerror(errno));
    kept.check(file, flag, name_);
    is_file_ = S_ISREG(file.st_mode);
    if (use_ == Use::kContinue) size_ = file.st_size;
    if (S_ISBLK(file.st_mode)) fail("{}: expected a file, found a disk: {}", flag, name_);
    if (use_ == Use::kPlaced && (is_shared_ || lseek(fd_, 0, SEEK_CUR) < 0))
        fail("{}: expected a file of its own, found {}, which has no places to write to", flag, name_);
    // Some file systems have no locks.
    if (is_file_ && !is_shared_ && flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        fail("{}: expected a file of its own, found {}, which another run is writing", flag, name_);
}

OutputFile::~OutputFile() {
    if (fd_ < 0) return;
    if (made_ && !has_begun_) unlink(name_.c_str());
    close(fd_);
}

// Drops the old content, once there is something to put in its place.
void OutputFile::begin() {
    std::call_once(begun_, [&] {
        has_begun_ = true;
        if (use_ != Use::kContinue && is_file_ && !is_shared_ && ftruncate(fd_, 0) != 0) fail_with(errno);
    });
}

// Only the first failure is reported.
void OutputFile::fail_with(int error) {
    int none = 0;
    error_.compare_exchange_strong(none, error);
}

void OutputFile::append(std::string_view text) {
    if (failed()) return;
    begin();
    if (failed()) return;
    int error = 0;
    const int64_t done = write_all(fd_, int64_t(text.size()), error, [&](int64_t begin) {
        return ::write(fd_, text.data() + begin, text.size() - size_t(begin));
    });
    struct stat file {};
    const bool known = is_file_ && fstat(fd_, &file) == 0;
    if (error == 0) {
        size_ += done;
        if (known && !is_shared_ && file.st_nlink == 0) fail_with(kRemoved);
        return;
    }
    fail_with(error);
    // Half a line may look like an answer: it is cut off again, unless somebody else has written behind it.
    if (known && done > 0 && lseek(fd_, 0, SEEK_CUR) == file.st_size && ftruncate(fd_, file.st_size - done) != 0)
        size_ += done;
}

void OutputFile::write_at(int64_t offset, const void* data, int64_t n_bytes) {
    if (failed()) return;
    begin();
    int error = 0;
    write_all(fd_, n_bytes, error, [&](int64_t done) {
        return pwrite(fd_, static_cast<const char*>(data) + done, size_t(n_bytes - done), offset + done);
    });
    if (error != 0) fail_with(error);
}

void OutputFile::set_size(int64_t n_bytes) {
    begin();
    if (is_file_ && ftruncate(fd_, n_bytes) != 0) fail_with(errno);
    size_ = n_bytes;
}

void OutputFile::sync() {
    const std::lock_guard<std::mutex> lock(closing_);
    if (fd_ >= 0 && !failed() && fdatasync(fd_) != 0) note_unsynced(errno);
}

// Pipes and devices cannot be synced, and need not be.
void OutputFile::note_unsynced(int error) {
    if (error != EINVAL && error != ENOTSUP && error != EROFS && error != EINTR) fail_with(error);
}

void OutputFile::check() const {
    if (failed()) fail("{}: cannot write: {}", name_, describe(error_));
}

// Throws Error if another program has changed, moved or replaced the file meanwhile.
void OutputFile::check_unchanged() const {
    struct stat open_file {
    }, named{};
    if (!is_file_ || is_shared_ || fstat(fd_, &open_file) != 0) return;
    if (open_file.st_size != size_)
        fail("{}: expected the {} bytes that were written, found {}: another program has changed it during the run",
             name_, size_, open_file.st_size);
    if (stat(name_.c_str(), &named) != 0 || named.st_ino != open_file.st_ino || named.st_dev != open_file.st_dev)
        fail("{}: cannot write: it has been moved or replaced during the run", name_);
}

void OutputFile::finish() {
    begin();
    check();
    if (fsync(fd_) != 0) note_unsynced(errno);
    check();
    check_unchanged();
    const std::lock_guard<std::mutex> lock(closing_);
    const int fd = fd_;
    fd_ = -1;
    if (close(fd) != 0 && errno != EINTR) fail_with(errno);
    check();
}
