// pretokenize.cpp: the splitting pattern, run by PCRE2.
#include "text/tokenizer/pretokenize.h"

#include <algorithm>
#include <cstdint>

#include "error.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

// Alternatives: words that end in lower case, and words in upper case, both with their contractions; up to three
// digits; punctuation; line ends; white space but for its last character, which may join what follows; that character,
// if it cannot.
const std::string_view kO200kPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)"
    R"(|\s*[\r\n]+)"
    R"(|\s+(?!\S))"
    R"(|\s+)";

// Alternatives: contractions in lower case; words, numbers and anything else, each with at most one space before it;
// white space but for its last character, which may join what follows; that character, if it cannot.
const std::string_view kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

struct Free {
    void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
    void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};

std::string message(int error) {
    char text[256];
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof text);
    return text;
}

PCRE2_SPTR code_units(std::string_view s) {
    return reinterpret_cast<PCRE2_SPTR>(s.data());
}

// PCRE2 counts how often it backtracks. One match of n characters takes a few times n; a pattern that needs far more
// would hardly ever end.
uint32_t backtrack_limit(size_t n_bytes) {
    return uint32_t(std::min<size_t>(10'000'000 + 8 * n_bytes, UINT32_MAX));
}

}  // namespace

Pretokenizer::Pretokenizer(const std::string& pattern, const std::string& source) : source_(source) {
    int error;
    PCRE2_SIZE offset;
    pcre2_code* const code = pcre2_compile(code_units(pattern), pattern.size(),
                                           PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
    if (!code) fail("{}: pattern: at byte {}: {}", source, offset, message(error));
    code_.reset(code, pcre2_code_free);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // if it fails, PCRE2 interprets the pattern, with the same matches
}

void Pretokenizer::split(std::string_view text, const std::function<void(std::string_view)>& piece) const {
    std::string storage;
    const std::string_view subject = with_stand_ins(text, storage);
    const std::unique_ptr<pcre2_match_data, Free> match(pcre2_match_data_create(1, nullptr));
    const std::unique_ptr<pcre2_match_context, Free> context(pcre2_match_context_create(nullptr));
    if (!match || !context) throw std::bad_alloc();
    pcre2_set_match_limit(context.get(), backtrack_limit(subject.size()));
    const PCRE2_SIZE* const span = pcre2_get_ovector_pointer(match.get());

    for (size_t pos = 0; pos < text.size();) {
        const int n = pcre2_match(code_.get(), code_units(subject), subject.size(), pos,
                                  PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match.get(), context.get());
        if (n == PCRE2_ERROR_NOMATCH) return piece(text.substr(pos));
        if (n < 0) fail("{}: pattern: cannot split the text at byte {}: {}", source_, pos, message(n));
        const size_t begin = span[0], end = span[1];
        if (begin < pos || end <= begin) fail("{}: pattern: expected one that only goes forward", source_);
        if (begin > pos) piece(text.substr(pos, begin - pos));
        piece(text.substr(begin, end - begin));
        pos = end;
    }
}
