// byte_tokenizer.cpp: that tokenizer.json, written by JSON's own rules.
#include "support/byte_tokenizer.h"

#include "support/json.h"
#include "temp_folder.h"

std::string byte_level_letter(int byte) {
    const auto is_printable = [](int b) { return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad); };
    int code_point = byte;
    if (!is_printable(byte)) {
        code_point = 0x100;
        for (int b = 0; b < byte; b++) code_point += !is_printable(b);
    }
    if (code_point < 0x80) return {char(code_point)};
    return {char(0xc0 | code_point >> 6), char(0x80 | (code_point & 0x3f))};
}

std::string byte_tokenizer_json() {
    using Ordered = nlohmann::ordered_json;
    const std::string contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
    const std::string pattern = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)" +
                                contraction +
                                R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)" +
                                contraction + R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    Ordered vocab = Ordered::object();
    for (int b = 0; b < 256; b++) vocab[byte_level_letter(b)] = b;
    Ordered added = Ordered::array();
    for (const char* name : kByteSpecials)
        added.push_back({{"id", byte_special(name)},
                         {"content", name},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", true}});
    const Ordered split = {
        {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
    const Ordered byte_level = {
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
    const Ordered json = {{"version", "1.0"},
                          {"added_tokens", added},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}},
                          {"post_processor", byte_level},
                          {"decoder", byte_level},
                          {"model",
                           {{"type", "BPE"},
                            {"unk_token", nullptr},
                            {"fuse_unk", false},
                            {"byte_fallback", false},
                            {"ignore_merges", true},
                            {"vocab", vocab},
                            {"merges", Ordered::array()}}}};
    return json.dump(1);
}

Tokenizer tokenizer_from_json(const std::string& json) {
    const TempFolder folder;
    return Tokenizer::open(folder.write("tokenizer.json", json));
}

Tokenizer byte_tokenizer() {
    return tokenizer_from_json(byte_tokenizer_json());
}
