// log.h: all that goes to stderr: lines, a progress line, reasoning while it streams.
//
// Nothing here throws, ends the process or waits for more than a moment: a terminal that has gone, a full disk, a
// closed stream or a reader that sleeps costs log lines, but no answers. Text may come from strangers, so control
// characters are spelled out: a line stays one line, and cannot control the terminal.
#pragma once
#include <fmt/core.h>

#include <string_view>

// Called first in main(). Opens streams that the caller has closed, so that no file of ours becomes stdout or stderr;
// writing to them still fails. If a reader goes away, write() fails and no signal comes.
void prepare_streams();

void log_formatted(fmt::string_view format, fmt::format_args args) noexcept;
void log_formatted(const char* kind, fmt::string_view format, fmt::format_args args) noexcept;
void log_formatted_status(fmt::string_view format, fmt::format_args args) noexcept;

// One line; adds the newline, cuts what is too long.
template <class... Args>
void log_line(fmt::format_string<Args...> format, Args&&... args) noexcept {
    log_formatted(format, fmt::make_format_args(args...));
}

// A line of a kind that may come by the thousand ("failed requests"): shows the first 20 and counts the others.
template <class... Args>
void log_repeated(const char* kind, fmt::format_string<Args...> format, Args&&... args) noexcept {
    log_formatted(kind, format, fmt::make_format_args(args...));
}
// At the end of a run: says how many lines of each kind were not shown, and starts counting anew.
void log_counts() noexcept;

// A line of progress, which the next one replaces. Writes nothing unless stderr is a terminal that can do that.
template <class... Args>
void log_status(fmt::format_string<Args...> format, Args&&... args) noexcept {
    log_formatted_status(format, fmt::make_format_args(args...));
}
void log_clear_status() noexcept;

// Text as it streams, dimmed where there is colour; its line breaks and tabs stay. A line or log_stream_end() ends it.
void log_stream(std::string_view text) noexcept;
void log_stream_end() noexcept;
