// staged_output.cpp: temporary names, their removal when a signal comes, and the final renames.
#include "base/staged_output.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "error.h"

namespace fs = std::filesystem;

namespace {

// Linux moves at most 2 GiB at once.
constexpr int64_t kMaxIoBytes = int64_t(1) << 30;
constexpr int kMaxSlots = 32;  // an export has about ten temporary names at once
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

// What the signal handler removes, in plain memory: a handler may neither allocate nor lock.
struct Slot {
    std::atomic<bool> used{false};
    char path[PATH_MAX];
};
Slot slots[kMaxSlots];
std::mutex slots_mutex;  // held to fill or to empty a slot
int n_used = 0;
struct sigaction before[std::size(kSignals)];

// Removes files, then the directories that they were in; then the signal ends the program as usual.
void remove_temporaries(int signal) {
    for (Slot& slot : slots)
        if (slot.used) unlink(slot.path);
    for (Slot& slot : slots)
        if (slot.used) rmdir(slot.path);
    std::signal(signal, SIG_DFL);
    raise(signal);
}

// Leaves signals alone that are ignored (nohup) or have a handler.
void install_handler() {
    struct sigaction ours {};
    ours.sa_handler = remove_temporaries;
    sigfillset(&ours.sa_mask);
    for (size_t i = 0; i < std::size(kSignals); i++) {
        sigaction(kSignals[i], nullptr, &before[i]);
        if (before[i].sa_handler == SIG_DFL) sigaction(kSignals[i], &ours, nullptr);
    }
}

void remove_handler() {
    for (size_t i = 0; i < std::size(kSignals); i++)
        if (before[i].sa_handler == SIG_DFL) sigaction(kSignals[i], &before[i], nullptr);
}

int take_slot(const std::string& path) {
    const std::lock_guard<std::mutex> lock(slots_mutex);
    const auto free = std::find_if(std::begin(slots), std::end(slots), [](const Slot& slot) { return !slot.used; });
    if (free == std::end(slots) || path.size() >= sizeof free->path) return -1;
    if (n_used++ == 0) install_handler();
    std::memcpy(free->path, path.c_str(), path.size() + 1);
    free->used = true;
    return int(free - std::begin(slots));
}

void free_slot(int slot) {
    if (slot < 0) return;
    const std::lock_guard<std::mutex> lock(slots_mutex);
    slots[slot].used = false;
    if (--n_used == 0) remove_handler();
}

std::string without_slash(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
}

std::string temporary_name(const std::string& path) {
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != ssize_t(sizeof random)) fail("random numbers: cannot get any");
    return fmt::format("{}.tmp-{:016x}", path, random);
}

const char* kind_of(const struct stat& file) {
    if (S_ISREG(file.st_mode)) return "a file";
    if (S_ISDIR(file.st_mode)) return "a directory";
    if (S_ISLNK(file.st_mode)) return "a symbolic link";
    if (S_ISFIFO(file.st_mode)) return "a pipe";
    if (S_ISSOCK(file.st_mode)) return "a socket";
    return "a device";
}

// rename(), which fails with EEXIST if the name is taken; as safe as the file system lets it be.
int rename_to_free(const char* from, const char* to) {
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    if (link(from, to) == 0) return unlink(from);
    return errno == EEXIST ? -1 : rename(from, to);
}

}  // namespace

void sync_directory_of(const std::string& path) {
    const std::string directory = fs::absolute(path).parent_path().string();
    const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;  // some file systems refuse; the rename itself has succeeded
    fsync(fd);
    close(fd);
}

void check_free(const std::string& path, Existing existing) {
    struct stat file {};
    if (lstat(path.c_str(), &file) != 0) return;  // if it cannot be written, writing says why
    if (S_ISREG(file.st_mode) && existing == Existing::kReplace) return;
    const char* hint = S_ISREG(file.st_mode) ? "; --overwrite replaces it" : "";
    fail("{}: expected a new file, found {} of that name{}", path, kind_of(file), hint);
}

void check_free_directory(const std::string& path) {
    struct stat found {};
    if (lstat(without_slash(path).c_str(), &found) != 0) return;
    const bool is_directory = S_ISDIR(found.st_mode);
    if (!is_directory || !fs::is_empty(path))
        fail("{}: expected a new or empty directory, found {} in its place", path,
             is_directory ? "a full one" : kind_of(found));
}

TemporaryPath::TemporaryPath(const std::string& path) : path_(path), slot_(take_slot(path)) {}

TemporaryPath::~TemporaryPath() {
    if (!released_) std::remove(path_.c_str());
    free_slot(slot_);
}

void TemporaryPath::release() {
    released_ = true;
    free_slot(slot_);
    slot_ = -1;
}

AtomicFile::AtomicFile(const std::string& path, Existing existing)
    : path_(path), existing_(existing), temporary_(temporary_name(path)) {
    check_free(path, existing);
    fd_ = open(temporary_.path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd_ < 0) fail("{}: cannot write: {}", path_, std::strerror(errno));
}

AtomicFile::~AtomicFile() {
    if (fd_ >= 0) close(fd_);
}

void AtomicFile::write(const void* data, int64_t n_bytes) {
    const char* p = static_cast<const char*>(data);
    while (n_bytes > 0) {
        const ssize_t n = ::write(fd_, p, size_t(std::min(n_bytes, kMaxIoBytes)));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) fail("{}: cannot write: {}", path_, std::strerror(n < 0 ? errno : EIO));
        p += n;
        n_bytes -= n;
    }
}

void AtomicFile::commit() {
    if (fsync(fd_) != 0) fail("{}: cannot sync: {}", path_, std::strerror(errno));
    const int fd = fd_;
    fd_ = -1;
    if (close(fd) != 0 && errno != EINTR) fail("{}: cannot write: {}", path_, std::strerror(errno));
    const char *const from = temporary_.path().c_str(), *const to = path_.c_str();
    if ((existing_ == Existing::kReplace ? rename(from, to) : rename_to_free(from, to)) != 0)
        fail("{}: cannot rename to it: {}", path_, std::strerror(errno));
    temporary_.release();
    sync_directory_of(path_);
}

StagedDirectory::StagedDirectory(const std::string& path)
    : path_(without_slash(path)), temporary_(temporary_name(path_)) {
    check_free_directory(path_);
    if (mkdir(temporary_.path().c_str(), 0777) != 0)
        fail("{}: cannot make this directory: {}", path_, std::strerror(errno));
}

StagedDirectory::~StagedDirectory() = default;

std::string StagedDirectory::file(const std::string& name) {
    return files_.emplace_back(temporary_.path() + "/" + name).path();
}

void StagedDirectory::commit() {
    if (rename(temporary_.path().c_str(), path_.c_str()) != 0)
        fail("{}: cannot rename to it: {}", path_, std::strerror(errno));
    temporary_.release();
    for (TemporaryPath& file : files_) file.release();
    sync_directory_of(path_);
}
