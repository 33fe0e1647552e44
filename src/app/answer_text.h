// answer_text.h: stdout, while an answer streams to it.
#pragma once
#include <atomic>
#include <string_view>

// Remembers a failure instead of throwing: tokens come from a replica's thread.
class AnswerText {
  public:
    AnswerText();
    void write(std::string_view text);  // at once, all of it; on a terminal control characters are spelled out
    bool failed() const { return errno_ != 0; }
    void check() const;  // throws Error if a write has failed

  private:
    const bool is_terminal_;
    std::atomic<int> errno_{0};
};
