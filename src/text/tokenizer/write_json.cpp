// write_json.cpp: a vocabulary as Hugging Face's tokenizer.json.
#include <nlohmann/json.hpp>
#include <set>

#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/vocabulary.h"

namespace {

using Json = nlohmann::json;

// Here ranks say which tokens merge; this format lists pairs, and the first in the list merges first. So the list gets
// every pair that makes a token, in the order of the tokens; pairs of one token are in the order of their parts.
Json merges_of(const TokenTable& tokens) {
    Json merges = Json::array();
    for (int id = 0; id < tokens.id_limit(); id++) {
        const std::string_view bytes = tokens.bytes(id);
        std::set<std::pair<int, int>> pairs;
        for (size_t cut = 1; cut < bytes.size(); cut++) {
            const int left = tokens.find(bytes.substr(0, cut)), right = tokens.find(bytes.substr(cut));
            if (left >= 0 && right >= 0) pairs.emplace(left, right);
        }
        for (const auto& [left, right] : pairs)
            merges.push_back({encode_byte_level(tokens.bytes(left)), encode_byte_level(tokens.bytes(right))});
    }
    return merges;
}

Json added_tokens_of(const std::vector<Special>& specials) {
    Json added = Json::array();
    std::set<int> ids;
    for (const Special& special : specials)
        if (ids.insert(special.id).second)  // the first name, which is the one shown: the format has one for each id
            added.push_back({{"id", special.id},
                             {"content", special.name},
                             {"single_word", false},
                             {"lstrip", false},
                             {"rstrip", false},
                             {"normalized", false},
                             {"special", true}});
    return added;
}

}  // namespace

std::string write_tokenizer_json(const Vocabulary& vocabulary) {
    const Json bytes = {
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
    const Json split = {
        {"type", "Split"}, {"pattern", {{"Regex", vocabulary.pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
    Json vocab = Json::object();
    for (int id = 0; id < vocabulary.tokens.id_limit(); id++)
        if (const std::string_view token = vocabulary.tokens.bytes(id); !token.empty())
            vocab[encode_byte_level(token)] = id;
    return Json{{"version", "1.0"},
                {"truncation", nullptr},
                {"padding", nullptr},
                {"added_tokens", added_tokens_of(vocabulary.specials)},
                {"normalizer", nullptr},
                {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
                {"post_processor", bytes},
                {"decoder", bytes},
                {"model",
                 {{"type", "BPE"},
                  {"dropout", nullptr},
                  {"unk_token", nullptr},
                  {"continuing_subword_prefix", nullptr},
                  {"end_of_word_suffix", nullptr},
                  {"fuse_unk", false},
                  {"byte_fallback", false},
                  {"ignore_merges", true},
                  {"vocab", std::move(vocab)},
                  {"merges", merges_of(vocabulary.tokens)}}}}
        .dump();
}
