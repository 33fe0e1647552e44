// line_reader.cpp: reads large blocks, hands out views into them.
#include "requests/line_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "error.h"

namespace {

constexpr size_t kBlockBytes = size_t(1) << 20;
// Far above any prompt: 131072 tokens of at most 128 bytes are 16 MiB. A longer line means a file of something else.
constexpr size_t kMaxLineBytes = size_t(256) << 20;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

LineReader::LineReader(const std::string& path) : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) fail("{}: cannot open: {}", path, std::strerror(errno));
}

LineReader::~LineReader() {
    close(fd_);
}

// Appends a block to the buffer, once what has been given is thrown out of it. False at the end of the file.
bool LineReader::fill() {
    if (at_end_) return false;
    buffer_.erase(0, begin_);
    begin_ = 0;
    const size_t old_size = buffer_.size();
    if (old_size > kMaxLineBytes) fail("{}:{}: the line is longer than {} bytes", path_, line_number_, kMaxLineBytes);
    buffer_.resize(old_size + kBlockBytes);
    ssize_t n;
    do n = read(fd_, buffer_.data() + old_size, kBlockBytes);
    while (n < 0 && errno == EINTR);
    if (n < 0) fail("{}: cannot read: {}", path_, std::strerror(errno));
    buffer_.resize(old_size + size_t(n));
    at_end_ = n == 0;
    return !at_end_;
}

bool LineReader::next(std::string_view& line) {
    line_number_++;
    size_t searched = begin_, end;
    while ((end = buffer_.find('\n', searched)) == std::string::npos) {
        const size_t n_pending = buffer_.size() - begin_;
        if (fill()) {
            searched = begin_ + n_pending;
            continue;
        }
        if (n_pending == 0) return false;
        end = buffer_.size();
        break;
    }
    line = std::string_view(buffer_).substr(begin_, end - begin_);
    begin_ = end < buffer_.size() ? end + 1 : end;
    if (line_number_ == 1 && line.substr(0, kByteOrderMark.size()) == kByteOrderMark)
        line.remove_prefix(kByteOrderMark.size());
    return true;
}

bool is_blank(std::string_view line) {
    return line.find_first_not_of(" \t\r") == std::string_view::npos;
}
