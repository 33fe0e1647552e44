// legacy.cpp: reads the getp family's tokenizer.bin.
#include <cstring>

#include "error.h"
#include "text/tokenizer/vocabulary.h"

namespace {

// tokenizer.bin marks special tokens with this score, and writes the NUL byte's token as text.
constexpr float kSpecialScore = -1e30f;
constexpr std::string_view kNulAsText = "<0x00>";

template <class Number>
bool take(std::string_view& data, Number& number) {
    if (data.size() < sizeof number) return false;
    std::memcpy(&number, data.data(), sizeof number);
    data.remove_prefix(sizeof number);
    return true;
}

}  // namespace

// A text file has no NUL among its first four bytes, and no token is 16 MiB long. In another binary file, what follows
// is hardly ever a score and a length that fits.
bool looks_like_legacy_tokenizer(std::string_view data) {
    int32_t max_bytes, n_bytes;
    float score;
    return take(data, max_bytes) && max_bytes > 0 && max_bytes < 1 << 24 && take(data, score) && take(data, n_bytes) &&
           n_bytes >= 0 && n_bytes <= max_bytes;
}

Vocabulary read_legacy_tokenizer(std::string_view data, const std::string& source) {
    Vocabulary vocabulary(source);
    int32_t max_bytes;
    if (!looks_like_legacy_tokenizer(data) || !take(data, max_bytes))
        fail(
            "{}: expected a tokenizer.bin (max_token_length, then a score, a length and that many bytes a token), "
            "found something else",
            source);
    for (int64_t id = 0; !data.empty(); id++) {
        float score;
        int32_t n_bytes;
        if (!take(data, score) || !take(data, n_bytes))
            fail("{}: token {}: expected its score and length, found the end of the file", source, id);
        if (n_bytes < 0 || n_bytes > max_bytes)
            fail("{}: token {}: byte_len: expected 0..{} (max_token_length), found {}", source, id, max_bytes, n_bytes);
        if (size_t(n_bytes) > data.size())
            fail("{}: token {}: expected {} bytes, found {} and the end of the file", source, id, n_bytes, data.size());
        const std::string_view bytes = data.substr(0, size_t(n_bytes));
        data.remove_prefix(size_t(n_bytes));
        if (bytes.empty()) continue;  // an id without a token
        if (score == kSpecialScore)
            vocabulary.add_special(id, bytes);
        else if (score != float(id))
            fail("{}: token {}: score: expected its id, or {} for a special token, found {}", source, id, kSpecialScore,
                 score);
        else
            vocabulary.add_token(id, bytes == kNulAsText ? std::string_view("\0", 1) : bytes);
    }
    vocabulary.check();
    return vocabulary;
}
