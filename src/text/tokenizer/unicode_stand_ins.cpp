// unicode_stand_ins.cpp: makes PCRE2 see characters as tiktoken does, whose Unicode is newer.
//
// The splitting patterns ask only for general categories. Debian 12's PCRE2 10.42 has those of Unicode 14, tiktoken's
// regex crate those of Unicode 16; and PCRE2's \s includes U+180E, which is no white space since Unicode 6.3. So some
// characters are replaced by stand-ins. With a newer PCRE2 that changes nothing, as both have the same category there.
#include <algorithm>
#include <cstdint>

#include "base/utf8.h"
#include "text/tokenizer/pretokenize.h"

namespace {

enum Category { kOther, kMark, kNumber, kUpper, kLower, kModifier, kLetter };

// For each category two characters, of three and of four bytes, on which all versions of Unicode agree.
constexpr uint32_t kStandIn[][2] = {
    {0x200b, 0xe0001},  // Cf: zero width space, language tag
    {0x20d0, 0x101fd},  // Mn: combining left harpoon above, Phaistos disc combining oblique stroke
    {0x0e50, 0x104a0},  // Nd: Thai digit zero, Osmanya digit zero
    {0x1e00, 0x10400},  // Lu: A with ring below, Deseret long I
    {0x1e01, 0x10428},  // Ll: the same in lower case
    {0x0e46, 0x10780},  // Lm: Thai maiyamok, modifier letter small capital AA
    {0x0e01, 0x10380},  // Lo: Thai ko kai, Ugaritic alpa
};

struct Range {
    uint32_t first, last;
    Category category;  // in Unicode 16
};

// Characters for which PCRE2's answer to any of L&, Lm, Lo, M, N and \s differs. To the patterns, an unassigned
// character is kOther. clang-format off
constexpr Range kRanges[] = {
    {0x0897, 0x0897, kMark},       {0x0cf3, 0x0cf3, kMark},       {0x0ece, 0x0ece, kMark},
    {0x180e, 0x180e, kOther},      {0x1c89, 0x1c89, kUpper},      {0x1c8a, 0x1c8a, kLower},
    {0xa7cb, 0xa7cc, kUpper},      {0xa7cd, 0xa7cd, kLower},      {0xa7da, 0xa7da, kUpper},
    {0xa7db, 0xa7db, kLower},      {0xa7dc, 0xa7dc, kUpper},      {0x105c0, 0x105f3, kLetter},
    {0x10d40, 0x10d49, kNumber},   {0x10d4a, 0x10d4d, kLetter},   {0x10d4e, 0x10d4e, kModifier},
    {0x10d4f, 0x10d4f, kLetter},   {0x10d50, 0x10d65, kUpper},    {0x10d69, 0x10d6d, kMark},
    {0x10d6f, 0x10d6f, kModifier}, {0x10d70, 0x10d85, kLower},    {0x10ec2, 0x10ec4, kLetter},
    {0x10efc, 0x10eff, kMark},     {0x1123f, 0x11240, kLetter},   {0x11241, 0x11241, kMark},
    {0x11380, 0x11389, kLetter},   {0x1138b, 0x1138b, kLetter},   {0x1138e, 0x1138e, kLetter},
    {0x11390, 0x113b5, kLetter},   {0x113b7, 0x113b7, kLetter},   {0x113b8, 0x113c0, kMark},
    {0x113c2, 0x113c2, kMark},     {0x113c5, 0x113c5, kMark},     {0x113c7, 0x113ca, kMark},
    {0x113cc, 0x113d0, kMark},     {0x113d1, 0x113d1, kLetter},   {0x113d2, 0x113d2, kMark},
    {0x113d3, 0x113d3, kLetter},   {0x113e1, 0x113e2, kMark},     {0x116d0, 0x116e3, kNumber},
    {0x11bc0, 0x11be0, kLetter},   {0x11bf0, 0x11bf9, kNumber},   {0x11f00, 0x11f01, kMark},
    {0x11f02, 0x11f02, kLetter},   {0x11f03, 0x11f03, kMark},     {0x11f04, 0x11f10, kLetter},
    {0x11f12, 0x11f33, kLetter},   {0x11f34, 0x11f3a, kMark},     {0x11f3e, 0x11f42, kMark},
    {0x11f50, 0x11f59, kNumber},   {0x11f5a, 0x11f5a, kMark},     {0x1342f, 0x1342f, kLetter},
    {0x13440, 0x13440, kMark},     {0x13441, 0x13446, kLetter},   {0x13447, 0x13455, kMark},
    {0x13460, 0x143fa, kLetter},   {0x16100, 0x1611d, kLetter},   {0x1611e, 0x1612f, kMark},
    {0x16130, 0x16139, kNumber},   {0x16d40, 0x16d42, kModifier}, {0x16d43, 0x16d6a, kLetter},
    {0x16d6b, 0x16d6c, kModifier}, {0x16d70, 0x16d79, kNumber},   {0x18cff, 0x18cff, kLetter},
    {0x1b132, 0x1b132, kLetter},   {0x1b155, 0x1b155, kLetter},   {0x1ccf0, 0x1ccf9, kNumber},
    {0x1d2c0, 0x1d2d3, kNumber},   {0x1df25, 0x1df2a, kLower},    {0x1e030, 0x1e06d, kModifier},
    {0x1e08f, 0x1e08f, kMark},     {0x1e4d0, 0x1e4ea, kLetter},   {0x1e4eb, 0x1e4eb, kModifier},
    {0x1e4ec, 0x1e4ef, kMark},     {0x1e4f0, 0x1e4f9, kNumber},   {0x1e5d0, 0x1e5ed, kLetter},
    {0x1e5ee, 0x1e5ef, kMark},     {0x1e5f0, 0x1e5f0, kLetter},   {0x1e5f1, 0x1e5fa, kNumber},
    {0x2b739, 0x2b739, kLetter},   {0x2ebf0, 0x2ee5d, kLetter},   {0x31350, 0x323af, kLetter},
};
// clang-format on

// Index into kRanges, or -1.
int find_range(uint32_t code_point) {
    const Range* const next = std::upper_bound(std::begin(kRanges), std::end(kRanges), code_point,
                                               [](uint32_t c, const Range& range) { return c < range.first; });
    return next != kRanges && code_point <= next[-1].last ? int(next - kRanges) - 1 : -1;
}

// The code point of a character of three or four bytes.
uint32_t decode(const char* p, size_t n_bytes) {
    uint32_t code_point = static_cast<unsigned char>(p[0]) & (n_bytes == 3 ? 0x0f : 0x07);
    for (size_t i = 1; i < n_bytes; i++) code_point = code_point << 6 | (static_cast<unsigned char>(p[i]) & 0x3f);
    return code_point;
}

}  // namespace

std::string_view with_stand_ins(std::string_view text, std::string& storage) {
    bool replaced = false;
    size_t n_bytes;
    for (size_t i = 0; i < text.size(); i += n_bytes) {
        const unsigned char lead = static_cast<unsigned char>(text[i]);
        n_bytes = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (n_bytes < 3) continue;
        const int range = find_range(decode(text.data() + i, n_bytes));
        if (range < 0) continue;
        if (!replaced) storage = text;
        replaced = true;
        std::string stand_in;
        append_utf8(stand_in, kStandIn[kRanges[range].category][n_bytes - 3]);
        storage.replace(i, n_bytes, stand_in);
    }
    return replaced ? std::string_view(storage) : text;
}
