// tokenizer_vocab.cpp: the kinds of tokenizer files.
#include "support/tokenizer_vocab.h"

#include <algorithm>
#include <cstring>

#include "support/byte_tokenizer.h"
#include "support/json.h"
#include "temp_folder.h"

TestVocab byte_vocab(const std::vector<std::string>& more, const std::vector<std::pair<int, std::string>>& specials) {
    TestVocab vocab;
    for (int b = 0; b < 256; b++) vocab.tokens.push_back({static_cast<char>(b)});
    vocab.tokens.insert(vocab.tokens.end(), more.begin(), more.end());
    vocab.specials = specials;
    return vocab;
}

static std::string base64(const std::string& bytes) {
    const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out, bits;
    for (const char c : bytes)
        for (int b = 7; b >= 0; b--) bits += char('0' + (c >> b & 1));
    while (bits.size() % 6) bits += '0';
    for (size_t i = 0; i < bits.size(); i += 6) out += digits[std::stoi(bits.substr(i, 6), nullptr, 2)];
    while (out.size() % 4) out += '=';
    return out;
}

std::string rank_file(const TestVocab& vocab) {
    std::string out;
    for (size_t id = 0; id < vocab.tokens.size(); id++)
        out += base64(vocab.tokens[id]) + " " + std::to_string(id) + "\n";
    return out;
}

std::string legacy_record(float score, const std::string& bytes) {
    const int32_t n_bytes = int32_t(bytes.size());
    std::string out(8, '\0');
    std::memcpy(&out[0], &score, 4);
    std::memcpy(&out[4], &n_bytes, 4);
    return out + bytes;
}

std::string legacy_file(const TestVocab& vocab) {
    size_t longest = 6;
    std::string records;
    for (size_t id = 0; id < vocab.tokens.size(); id++) {
        const std::string& bytes = vocab.tokens[id];
        records += legacy_record(float(id), bytes == std::string(1, '\0') ? "<0x00>" : bytes);
        longest = std::max(longest, bytes.size());
    }
    for (const auto& [id, name] : vocab.specials) {
        records += legacy_record(-1e30f, name);
        longest = std::max(longest, name.size());
    }
    std::string out(4, '\0');
    const int32_t max_token_length = int32_t(longest);
    std::memcpy(&out[0], &max_token_length, 4);
    return out + records;
}

static std::string byte_level(const std::string& bytes) {
    std::string out;
    for (const char c : bytes) out += byte_level_letter(static_cast<unsigned char>(c));
    return out;
}

std::string tokenizer_json(const TestVocab& vocab, const std::string& pattern) {
    nlohmann::ordered_json json = ordered_json_of(byte_tokenizer_json());
    if (!pattern.empty()) json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern;
    json["added_tokens"].clear();
    for (const auto& [id, name] : vocab.specials)
        json["added_tokens"].push_back({{"id", id}, {"content", name}, {"special", true}});
    // As a list of pairs: an ordered_json looks its keys up one after the other.
    auto entries = nlohmann::ordered_json::object();
    auto& object = entries.get_ref<nlohmann::ordered_json::object_t&>();
    for (size_t id = 0; id < vocab.tokens.size(); id++)
        object.std::vector<std::pair<const std::string, nlohmann::ordered_json>>::emplace_back(
            byte_level(vocab.tokens[id]), id);
    json["model"]["vocab"] = std::move(entries);
    return json.dump();
}

Tokenizer open_bytes(const std::string& bytes) {
    const TempFolder folder;
    return Tokenizer::open(folder.write("some file", bytes));
}
