// answer_text.h: stdout, while an answer streams to it.
#pragma once
#include <atomic>
#include <string_view>

class KeptFiles;

// Remembers a failure, and does not throw it: tokens come from a replica's thread.
class AnswerText {
  public:
    explicit AnswerText(const KeptFiles& kept);  // throws Error if stdout is one of these
    void write(std::string_view text);  // writes all of it at once; on a terminal, spells control characters out
    bool failed() const { return errno_ != 0; }
    void check() const;  // throws Error if a write has failed

  private:
    const bool is_terminal_;
    std::atomic<int> errno_{0};
};
