// tokenizer_files.cpp: the two kinds of tokenizer file that are plain lists of tokens: rank files and tokenizer.bin.
#include <charconv>
#include <cstring>

#include "error.h"
#include "text/tokenizer_base64.h"
#include "text/tokenizer_vocabulary.h"

namespace {

// o200k_harmony is the ranks of o200k_base and these. Ids up to 201087 without another name are "<|reserved_ID|>";
// 200018 has both names, since its first one is also that of o200k_base.
constexpr int kHarmonyFirst = 199998, kHarmonyEnd = 201088;
constexpr struct {
    int id;
    const char* name;
} kHarmonySpecials[] = {
    {199998, "<|startoftext|>"}, {199999, "<|endoftext|>"},   {200002, "<|return|>"}, {200003, "<|constrain|>"},
    {200005, "<|channel|>"},     {200006, "<|start|>"},       {200007, "<|end|>"},    {200008, "<|message|>"},
    {200012, "<|call|>"},        {200018, "<|endofprompt|>"},
};

void add_harmony_specials(Vocabulary& vocabulary) {
    auto named = std::begin(kHarmonySpecials);
    for (int id = kHarmonyFirst; id < kHarmonyEnd; id++) {
        const bool has_name = named != std::end(kHarmonySpecials) && named->id == id;
        if (has_name) vocabulary.add_special(id, named++->name);
        if (!has_name || id == 200018) vocabulary.add_special(id, fmt::format("<|reserved_{}|>", id));
    }
}

// Splits "dG9rZW4= 123"; false if `line` is not of that form.
bool parse_rank_line(std::string_view line, std::string& bytes, int64_t& rank) {
    const size_t space = line.find(' ');
    if (space == 0 || space == std::string_view::npos) return false;
    bytes.clear();
    const char* const end = line.data() + line.size();
    const auto number = std::from_chars(line.data() + space + 1, end, rank);
    return number.ec == std::errc() && number.ptr == end && decode_base64(line.substr(0, space), bytes);
}

// The line at the front of `data`, without its end (LF or CR LF), and past it.
std::string_view take_line(std::string_view& data) {
    const size_t n = std::min(data.find('\n'), data.size());
    std::string_view line = data.substr(0, n);
    data.remove_prefix(std::min(n + 1, data.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
}

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

bool looks_like_rank_file(std::string_view data) {
    std::string bytes;
    int64_t rank;
    return parse_rank_line(take_line(data), bytes, rank);
}

Vocabulary read_rank_file(std::string_view data, const std::string& source) {
    Vocabulary vocabulary(source);
    std::string bytes;
    for (int64_t line_number = 1; !data.empty(); line_number++) {
        const std::string_view line = take_line(data);
        int64_t rank;
        if (line.empty()) continue;
        if (!parse_rank_line(line, bytes, rank))
            fail("{}: line {}: expected a token in base64, a space and its rank, found something else", source,
                 line_number);
        vocabulary.add_token(rank, bytes);
    }
    if (vocabulary.tokens.size() == kHarmonyFirst && vocabulary.id_limit() == kHarmonyFirst)
        add_harmony_specials(vocabulary);
    vocabulary.check();
    return vocabulary;
}

// A text file has no NUL among its first four bytes, and no token is 16 MiB long; other binary files hardly go on with
// a score and a length that fits.
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
