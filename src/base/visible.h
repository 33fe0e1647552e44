// visible.h: makes strangers' text safe for a terminal and a log.
#pragma once
#include <string>
#include <string_view>

enum class LineBreaks {
    kEscape,  // keeps the text in one line
    kKeep,    // keeps tabs, too
};

// `text` with control characters, characters that change the direction of writing, and bytes that are not UTF-8 spelled
// out: \n, \x1b, \u202e.
std::string visible(std::string_view text, LineBreaks breaks);
