// line_reader.h: a file as a stream of lines. Memory depends on the longest line, not on the file.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

class LineReader {
  public:
    // Far above any prompt: 131072 tokens of at most 128 bytes are 16 MiB.
    static constexpr size_t kMaxLineBytes = size_t(256) << 20;

    // A file or a pipe; "-": stdin. Throws Error.
    explicit LineReader(const std::string& path, size_t max_line_bytes = kMaxLineBytes);
    ~LineReader();
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;

    // The next line without its '\n', valid until the next call; false at the end. The last line needs no '\n'. A byte
    // order mark at the start of the file is not part of the line. A line that is too long is cut. Throws Error.
    bool next(std::string_view& line);
    bool too_long() const { return too_long_; }  // whether the line that next() gave was cut
    size_t max_line_bytes() const { return max_line_bytes_; }
    void again() { again_ = true; }  // next() gives the same line once more
    // From any thread: next() gives no more lines once the buffer is used up, and does not wait for a pipe. A line that
    // is incomplete by then is dropped.
    void interrupt();
    int64_t line_number() const { return line_number_; }  // of the line that next() gave, from 1
    int64_t offset() const { return line_offset_; }       // of its first byte in the file
    // For a file: next() gives the line that begins at this byte, whose number (from 1) is line_number.
    void seek(int64_t offset, int64_t line_number);

  private:
    bool wait() const;
    bool fill();
    bool find_line();
    const std::string path_;
    const size_t max_line_bytes_;
    int fd_ = -1;
    int interrupt_fd_ = -1;  // an eventfd: readable once interrupt() was called
    bool at_end_ = false, interrupted_ = false;
    std::string buffer_;
    size_t begin_ = 0;  // where the text that next() has not given yet begins
    std::string_view line_;
    bool too_long_ = false, again_ = false;
    int64_t line_number_ = 0, line_offset_ = 0;
    int64_t n_read_ = 0;  // bytes, from the start of the file
};

// Nothing in it but spaces, tabs and carriage returns.
bool is_blank(std::string_view line);
