// line_writer.cpp: one write() a line, so that a killed run leaves whole lines and loses none that it finished.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "error.h"
#include "requests.h"

LineWriter::LineWriter(const std::string& path)
    : path_(path),
      fd_(path.empty() ? STDOUT_FILENO : open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
    if (fd_ < 0) fail("{}: cannot write: {}", path, std::strerror(errno));
}

LineWriter::~LineWriter() {
    if (fd_ != STDOUT_FILENO) close(fd_);
}

void LineWriter::write(std::string line) {
    line += '\n';
    for (size_t done = 0; done < line.size() && errno_ == 0;) {
        const ssize_t n = ::write(fd_, line.data() + done, line.size() - done);
        if (n >= 0)
            done += size_t(n);
        else if (errno != EINTR)
            errno_ = errno;
    }
}

void LineWriter::check() const {
    if (errno_ != 0) fail("{}: cannot write: {}", path_.empty() ? "stdout" : path_, std::strerror(errno_));
}

void check_output_path(const NamedPath& output, const std::vector<NamedPath>& others) {
    for (const NamedPath& other : others)
        if (!output.path.empty() && !other.path.empty() &&
            (output.path == other.path || (is_file(output.path) && same_file(output.path, other.path))))
            fail("{}: expected a file other than {}'s, found {}", output.flag, other.flag, output.path);
}
