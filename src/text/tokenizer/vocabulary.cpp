// vocabulary.cpp: the rules that a vocabulary keeps, whichever file it is from.
#include "text/tokenizer/vocabulary.h"

#include <algorithm>

#include "base/utf8.h"
#include "error.h"
#include "text/tokenizer/pretokenize.h"

namespace {

// Ids index arrays, so without a limit a single id in a small file could ask for much memory. The largest known
// vocabularies have 262144 ids.
constexpr int64_t kMaxIds = 1 << 20;
constexpr size_t kMaxTokenBytes = 1 << 16;

}  // namespace

Vocabulary::Vocabulary(std::string source_name) : source(std::move(source_name)), pattern(kO200kPattern) {}

void Vocabulary::add_token(int64_t id, std::string_view bytes) {
    if (id < 0 || id >= kMaxIds) fail("{}: token id: expected 0..{}, found {}", source, kMaxIds - 1, id);
    if (bytes.empty() || bytes.size() > kMaxTokenBytes)
        fail("{}: token {}: expected 1..{} bytes, found {}", source, id, kMaxTokenBytes, bytes.size());
    if (!tokens.bytes(int(id)).empty()) fail("{}: token {}: expected one token of this id, found two", source, id);
    const int twin = tokens.find(bytes);
    if (twin >= 0) fail("{}: token {}: expected bytes of its own, found those of token {}", source, id, twin);
    tokens.add(int(id), bytes);
}

void Vocabulary::add_special(int64_t id, std::string_view name) {
    if (id < 0 || id >= kMaxIds) fail("{}: special token id: expected 0..{}, found {}", source, kMaxIds - 1, id);
    if (name.empty() || name.size() > kMaxTokenBytes)
        fail("{}: special token {}: expected a name of 1..{} bytes, found {}", source, id, kMaxTokenBytes, name.size());
    if (utf8_valid_prefix(name) < name.size())
        fail("{}: special token {}: expected a name in UTF-8, found other bytes", source, id);
    specials.push_back({int(id), std::string(name)});
}

int Vocabulary::id_limit() const {
    int limit = tokens.id_limit();
    for (const Special& special : specials) limit = std::max(limit, special.id + 1);
    return limit;
}

void Vocabulary::check() const {
    for (int b = 0; b < 256; b++) {
        const char byte = static_cast<char>(b);
        if (tokens.find({&byte, 1}) < 0)
            fail("{}: tokens: expected one for each single byte, found none for byte 0x{:02x}", source, b);
    }
    std::vector<const Special*> by_name;
    for (const Special& special : specials) {
        if (!tokens.bytes(special.id).empty())
            fail("{}: special token {}: expected an id of its own, found that of a plain token", source, special.id);
        by_name.push_back(&special);
    }
    std::sort(by_name.begin(), by_name.end(), [](const Special* a, const Special* b) { return a->name < b->name; });
    for (size_t i = 1; i < by_name.size(); i++)
        if (by_name[i]->name == by_name[i - 1]->name)
            fail("{}: special tokens {} and {}: expected different names, found the same", source, by_name[i - 1]->id,
                 by_name[i]->id);
}

Vocabulary read_vocabulary(std::string_view data, const std::string& source) {
    if (looks_like_legacy_tokenizer(data)) return read_legacy_tokenizer(data, source);
    if (looks_like_llmc_tokenizer(data)) return read_llmc_tokenizer(data, source);
    if (looks_like_json(data)) return read_tokenizer_json(data, source);
    if (looks_serialized(data)) return read_serialized(data, source);
    if (looks_like_rank_file(data)) return read_rank_file(data, source);
    fail(
        "{}: expected a tokenizer (tokenizer.json, a .tiktoken rank file, tokenizer.bin or gpt2_tokenizer.bin), found "
        "something "
        "else",
        source);
}
