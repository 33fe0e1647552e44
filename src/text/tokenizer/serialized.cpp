// serialized.cpp: the tokenizer as a container's metadata carries it: short, quick to read, ASCII.
//
//   gpt-oss tokenizer 1
//   pattern BASE64                 the splitting expression
//   special ID BASE64              one line a special token, in decimal and its name
//   tokens BASE64                  for each id from 0 up: the number of its bytes in LEB128 (0: no token), and those
#include <charconv>

#include "base/base64.h"
#include "error.h"
#include "text/tokenizer/vocabulary.h"

namespace {

constexpr std::string_view kMagic = "gpt-oss tokenizer 1\n";

void append_leb128(std::string& out, size_t n) {
    for (; n >= 0x80; n >>= 7) out += static_cast<char>((n & 0x7f) | 0x80);
    out += static_cast<char>(n);
}

// Takes the number at the front of `data`; false if there is none below 2^28.
bool take_leb128(std::string_view& data, size_t& n) {
    n = 0;
    for (int shift = 0; shift < 28 && !data.empty(); shift += 7) {
        const unsigned char byte = static_cast<unsigned char>(data[0]);
        data.remove_prefix(1);
        n |= size_t(byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

// Takes what stands before the first `end`, and `end` itself; false if `end` does not come.
bool take_until(std::string_view& data, char end, std::string_view& taken) {
    const size_t n = data.find(end);
    if (n == std::string_view::npos) return false;
    taken = data.substr(0, n);
    data.remove_prefix(n + 1);
    return true;
}

std::string base64_field(std::string_view text, const std::string& source, std::string_view field) {
    std::string bytes;
    if (!decode_base64(text, bytes)) fail("{}: tokenizer: {}: expected base64, found something else", source, field);
    return bytes;
}

void add_tokens(Vocabulary& vocabulary, std::string_view data) {
    for (int64_t id = 0; !data.empty(); id++) {
        size_t n_bytes;
        if (!take_leb128(data, n_bytes) || n_bytes > data.size())
            fail("{}: tokenizer: tokens: expected all bytes of token {}, found the end", vocabulary.source, id);
        if (n_bytes > 0) vocabulary.add_token(id, data.substr(0, n_bytes));
        data.remove_prefix(n_bytes);
    }
}

}  // namespace

bool looks_serialized(std::string_view data) {
    return data.substr(0, kMagic.size()) == kMagic;
}

std::string serialize_vocabulary(const Vocabulary& vocabulary) {
    std::string out(kMagic);
    out += "pattern ";
    append_base64(out, vocabulary.pattern);
    for (const Special& special : vocabulary.specials) {
        out += fmt::format("\nspecial {} ", special.id);
        append_base64(out, special.name);
    }
    std::string tokens;
    for (int id = 0; id < vocabulary.tokens.id_limit(); id++) {
        append_leb128(tokens, vocabulary.tokens.bytes(id).size());
        tokens += vocabulary.tokens.bytes(id);
    }
    out += "\ntokens ";
    append_base64(out, tokens);
    out += '\n';
    return out;
}

Vocabulary read_serialized(std::string_view data, const std::string& source) {
    if (!looks_serialized(data))
        fail("{}: tokenizer: expected a first line \"gpt-oss tokenizer 1\", found another", source);
    data.remove_prefix(kMagic.size());
    Vocabulary vocabulary(source);
    bool has_pattern = false, has_tokens = false;
    std::string_view line;
    while (!data.empty()) {
        std::string_view field;
        if (!take_until(data, '\n', line) || !take_until(line, ' ', field))
            fail("{}: tokenizer: expected lines of a field and its value, found a torn line", source);
        if (field == "pattern" && !has_pattern) {
            vocabulary.pattern = base64_field(line, source, field);
            has_pattern = true;
        } else if (field == "special") {
            std::string_view number;
            int64_t id = -1;
            if (!take_until(line, ' ', number) ||
                std::from_chars(number.data(), number.data() + number.size(), id).ptr != number.data() + number.size())
                fail("{}: tokenizer: special: expected an id and a name, found something else", source);
            vocabulary.add_special(id, base64_field(line, source, field));
        } else if (field == "tokens" && !has_tokens) {
            add_tokens(vocabulary, base64_field(line, source, field));
            has_tokens = true;
        } else {
            fail("{}: tokenizer: expected pattern, special or tokens, each but special once, found another field",
                 source);
        }
    }
    if (!has_pattern || !has_tokens)
        fail("{}: tokenizer: expected a pattern and tokens, found only part of it", source);
    vocabulary.check();
    return vocabulary;
}
