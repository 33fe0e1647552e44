// rank_file.cpp: reads OpenAI's .tiktoken files, and knows the special tokens that o200k_harmony adds.
#include <charconv>

#include "base/base64.h"
#include "error.h"
#include "text/tokenizer/vocabulary.h"

namespace {

// What o200k_harmony adds to the ranks of o200k_base. Ids up to 201087 without a name here are "<|reserved_ID|>".
// 200018 has both names, as o200k_base has named it already.
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

// Takes the line at the front of `data`; without its end, LF or CR LF.
std::string_view take_line(std::string_view& data) {
    const size_t n = std::min(data.find('\n'), data.size());
    std::string_view line = data.substr(0, n);
    data.remove_prefix(std::min(n + 1, data.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
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
