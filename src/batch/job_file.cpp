// job_file.cpp: one JSON object a line, each adding to those before it, so that a process killed while it writes loses
// no more than that line.
#include "batch/job_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/write_all.h"
#include "error.h"

namespace {

// Whether the file that is open is still the one of this name.
bool is_at(const std::string& path, int fd) {
    struct stat named {
    }, opened{};
    return stat(path.c_str(), &named) == 0 && fstat(fd, &opened) == 0 && named.st_ino == opened.st_ino &&
           named.st_dev == opened.st_dev;
}

}  // namespace

JobFile::JobFile(const std::string& path) : path_(path) {
    do {
        if (fd_ >= 0) close(fd_);  // a process that ended removed it between open() and flock()
        fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY);
        if (fd_ < 0 && errno == ENOENT) {
            fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            made_ = fd_ >= 0;
        }
        if (fd_ < 0 && errno == EEXIST) continue;
        if (fd_ < 0) fail("{}: cannot write: {}", path, std::strerror(errno));
        // Some file systems have no locks.
        if (flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            close(fd_);
            fail("{}: expected a job that nobody works on, found one that another run is working on", path);
        }
    } while (fd_ < 0 || !is_at(path, fd_));
    try {
        read();
    } catch (...) {
        close(fd_);
        throw;
    }
}

JobFile::~JobFile() {
    if (made_ && size_ == 0) unlink(path_.c_str());
    close(fd_);
}

void JobFile::read() {
    if (!is_file(path_)) fail("{}: expected a file that says which job this is, found something else", path_);
    const std::string text = read_file(path_);
    for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const Json line = Json::parse(text.begin() + long(begin), text.begin() + long(end), nullptr, false);
        if (!line.is_object())
            fail("{}: expected a job's description, found something else; --overwrite starts anew", path_);
        content_.update(line);
        size_ = int64_t(end) + 1;
    }
    if (!content_.empty() && !content_.contains("requests_hash"))
        fail("{}: expected a job's description, found other JSON", path_);
}

void JobFile::clear() {
    content_ = Json::object();
    size_ = 0;
    if (ftruncate(fd_, 0) != 0 || fsync(fd_) != 0) fail("{}: cannot write: {}", path_, std::strerror(errno));
}

void JobFile::add(const Json& more) {
    const std::string line = more.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    int error = 0;
    const int64_t at = size_ + write_all(fd_, int64_t(line.size()), error, [&](int64_t done) {
                           return pwrite(fd_, line.data() + done, line.size() - size_t(done), size_ + done);
                       });
    if (error != 0) fail("{}: cannot write: {}", path_, std::strerror(error));
    // Half a line of a process that was killed may have been longer.
    if (ftruncate(fd_, at) != 0 || fsync(fd_) != 0) fail("{}: cannot write: {}", path_, std::strerror(errno));
    size_ = at;
    content_.update(more);
}
