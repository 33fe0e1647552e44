// impl.h: what a Tokenizer is made of.
#pragma once
#include <array>
#include <string_view>
#include <vector>

#include "text/tokenizer/pretokenize.h"
#include "text/tokenizer/vocabulary.h"
#include "tokenizer.h"

struct Tokenizer::Impl {
    explicit Impl(Vocabulary v);
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    // Null if there is none.
    const Special* special_of(int id) const;
    const Special* special_named(std::string_view name) const;
    const Special* special_at(std::string_view text) const;  // the longest with which `text` (not empty) begins

    // Appends the ids of `text`, taken as plain text.
    void encode(std::string_view text, std::vector<int>& ids) const;

    const Vocabulary vocabulary;
    const Pretokenizer pretokenizer;
    std::vector<const Special*> by_id, by_name;  // into vocabulary.specials, sorted
    std::vector<size_t> lengths;                 // of the specials' names, each once, longest first
    std::array<bool, 256> begins{};              // some special's name begins with this byte
};
