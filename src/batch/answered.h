// answered.h: what a journal holds: a file of answers, one whole line each, in the order in which they came.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "requests.h"

// Which requests of a job have an answer, and where it stands.
class Answered {
  public:
    // Of requests [first, first + n_requests).
    explicit Answered(int64_t n_requests, int64_t first = 0) : first_(first), offsets_(size_t(n_requests), -1) {}
    bool covers(int64_t index) const { return index >= first_ && index < end(); }
    bool has(int64_t index) const { return offset(index) >= 0; }
    int64_t offset(int64_t index) const { return offsets_[size_t(index - first_)]; }  // of its line in the journal
    int64_t first() const { return first_; }
    int64_t end() const { return first_ + int64_t(offsets_.size()); }
    bool is_complete() const { return n_ == int64_t(offsets_.size()); }
    void add(int64_t index, bool is_error, int64_t offset);
    int64_t n() const { return n_; }
    int64_t n_failed() const { return n_failed_; }

  private:
    int64_t first_;
    std::vector<int64_t> offsets_;
    int64_t n_ = 0, n_failed_ = 0;
};

using MarkReader = std::optional<AnswerMark> (*)(std::string_view line);

// What is in the journal at `path`; nothing if there is none. Lines that are not whole (of a process that was killed,
// or of a disk that failed), second answers to a request, and with `drop_failed` failed ones are taken out of the file.
// Throws Error if an answer is to a request that `reader` does not have.
Answered load_journal(const std::string& path, MarkReader read_mark, bool drop_failed, const RequestReader& reader,
                      const std::string& input);

// Calls `use` with every answer, in order of the requests, of a journal that has them all.
void read_in_order(const std::string& path, MarkReader read_mark, const Answered& answered,
                   const std::function<void(const AnswerMark& mark, std::string_view line)>& use);
