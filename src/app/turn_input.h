// turn_input.h: what the user says next: typed on a terminal, with editing and history, or a line of a pipe.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

// Above any context: 131072 tokens of at most 128 bytes are 16 MiB.
constexpr size_t kMaxTurnBytes = size_t(16) << 20;

class TurnInput {
  public:
    virtual ~TurnInput() = default;
    // The next line without its line break, LF or CR LF; none at the end. A line longer than kMaxTurnBytes is cut to
    // kMaxTurnBytes + 1 bytes. Throws Error if stdin cannot be read.
    virtual std::optional<std::string> next() = 0;
    // Whether a person types: Ctrl-C then stops the answer, not the conversation.
    virtual bool is_terminal() const = 0;
};

std::unique_ptr<TurnInput> open_turn_input();  // stdin
// All of stdin, without a line break at its end: a prompt. Throws Error.
std::string read_prompt_from_stdin();
