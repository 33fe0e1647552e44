// line_reader.h: a file as a stream of lines, in memory that depends on the longest line and not on the file.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

class LineReader {
  public:
    explicit LineReader(const std::string& path);  // a file or a pipe; throws Error
    ~LineReader();
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;

    // The next line without its '\n', valid until the next call; false at the end. The last line needs no '\n'. A byte
    // order mark at the start of the file is not part of the line. Throws Error, also for an absurdly long line.
    bool next(std::string_view& line);
    int64_t line_number() const { return line_number_; }  // of the line that next() gave, from 1

  private:
    bool fill();
    const std::string path_;
    int fd_ = -1;
    bool at_end_ = false;
    std::string buffer_;
    size_t begin_ = 0;  // of what next() has not given yet
    int64_t line_number_ = 0;
};

// Nothing in it but spaces, tabs and carriage returns.
bool is_blank(std::string_view line);
