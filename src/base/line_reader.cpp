// line_reader.cpp: reads large blocks, hands out views into them.
#include "base/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "error.h"

namespace {

constexpr size_t kBlockBytes = size_t(1) << 20;
constexpr size_t kKeptBytes = size_t(1) << 16;  // of a line that is too long: enough to find its custom_id
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

LineReader::LineReader(const std::string& path, size_t max_line_bytes)
    : path_(path == "-" ? "stdin" : path),
      max_line_bytes_(max_line_bytes),
      fd_(path == "-" ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) fail("{}: cannot open: {}", path_, std::strerror(errno));
    interrupt_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (interrupt_fd_ < 0) {
        close(fd_);
        fail("{}: cannot wait for it: {}", path_, std::strerror(errno));
    }
}

LineReader::~LineReader() {
    close(fd_);
    close(interrupt_fd_);
}

void LineReader::interrupt() {
    eventfd_write(interrupt_fd_, 1);
}

// Waits until the file can be read. False: interrupt() was called.
bool LineReader::wait() const {
    pollfd waited_for[] = {{fd_, POLLIN, 0}, {interrupt_fd_, POLLIN, 0}};
    while (poll(waited_for, 2, -1) < 0)
        if (errno != EINTR) fail("{}: cannot wait for it: {}", path_, std::strerror(errno));
    return waited_for[1].revents == 0;
}

// Drops the lines that next() has given from the buffer and appends a block. False at the end of the file.
bool LineReader::fill() {
    if (at_end_) return false;
    if (!wait()) {
        at_end_ = interrupted_ = true;
        return false;
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    const size_t old_size = buffer_.size();
    buffer_.resize(old_size + kBlockBytes);
    ssize_t n;
    do n = read(fd_, buffer_.data() + old_size, kBlockBytes);
    while (n < 0 && errno == EINTR);
    if (n < 0) fail("{}: cannot read: {}", path_, std::strerror(errno));
    buffer_.resize(old_size + size_t(n));
    n_read_ += n;
    at_end_ = n == 0;
    return !at_end_;
}

bool LineReader::next(std::string_view& line) {
    if (!std::exchange(again_, false) && !find_line()) return false;
    line = line_;
    return true;
}

void LineReader::seek(int64_t offset, int64_t line_number) {
    if (lseek(fd_, offset, SEEK_SET) < 0) fail("{}: cannot read from byte {}: {}", path_, offset, std::strerror(errno));
    buffer_.clear();
    begin_ = 0;
    n_read_ = offset;
    line_number_ = line_number - 1;
    at_end_ = interrupted_;
    again_ = false;
}

bool LineReader::find_line() {
    const size_t n_kept = std::min(kKeptBytes, max_line_bytes_);
    line_number_++;
    line_offset_ = n_read_ - int64_t(buffer_.size() - begin_);
    too_long_ = false;
    size_t end, n_searched = 0;
    while ((end = buffer_.find('\n', begin_ + n_searched)) == std::string::npos) {
        n_searched = buffer_.size() - begin_;
        if (too_long_ || n_searched > max_line_bytes_) {
            too_long_ = true;
            n_searched = std::min(n_searched, n_kept);
            buffer_.resize(begin_ + n_searched);
            buffer_.shrink_to_fit();
        }
        if (fill()) continue;
        if (n_searched == 0 || interrupted_) return false;
        end = buffer_.size();
        break;
    }
    line_ = std::string_view(buffer_).substr(begin_, end - begin_);
    too_long_ = too_long_ || line_.size() > max_line_bytes_;
    if (too_long_) line_ = line_.substr(0, n_kept);
    begin_ = end < buffer_.size() ? end + 1 : end;
    if (line_number_ == 1 && line_.substr(0, kByteOrderMark.size()) == kByteOrderMark)
        line_.remove_prefix(kByteOrderMark.size());
    return true;
}

bool is_blank(std::string_view line) {
    return line.find_first_not_of(" \t\r") == std::string_view::npos;
}
