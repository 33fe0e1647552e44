// write_gpt2.cpp: a vocabulary in the forms in which GPT-2's is known: vocab.json with merges.txt, and llm.c's
// gpt2_tokenizer.bin. Neither says how text is split: both mean GPT-2's pattern.
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "error.h"
#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/pretokenize.h"
#include "text/tokenizer/vocabulary.h"

std::string encode_byte_level(std::string_view bytes) {
    static const std::array<std::string, 256> letters = [] {
        std::array<std::string, 256> all;
        for (size_t c = 0; c < kByteOf.size(); c++)
            if (kByteOf[c] >= 0) append_utf8(all[size_t(kByteOf[c])], uint32_t(c));
        return all;
    }();
    std::string text;
    for (const char c : bytes) text += letters[static_cast<unsigned char>(c)];
    return text;
}

namespace {

void check_is_gpt2s(const Vocabulary& vocabulary, const char* form) {
    if (vocabulary.pattern != kGpt2Pattern)
        fail("{}: {}: expected a vocabulary that is split as GPT-2's is, found another", vocabulary.source, form);
}

// Where the token's bytes part into the two tokens that merge into it: what is left of its bytes once all pairs of
// smaller ids have merged (minbpe's recover_merges). npos: they are not two.
size_t parting_of(const TokenTable& tokens, int id) {
    std::vector<std::string_view> parts;
    const std::string_view bytes = tokens.bytes(id);
    for (size_t i = 0; i < bytes.size(); i++) parts.push_back(bytes.substr(i, 1));
    while (parts.size() > 2) {
        size_t first = parts.size();
        int least = id;
        for (size_t i = 0; i + 1 < parts.size(); i++) {
            const int merged = tokens.find({parts[i].data(), parts[i].size() + parts[i + 1].size()});
            if (merged < 0 || merged >= least) continue;
            least = merged;
            first = i;
        }
        if (first == parts.size()) return std::string_view::npos;
        parts[first] = {parts[first].data(), parts[first].size() + parts[first + 1].size()};
        parts.erase(parts.begin() + int64_t(first) + 1);
    }
    return parts[0].size();
}

}  // namespace

std::string write_vocab_json(const Vocabulary& vocabulary) {
    check_is_gpt2s(vocabulary, "vocab.json");
    nlohmann::json vocab = nlohmann::json::object();
    for (int id = 0; id < vocabulary.tokens.id_limit(); id++)
        if (const std::string_view token = vocabulary.tokens.bytes(id); !token.empty())
            vocab[encode_byte_level(token)] = id;
    for (const Special& special : vocabulary.specials) vocab[special.name] = special.id;
    return vocab.dump();
}

std::string write_merges(const Vocabulary& vocabulary) {
    check_is_gpt2s(vocabulary, "merges.txt");
    std::string text = "#version: 0.2\n";
    for (int id = 0; id < vocabulary.tokens.id_limit(); id++) {
        const std::string_view bytes = vocabulary.tokens.bytes(id);
        if (bytes.size() < 2) continue;
        const size_t parting = parting_of(vocabulary.tokens, id);
        if (parting == std::string_view::npos)
            fail("{}: merges.txt: token {}: expected two tokens of smaller ids that merge into it, found none",
                 vocabulary.source, id);
        text += encode_byte_level(bytes.substr(0, parting)) + " " + encode_byte_level(bytes.substr(parting)) + "\n";
    }
    return text;
}

std::string write_llmc_tokenizer(const Vocabulary& vocabulary) {
    check_is_gpt2s(vocabulary, "llm.c");
    const int n = vocabulary.id_limit();
    if (vocabulary.specials.size() != 1)
        fail("{}: llm.c: expected one special token, which ends a text, found {}", vocabulary.source,
             vocabulary.specials.size());
    const Special& end_of_text = vocabulary.specials[0];
    const LlmcTokenizerHeader header{kLlmcTokenizerMagic, 2, n, end_of_text.id};
    std::string bytes(sizeof header, '\0');
    std::memcpy(bytes.data(), header.data(), sizeof header);
    for (int id = 0; id < n; id++) {
        const std::string_view token = id == end_of_text.id ? end_of_text.name : vocabulary.tokens.bytes(id);
        if (token.empty() || token.size() > 255)
            fail("{}: llm.c: token {}: expected 1 to 255 bytes, found {}", vocabulary.source, id, token.size());
        bytes += char(token.size());
        bytes += token;
    }
    return bytes;
}
