// claims.cpp: claims of work, on any file system that creates and renames files atomically.
//
// A process that sleeps longer than a claim lasts may lose it and go on: then two do the same work, whose result is the
// same, and one replaces the other's. So a wrong guess costs time and no answer.
#include "batch/claims.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "base/host_name.h"
#include "base/write_all.h"
#include "error.h"

namespace {

// When a process of this machine began, in the kernel's ticks; "" if there is none of this id.
std::string start_of_process(const std::string& id) {
    std::ifstream file("/proc/" + id + "/stat");
    std::string text;
    std::getline(file, text);
    constexpr int kStartField = 22, kFieldAfterName = 3;
    std::istringstream rest(text.substr(std::min(text.rfind(')') + 1, text.size())));
    std::string field;
    for (int i = kFieldAfterName; i <= kStartField; i++) rest >> field;
    return rest ? field : "";
}

std::string new_owner() {
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != ssize_t(sizeof random)) fail("random numbers: cannot get any");
    return fmt::format("{:08x}{:08x}", uint32_t(getpid()), random);
}

timespec time_of(const std::string& path) {
    struct stat file {};
    return stat(path.c_str(), &file) == 0 ? file.st_mtim : timespec{};
}

}  // namespace

Claims::Claims(const std::string& folder, double stale_after_s)
    : folder_(folder), owner_(new_owner()), alive_(folder + "/alive." + owner_), stale_after_s_(stale_after_s) {
    const int fd = open(alive_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) fail("{}: cannot write: {}", alive_, std::strerror(errno));
    close(fd);
    thread_ = std::thread([this] { renew(); });
}

Claims::~Claims() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
    for (const std::string& name : std::set<std::string>(held_)) release(name);
    unlink(alive_.c_str());
}

// Four times before a claim is stale. The server of the file system says what time it is.
void Claims::renew() {
    std::unique_lock<std::mutex> lock(mutex_);
    const std::chrono::duration<double> pause(stale_after_s_ / 4);
    while (!changed_.wait_for(lock, pause, [&] { return ending_; }))
        for (const std::string& name : held_) utimensat(AT_FDCWD, path(name).c_str(), nullptr, 0);
}

bool Claims::create(const std::string& name) {
    const int fd = open(path(name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        if (errno == EEXIST || errno == ENOENT) return false;
        fail("{}: cannot write: {}", path(name), std::strerror(errno));
    }
    const std::string pid = std::to_string(getpid());
    const std::string content = fmt::format("{} {} {} {}\n", owner_, host_name(), pid, start_of_process(pid));
    int error = 0;
    write_all(fd, int64_t(content.size()), error,
              [&](int64_t done) { return write(fd, content.data() + done, content.size() - size_t(done)); });
    if (close(fd) != 0 && error == 0 && errno != EINTR) error = errno;
    if (error != 0) {
        unlink(path(name).c_str());
        fail("{}: cannot write: {}", path(name), std::strerror(error));
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    held_.insert(name);
    return true;
}

bool Claims::is_stale(const std::string& name) const {
    utimensat(AT_FDCWD, alive_.c_str(), nullptr, 0);
    const timespec now = time_of(alive_), then = time_of(path(name));
    return then.tv_sec > 0 &&
           double(now.tv_sec - then.tv_sec) + 1e-9 * double(now.tv_nsec - then.tv_nsec) > stale_after_s_;
}

// Whether the claim's owner is known to be dead, or has not been heard of. `content` is the claim that this is about.
bool Claims::is_free(const std::string& name, std::string& content) const {
    std::ifstream file(path(name));
    std::getline(file, content);
    std::istringstream words(content);
    std::string owner, host, pid, start;
    words >> owner >> host >> pid >> start;
    if (words && host == host_name() && start_of_process(pid) != start) return true;
    return is_stale(name);
}

bool Claims::take(const std::string& name) {
    if (create(name)) return true;
    std::string content, taken;
    if (!is_free(name, content)) return false;
    // Of several that want it, one can rename it; and perhaps it is a new owner's by now.
    const std::string aside = path(name) + "." + owner_;
    if (rename(path(name).c_str(), aside.c_str()) != 0) return false;
    {
        std::ifstream file(aside);
        std::getline(file, taken);
    }
    if (taken != content) {
        rename(aside.c_str(), path(name).c_str());
        return false;
    }
    unlink(aside.c_str());
    return create(name);
}

bool Claims::has_lost(const std::string& name) const {
    std::ifstream file(path(name));
    std::string owner;
    return file >> owner && owner != owner_;
}

void Claims::release(const std::string& name) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (held_.erase(name) == 0) return;
    }
    std::ifstream file(path(name));
    std::string owner;
    file >> owner;
    if (owner == owner_) unlink(path(name).c_str());
}
