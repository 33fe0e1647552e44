// visible.h: makes strangers' text safe for a terminal and a log.
#pragma once
#include <string>
#include <string_view>

enum class LineBreaks {
    kEscape,  // the text is to stay one line
    kKeep,    // and tabs
};

// Control characters, those that turn the direction of writing, and bytes that are not UTF-8, shown as \n, \x1b,
// \u202e.
std::string visible(std::string_view text, LineBreaks breaks);
