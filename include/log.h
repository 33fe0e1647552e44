// log.h: all that goes to stderr: lines, a progress line, reasoning while it streams.
//
// The log is never worth the work. Nothing here throws, ends the process or waits for more than a moment: a terminal
// that has gone, a full disk, a closed stream or a reader that sleeps costs the log and not the answers. Text comes
// from strangers, so control characters are shown as such: a line stays one line, and none drives the terminal.
#pragma once
#include <fmt/core.h>

#include <string_view>

// First thing in main(). Opens something unusable in place of streams that the caller closed: else a file of ours would
// become stdout or stderr. Writes to them still fail. If a reader goes away, write() fails instead of a signal.
void prepare_streams();

void log_formatted(fmt::string_view format, fmt::format_args args) noexcept;
void log_formatted(const char* kind, fmt::string_view format, fmt::format_args args) noexcept;
void log_formatted_status(fmt::string_view format, fmt::format_args args) noexcept;

// One line; the newline is added. What is too long for a line is cut.
template <class... Args>
void log_line(fmt::format_string<Args...> format, Args&&... args) noexcept {
    log_formatted(format, fmt::make_format_args(args...));
}

// A line of a kind that may come by the thousand ("failed requests"): shows the first 20 and counts the others.
template <class... Args>
void log_repeated(const char* kind, fmt::format_string<Args...> format, Args&&... args) noexcept {
    log_formatted(kind, format, fmt::make_format_args(args...));
}
// Says how many lines of each kind were not shown, and starts counting anew. At the end of a run.
void log_counts() noexcept;

// A line that the next one replaces, for progress; nothing where stderr is no terminal that can do that.
template <class... Args>
void log_status(fmt::format_string<Args...> format, Args&&... args) noexcept {
    log_formatted_status(format, fmt::make_format_args(args...));
}
void log_clear_status() noexcept;

// Text as it streams, dimmed where there is colour; its line breaks and tabs stay. A line or log_stream_end() ends it.
void log_stream(std::string_view text) noexcept;
void log_stream_end() noexcept;
