// utf8.cpp: decoding by the table of well-formed byte sequences (Unicode standard, table 3-7).
#include "base/utf8.h"

Utf8 utf8_next(std::string_view text, size_t* length) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    *length = 1;
    if (lead < 0x80) return Utf8::kWhole;
    if (lead < 0xc2 || lead > 0xf4) return Utf8::kBad;
    const size_t need = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    // The second byte's range is narrower after four leads: no overlong forms, no surrogates, nothing above U+10FFFF.
    const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < need; i++) {
        *length = i;
        if (i >= text.size()) return Utf8::kCut;
        if (byte(i) < (i == 1 ? low : 0x80) || byte(i) > (i == 1 ? high : 0xbf)) return Utf8::kBad;
    }
    *length = need;
    return Utf8::kWhole;
}

size_t utf8_valid_prefix(std::string_view text) {
    size_t i = 0;
    while (i < text.size()) {
        if (static_cast<signed char>(text[i]) > 0) {  // ASCII, most of most texts
            i++;
            continue;
        }
        size_t length;
        if (utf8_next(text.substr(i), &length) != Utf8::kWhole) return i;
        i += length;
    }
    return i;
}

void append_utf8(std::string& out, uint32_t code_point) {
    const auto put = [&](uint32_t b) { out.push_back(static_cast<char>(b)); };
    if (code_point < 0x80) {
        put(code_point);
    } else if (code_point < 0x800) {
        put(0xc0 | code_point >> 6);
        put(0x80 | (code_point & 0x3f));
    } else if (code_point < 0x10000) {
        put(0xe0 | code_point >> 12);
        put(0x80 | (code_point >> 6 & 0x3f));
        put(0x80 | (code_point & 0x3f));
    } else {
        put(0xf0 | code_point >> 18);
        put(0x80 | (code_point >> 12 & 0x3f));
        put(0x80 | (code_point >> 6 & 0x3f));
        put(0x80 | (code_point & 0x3f));
    }
}
