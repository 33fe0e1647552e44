// ordered_lines.cpp: keeps lines that wait in a file, and two numbers for each of them in memory.
#include "batch/ordered_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/write_all.h"
#include "error.h"

OrderedLines::~OrderedLines() {
    if (fd_ >= 0) close(fd_);
}

void OrderedLines::set_aside(int64_t index, std::string_view line) {
    const std::string folder = std::filesystem::temp_directory_path();  // $TMPDIR
    if (fd_ < 0) fd_ = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd_ < 0) {  // not every file system has nameless files
        std::string name = folder + "/run-XXXXXX";
        fd_ = mkostemp(name.data(), O_CLOEXEC);
        if (fd_ >= 0) unlink(name.c_str());
    }
    if (fd_ < 0) fail("{}: cannot make a file there for answers that wait: {}", folder, std::strerror(errno));
    int error = 0;
    write_all(fd_, int64_t(line.size()), error,
              [&](int64_t done) { return pwrite(fd_, line.data() + done, line.size() - size_t(done), size_ + done); });
    if (error != 0) fail("{}: cannot write answers that wait there: {}", folder, std::strerror(error));
    waiting_.emplace(index, Place{size_, line.size()});
    size_ += int64_t(line.size());
}

void OrderedLines::add(int64_t index, std::string_view line) {
    if (index != next_) return set_aside(index, line);
    out_(line);
    next_++;
    std::string text;
    for (auto it = waiting_.begin(); it != waiting_.end() && it->first == next_; it = waiting_.erase(it), next_++) {
        text.resize(it->second.n_bytes);
        for (size_t done = 0; done < text.size();) {
            const ssize_t n = pread(fd_, text.data() + done, text.size() - done, it->second.offset + int64_t(done));
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) fail("answers that wait: cannot read them: {}", std::strerror(n < 0 ? errno : EIO));
            done += size_t(n);
        }
        out_(text);
    }
    if (waiting_.empty() && size_ > 0 && ftruncate(fd_, 0) == 0) size_ = 0;
}
