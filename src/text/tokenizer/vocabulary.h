// vocabulary.h: what a tokenizer file says, whichever kind it is, and the readers of each kind.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/table.h"

struct Special {
    int id;
    std::string name;  // "<|start|>"; UTF-8, not empty
};

struct Vocabulary {
    explicit Vocabulary(std::string source_name);

    std::string source;             // the file, for messages
    std::string pattern;            // splits text into pieces; kO200kPattern unless the file has its own
    TokenTable tokens;              // the tokens that BPE makes; an id is also the rank
    std::vector<Special> specials;  // several may share an id; the first is shown

    // Both throw Error for an impossible id or text; add_token also if another token has it.
    void add_token(int64_t id, std::string_view bytes);
    void add_special(int64_t id, std::string_view name);
    int id_limit() const;  // every id is below
    // Call it when all are added. Throws Error unless every text can be encoded, and every id and name is unambiguous.
    void check() const;
};

// Reads the bytes of file `source`, which is of one of the one-file kinds below, known by its content. All throw Error.
Vocabulary read_vocabulary(std::string_view data, const std::string& source);

// Hugging Face's tokenizer.json.
Vocabulary read_tokenizer_json(std::string_view data, const std::string& source);
// OpenAI's rank file: lines of a token in base64, a space and its rank. The 199998 ranks of o200k_base get the special
// tokens of o200k_harmony.
Vocabulary read_rank_file(std::string_view data, const std::string& source);
// The getp family's tokenizer.bin.
Vocabulary read_legacy_tokenizer(std::string_view data, const std::string& source);
// llm.c's gpt2_tokenizer.bin, version 1 or 2.
Vocabulary read_llmc_tokenizer(std::string_view data, const std::string& source);
// GPT-2's vocab.json, and the merges.txt that goes with it.
Vocabulary read_vocab_and_merges(std::string_view vocab, const std::string& vocab_source, std::string_view merges,
                                 const std::string& merges_source);
// This project's own form, ASCII throughout: see serialized.cpp.
Vocabulary read_serialized(std::string_view data, const std::string& source);
std::string serialize_vocabulary(const Vocabulary& vocabulary);
// The vocabulary as a tokenizer.json, which has room for only the first name of a special token.
std::string write_tokenizer_json(const Vocabulary& vocabulary);
// These throw Error if the form cannot hold the vocabulary.
std::string write_vocab_json(const Vocabulary& vocabulary);
std::string write_merges(const Vocabulary& vocabulary);
std::string write_llmc_tokenizer(const Vocabulary& vocabulary);

constexpr int32_t kLlmcTokenizerMagic = 20240328;
using LlmcTokenizerHeader =
    std::array<int32_t, 256>;  // [0] magic, [1] version, [2] tokens, [3] the id that ends a text

bool looks_like_json(std::string_view data);
bool looks_like_rank_file(std::string_view data);
bool looks_like_legacy_tokenizer(std::string_view data);
bool looks_like_llmc_tokenizer(std::string_view data);
bool looks_serialized(std::string_view data);
