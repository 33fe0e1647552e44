// job_file.cpp: one JSON object a line. Each adds to those before it, so that a process which is killed while it writes
// loses no more than that line.
#include "batch/job_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

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

// So begins a job's identity, the first line. Other JSON has other names, or a space after the colon.
constexpr std::string_view kBegin = "{\"version\":\"";

// Whether a process that was killed may have left this of a line with such a beginning, or a disk made it of that.
bool may_be_half_a_line(std::string_view rest, std::string_view begin) {
    const size_t n = std::min(rest.size(), begin.size());
    return rest.substr(0, n) == begin.substr(0, n) || rest[0] == '\0';
}

}  // namespace

std::optional<JobFile::Said> JobFile::read(const std::string& path) {
    if (!is_file(path)) return {};
    Said said;
    const std::string text = read_file(path);
    for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const Json line = Json::parse(text.begin() + long(begin), text.begin() + long(end), nullptr, false);
        if (!line.is_object()) return {};
        said.content.update(line);
        said.n_bytes = int64_t(end) + 1;
    }
    if (!said.content.empty() && !said.content.contains("requests_hash")) return {};
    const std::string_view rest = std::string_view(text).substr(size_t(said.n_bytes));
    if (!may_be_half_a_line(rest, said.content.empty() ? kBegin : kBegin.substr(0, 1))) return {};
    return said;
}

JobFile::JobFile(const std::string& path) : path_(path) {
    do {
        if (fd_ >= 0) close(fd_);  // another process, as it ended, removed the file between open() and flock()
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
        const std::optional<Said> said = read(path);
        if (!said)
            fail(
                "{}: expected what says which job {} belongs to, found something else; if nobody needs it, delete it: "
                "then --overwrite starts anew",
                path, std::filesystem::path(path).stem().string());
        said_ = *said;
    } catch (...) {
        close(fd_);
        throw;
    }
}

JobFile::~JobFile() {
    if (made_ && said_.n_bytes == 0) unlink(path_.c_str());
    close(fd_);
}

void JobFile::clear() {
    said_ = Said();
    if (ftruncate(fd_, 0) != 0 || fsync(fd_) != 0) fail("{}: cannot write: {}", path_, std::strerror(errno));
}

void JobFile::add(const Json& more) {
    const std::string line = more.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    int error = 0;
    const int64_t begin = said_.n_bytes;
    const int64_t end = begin + write_all(fd_, int64_t(line.size()), error, [&](int64_t done) {
                            return pwrite(fd_, line.data() + done, line.size() - size_t(done), begin + done);
                        });
    if (error != 0) fail("{}: cannot write: {}", path_, std::strerror(error));
    // Half a line of a process that was killed may have been longer.
    if (ftruncate(fd_, end) != 0 || fsync(fd_) != 0) fail("{}: cannot write: {}", path_, std::strerror(errno));
    said_.n_bytes = end;
    said_.content.update(more);
}
