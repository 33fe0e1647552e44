// tokenizer_vocab.h: one vocabulary, written as each kind of tokenizer file without the code under test.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "tokenizer.h"

struct TestVocab {
    std::vector<std::string> tokens;  // by id
    std::vector<std::pair<int, std::string>> specials;
};

// A token a byte, its id the byte's value, then `more` from id 256 up.
TestVocab byte_vocab(const std::vector<std::string>& more = {},
                     const std::vector<std::pair<int, std::string>>& specials = {});

std::string rank_file(const TestVocab& vocab);
std::string legacy_record(float score, const std::string& bytes);
// The NUL byte's token is written <0x00>; special tokens must follow the others without a gap.
std::string legacy_file(const TestVocab& vocab);
// The o200k pattern unless another is given.
std::string tokenizer_json(const TestVocab& vocab, const std::string& pattern = "");

Tokenizer open_bytes(const std::string& bytes);
