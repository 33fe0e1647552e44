// byte_tokenizer.h: the smallest tokenizer.json that reads any text: a token a byte, and the special tokens of gpt-oss.
//
// A byte's id is its value and a special token's is 256 and up, so that ids in tests can be read, and an expected
// prompt can be written down as a string.
#pragma once
#include <iterator>
#include <stdexcept>
#include <string>

#include "tokenizer.h"

// In the order of their ids, from kFirstSpecial on.
constexpr const char* kByteSpecials[] = {"<|startoftext|>", "<|endoftext|>", "<|return|>",     "<|constrain|>",
                                         "<|channel|>",     "<|start|>",     "<|end|>",        "<|message|>",
                                         "<|call|>",        "<|reserved|>",  "<|endofprompt|>"};
constexpr int kFirstSpecial = 256;
constexpr int kByteVocab = kFirstSpecial + int(std::size(kByteSpecials));

inline int byte_special(const std::string& name) {
    for (size_t i = 0; i < std::size(kByteSpecials); i++)
        if (name == kByteSpecials[i]) return kFirstSpecial + int(i);
    throw std::logic_error("no special token " + name);
}

// The ByteLevel alphabet: printable bytes stand for themselves, the others for U+0100 and up, in order.
std::string byte_level_letter(int byte);
// The text of that tokenizer.json.
std::string byte_tokenizer_json();

Tokenizer tokenizer_from_json(const std::string& json);
Tokenizer byte_tokenizer();
