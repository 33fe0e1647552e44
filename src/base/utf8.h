// utf8.h: UTF-8, as far as the project needs it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

enum class Utf8 { kWhole, kCut, kBad };

// Looks at the character at the start of `text`, which is not empty. kWhole: it has `length` bytes. kCut: the text ends
// within a character. kBad: no character begins with these bytes (overlong forms, surrogates and values above U+10FFFF
// included); one U+FFFD replaces `length` bytes, Unicode's "maximal subpart".
Utf8 utf8_next(std::string_view text, size_t* length);

// Byte offset of the first byte that is not part of valid UTF-8, or text.size().
size_t utf8_valid_prefix(std::string_view text);

void append_utf8(std::string& out, uint32_t code_point);
