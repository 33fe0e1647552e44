// ordered_lines.h: passes lines on in order. Those that must wait for an earlier one wait in a file without a name.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

class OrderedLines {
  public:
    explicit OrderedLines(std::function<void(std::string_view line)> out) : out_(std::move(out)) {}
    ~OrderedLines();
    OrderedLines(const OrderedLines&) = delete;
    OrderedLines& operator=(const OrderedLines&) = delete;

    void add(int64_t index, std::string_view line);  // throws Error if it cannot wait

  private:
    struct Place {
        int64_t offset;
        size_t n_bytes;
    };
    void set_aside(int64_t index, std::string_view line);
    const std::function<void(std::string_view line)> out_;
    int64_t next_ = 0;
    std::map<int64_t, Place> waiting_;
    int fd_ = -1;
    int64_t size_ = 0;  // of the file
};
