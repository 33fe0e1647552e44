// visible.cpp: spells out the characters that a terminal would obey.
#include "base/visible.h"

#include <fmt/core.h>

#include <cstdint>

#include "base/utf8.h"

namespace {

// The code point of a whole character.
uint32_t code_point(std::string_view c) {
    const auto byte = [&](size_t i) { return uint32_t(static_cast<unsigned char>(c[i])); };
    if (c.size() == 1) return byte(0);
    uint32_t code = byte(0) & (0x7fu >> c.size());
    for (size_t i = 1; i < c.size(); i++) code = code << 6 | (byte(i) & 0x3f);
    return code;
}

// C0, DEL, C1; line and paragraph separators; the marks and overrides of bidirectional text.
bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

std::string spelled(uint32_t code) {
    if (code == '\n') return "\\n";
    if (code == '\r') return "\\r";
    if (code == '\t') return "\\t";
    return code < 0x100 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
}

}  // namespace

std::string visible(std::string_view text, LineBreaks breaks) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        size_t length;
        const bool whole = utf8_next(text, &length) == Utf8::kWhole;
        const std::string_view character = text.substr(0, length);
        text.remove_prefix(length);
        if (!whole) {
            for (const char c : character) out += spelled(static_cast<unsigned char>(c));
            continue;
        }
        const uint32_t code = code_point(character);
        if (is_control(code) && !(breaks == LineBreaks::kKeep && (code == '\n' || code == '\t')))
            out += spelled(code);
        else
            out += character;
    }
    return out;
}
