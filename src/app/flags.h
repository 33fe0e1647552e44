// flags.h: what the command lines of `run` and of its commands have in common.
#pragma once
#include <CLI/CLI.hpp>
#include <map>

#include "error.h"

// Parses the words after the program's name; throws Error. --help prints the help and exits.
void parse_flags(CLI::App& app, std::vector<std::string> args);

// How much of a model has been read or written, as a line that the next one replaces.
void show_progress(int64_t done_bytes, int64_t total_bytes);

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
