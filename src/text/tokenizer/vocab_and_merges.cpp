// vocab_and_merges.cpp: reads the two files in which GPT-2 was published: tokens with their ids, and pairs that merge
// into tokens, in the order in which they are merged.
//
// This program merges in the order of the tokens' ids. So the pairs must be in the order of the ids that they make, as
// in every file that GPT-2's own training wrote; other files are refused, since their ids would differ silently.
#include <algorithm>
#include <vector>

#include "base/json.h"
#include "base/utf8.h"
#include "error.h"
#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/pretokenize.h"
#include "text/tokenizer/vocabulary.h"

namespace {

struct Entry {
    int64_t id;
    std::string text, bytes;  // text: as the file spells it; bytes: "" if it is not in the alphabet
};

std::vector<Entry> read_vocab(std::string_view vocab, const std::string& source) {
    const Json object = parse_json(vocab, source);
    if (!object.is_object()) fail("{}: expected an object of tokens and their ids, found something else", source);
    std::vector<Entry> entries;
    object.each_member([&](const std::string& text, const Json& value) {
        const std::optional<int64_t> id = value.is_number() ? value.integer() : std::nullopt;
        if (!id) fail("{}: expected integer ids, found {}", source, shown(value));
        std::string bytes;
        if (!decode_byte_level(text, bytes)) bytes.clear();
        entries.push_back({*id, text, bytes});
    });
    return entries;
}

// The bytes of a line's two parts, joined; fails unless there are two.
std::string joined(std::string_view line, const std::string& where) {
    const size_t space = line.find(' ');
    std::string left, right;
    if (space == std::string_view::npos || !decode_byte_level(line.substr(0, space), left) ||
        !decode_byte_level(line.substr(space + 1), right) || left.empty() || right.empty())
        fail("{}: expected two tokens with a space between them, found something else", where);
    return left + right;
}

// Calls made(bytes, where) for each pair, in order.
template <class F>
void each_merge(std::string_view merges, const std::string& source, F&& made) {
    for (int64_t number = 1; !merges.empty(); number++) {
        const size_t end = std::min(merges.find('\n'), merges.size());
        std::string_view line = merges.substr(0, end);
        merges.remove_prefix(std::min(end + 1, merges.size()));
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        if (line.empty() || (number == 1 && line.substr(0, 8) == "#version")) continue;
        const std::string where = fmt::format("{}: line {}", source, number);
        made(joined(line, where), where);
    }
}

}  // namespace

Vocabulary read_vocab_and_merges(std::string_view vocab, const std::string& vocab_source, std::string_view merges,
                                 const std::string& merges_source) {
    if (utf8_valid_prefix(merges) < merges.size()) fail("{}: expected UTF-8, found other bytes", merges_source);
    Vocabulary all(vocab_source);  // all tokens that are in the alphabet, special ones too
    const std::vector<Entry> entries = read_vocab(vocab, vocab_source);
    for (const Entry& entry : entries)
        if (!entry.bytes.empty()) all.add_token(entry.id, entry.bytes);

    std::vector<bool> is_made(size_t(all.tokens.id_limit()));
    int last = -1;
    each_merge(merges, merges_source, [&](const std::string& bytes, const std::string& where) {
        const int id = all.tokens.find(bytes);
        if (id < 0) fail("{}: expected a pair that makes a token of {}, found another", where, vocab_source);
        if (id <= last)
            fail("{}: expected pairs in the order of the ids that they make, found {} after {}", where, id, last);
        is_made[size_t(id)] = true;
        last = id;
    });

    Vocabulary vocabulary(vocab_source);
    vocabulary.pattern = kGpt2Pattern;
    for (const Entry& entry : entries) {
        if (entry.bytes.size() == 1 || (!entry.bytes.empty() && is_made[size_t(entry.id)]))
            vocabulary.add_token(entry.id, entry.bytes);
        else
            vocabulary.add_special(entry.id, entry.text);  // no pair makes it: <|endoftext|>
    }
    vocabulary.check();
    return vocabulary;
}
