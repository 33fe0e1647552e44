// flags.h: what the command lines of `run` and of its commands have in common.
#pragma once
#include <CLI/CLI.hpp>
#include <charconv>
#include <map>

#include "error.h"

// Parses the words after the program's name; throws Error. --help prints the help and exits.
void parse_flags(CLI::App& app, std::vector<std::string> args);

// How much of a model has been read or written, as a line that the next one replaces.
void show_progress(int64_t done_bytes, int64_t total_bytes);

// Parses all of `text` as a number in [low, high], or says what was expected.
template <class T>
T parse_number(const std::string& flag, const std::string& text, T low, T high, const std::string& expected) {
    T value{};
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end || !(value >= low && value <= high))
        fail("{}: expected {}, found \"{}\"", flag, expected, text);
    return value;
}

// An option whose value is a number. Its text is checked here: the library's messages name C++ types.
template <class T, class Value>
void add_number(CLI::App& app, const std::string& names, const std::string& flag, Value& value, T low, T high,
                const std::string& expected, const std::string& help) {
    app.add_option_function<std::string>(
           names,
           [&value, flag, low, high, expected](const std::string& text) {
               value = parse_number(flag, text, low, high, expected);
           },
           help)
        ->type_name("N");
}

// "4G" is 4 times 1024 MB, as memory is counted; "64GB" is 64 times 1000 MB, as memory is sold.
int64_t parse_bytes(const std::string& flag, const std::string& text, const std::string& expected);
constexpr const char* kBytesExpected = "a number of bytes above 0, such as 500M or 4G";

struct ServeOptions;
void add_flags_of_serve(CLI::App& app, ServeOptions& o);

// An option whose value is one of the words in `choices`.
template <class T>
void add_choice(CLI::App& app, const std::string& names, const std::string& flag, T& value,
                const std::map<std::string, T>& choices, const std::string& help) {
    std::string expected;
    for (const auto& [name, meaning] : choices) expected += (expected.empty() ? "" : ", ") + name;
    app.add_option_function<std::string>(
           names,
           [&value, flag, choices, expected](const std::string& text) {
               const auto found = choices.find(text);
               if (found == choices.end()) fail("{}: expected one of {}; found \"{}\"", flag, expected, text);
               value = found->second;
           },
           help)
        ->type_name("WORD");
}
