// test_tokenizer_peers.cpp: the whole o200k_harmony vocabulary against tiktoken, on the text of peers/text.mjs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <thread>

#include "base/file.h"
#include "support/tokenizer_vocab.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/vocabulary.h"

namespace {

using Ids = std::vector<int>;

const std::string kCases = "tests/peers/out/cases.bin";
const std::string kRanks = "tests/peers/out/o200k_base.tiktoken";
const std::string kGpt2Cases = "tests/peers/out/gpt2_cases.bin";
const std::string kGpt2Tokenizer = "tests/peers/out/gpt2_tokenizer.bin";

struct Case {
    bool special;  // names of special tokens are special tokens
    std::string_view group, text;
    Ids ids;
};

// Reads what tests/peers/tokenize.mjs wrote.
std::vector<Case> read_cases(std::string_view data) {
    const auto take = [&](size_t n) {
        if (n > data.size()) throw std::runtime_error(kCases + " is cut off: remove it and run make peers");
        const std::string_view bytes = data.substr(0, n);
        data.remove_prefix(n);
        return bytes;
    };
    const auto number = [&](size_t n_bytes) {
        uint32_t n = 0;
        std::memcpy(&n, take(n_bytes).data(), n_bytes);
        return n;
    };
    std::vector<Case> cases;
    while (!data.empty()) {
        Case c;
        c.special = number(1) != 0;
        c.group = take(number(1));
        c.text = take(number(4));
        c.ids.resize(number(4));
        for (int& id : c.ids) id = int(number(4));
        cases.push_back(std::move(c));
    }
    return cases;
}

class TokenizerPeers : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(is_file(kCases) && is_file(kRanks)) << "this test needs what the peers say; run: make peers";
    }
    static const Tokenizer& o200k() {
        static const Tokenizer tokenizer = Tokenizer::open(kRanks);
        return tokenizer;
    }
    static const std::vector<Case>& cases() {
        static const MappedFile file(kCases);
        static const std::vector<Case> all = read_cases(file.view());
        return all;
    }
};

std::string as_text(const Ids& ids) {
    std::string out;
    for (const int id : ids) out += (out.empty() ? "" : " ") + std::to_string(id);
    return out;
}

// Where two lists of ids begin to differ, in words.
std::string difference(const Tokenizer& tokenizer, const Case& c, const Ids& ids) {
    const size_t i = size_t(std::mismatch(ids.begin(), ids.end(), c.ids.begin(), c.ids.end()).first - ids.begin());
    const auto part = [&](const Ids& all) {
        return as_text(
            Ids(all.begin() + long(std::min(i, all.size())), all.begin() + long(std::min(i + 6, all.size()))));
    };
    const std::string before = tokenizer.decode(Ids(ids.begin(), ids.begin() + long(i)));
    return "at byte " + std::to_string(before.size()) + ", before " +
           testing::PrintToString(std::string(c.text.substr(before.size(), 30))) + ": tiktoken " + part(c.ids) +
           ", here " + part(ids);
}

TEST_F(TokenizerPeers, IdsAreThoseOfTiktoken) {
    std::map<std::string_view, int> n_wrong;
    size_t n_bytes = 0;
    for (const Case& c : cases()) {
        n_bytes += c.text.size();
        const Ids ids = c.special ? o200k().encode_with_special(c.text) : o200k().encode(c.text);
        if (ids != c.ids && ++n_wrong[c.group] <= 3) ADD_FAILURE() << c.group << ": " << difference(o200k(), c, ids);
    }
    for (const auto& [group, n] : n_wrong) ADD_FAILURE() << group << ": " << n << " texts differ";
    EXPECT_GT(n_bytes, 2'000'000u);
}

// OpenAI's ranks in llm.c's file, which has no merges.
TEST_F(TokenizerPeers, IdsOfGpt2AreThoseOfTiktoken) {
    ASSERT_TRUE(is_file(kGpt2Cases)) << "remove tests/peers/out and run: make peers";
    const Tokenizer gpt2 = Tokenizer::open(kGpt2Tokenizer);
    const MappedFile file(kGpt2Cases);
    int n_wrong = 0;
    size_t n_bytes = 0;
    for (const Case& c : read_cases(file.view())) {
        n_bytes += c.text.size();
        const Ids ids = gpt2.encode(c.text);
        if (ids != c.ids && ++n_wrong <= 3) ADD_FAILURE() << c.group << ": " << difference(gpt2, c, ids);
        EXPECT_TRUE(gpt2.decode(ids) == c.text) << c.group;
    }
    EXPECT_EQ(n_wrong, 0);
    EXPECT_GT(n_bytes, 2'000'000u);
    EXPECT_EQ(gpt2.encode("First Citizen:\nBefore we proceed any further, hear me speak."),
              (Ids{5962, 22307, 25, 198, 8421, 356, 5120, 597, 2252, 11, 3285, 502, 2740, 13}));
}

TEST_F(TokenizerPeers, DecodeGivesTheTextBack) {
    for (const Case& c : cases()) {
        // Of the two names of 200018, decode gives the first.
        if (c.special && c.text.find("<|reserved_200018|>") != std::string_view::npos) continue;
        ASSERT_TRUE(o200k().decode(c.ids) == c.text) << c.group;
    }
}

// From OpenAI's documents and tests of harmony.
TEST_F(TokenizerPeers, PublishedIds) {
    const std::pair<const char*, Ids> plain[] = {
        {"hello world", {24912, 2375}},
        {"<|start|>", {27, 91, 5236, 91, 29}},
        {"analysis", {35644}},
        {"final", {17196}},
        {"assistant", {173781}},
        {"commentary", {12606, 815}},
        {"json", {4108}},
        {"functions", {44580}},
        {" to", {316}},
        {"=", {28}},
        {" code", {3490}},
        {" ", {220}},
        {"User asks: \"What is 2 + 2?\" Simple arithmetic. Provide answer.",
         {1844, 31064, 25, 392, 4827, 382, 220, 17, 659, 220, 17, 16842, 12295, 81645, 13, 51441, 6052, 13}},
        {"2 + 2 = 4.", {17, 659, 220, 17, 314, 220, 19, 13}},
        {"User asks: \"What is the weather in Tokyo?\" We need to use lookup_weather tool.",
         {1844, 31064, 25, 392, 4827, 382, 290, 11122, 306, 40510, 16842, 1416, 1309, 316, 1199, 37342, 170154, 4584,
          13}},
        {" to=lookup_weather code", {316, 28, 29712, 170154, 3490}},
        {"{\"location\": \"Tokyo\"}", {10848, 7693, 1243, 392, 173844, 18583}},
    };
    for (const auto& [text, ids] : plain) EXPECT_EQ(o200k().encode(text), ids) << text;
    EXPECT_EQ(o200k().encode_with_special("<|start|>"), Ids{200006});
    EXPECT_EQ(o200k().encode_with_special("<|channel|>commentary to=functions.get_weather <|constrain|>json"),
              (Ids{200005, 12606, 815, 316, 28, 44580, 775, 170154, 220, 200003, 4108}));
}

TEST_F(TokenizerPeers, TheRankFileOfO200kGetsTheSpecialTokensOfHarmony) {
    const std::pair<int, const char*> specials[] = {
        {199998, "<|startoftext|>"},     {199999, "<|endoftext|>"},
        {200000, "<|reserved_200000|>"}, {200002, "<|return|>"},
        {200003, "<|constrain|>"},       {200005, "<|channel|>"},
        {200006, "<|start|>"},           {200007, "<|end|>"},
        {200008, "<|message|>"},         {200012, "<|call|>"},
        {200018, "<|endofprompt|>"},     {200019, "<|reserved_200019|>"},
        {201087, "<|reserved_201087|>"},
    };
    for (const auto& [id, name] : specials) {
        EXPECT_EQ(o200k().special(name), id) << name;
        EXPECT_EQ(o200k().bytes(id), name);
        EXPECT_TRUE(o200k().is_special(id));
    }
    EXPECT_EQ(o200k().special("<|reserved_200018|>"), 200018) << "a second name";
    EXPECT_EQ(o200k().special("<|reserved_201088|>"), std::nullopt);
    EXPECT_EQ(o200k().id_limit(), 201088);
    EXPECT_FALSE(o200k().is_special(199997));
    for (int id = 0; id < 201088; id++) ASSERT_FALSE(o200k().bytes(id).empty()) << id;
}

TEST_F(TokenizerPeers, EverySourceGivesTheSameIds) {
    TestVocab vocab;
    for (int id = 0; id < 199998; id++) vocab.tokens.emplace_back(o200k().bytes(id));
    for (int id = 199998; id < 201088; id++) vocab.specials.emplace_back(id, o200k().bytes(id));
    const Tokenizer from_json = open_bytes(tokenizer_json(vocab));
    const Tokenizer from_legacy = open_bytes(legacy_file(vocab));
    const Tokenizer from_serialized = Tokenizer::parse(o200k().serialize(), "model.bin");
    // One vocabulary writes one form, but only the rank file has the second name of 200018.
    EXPECT_EQ(from_serialized.serialize(), o200k().serialize());
    EXPECT_EQ(from_legacy.serialize(), from_json.serialize());

    for (const Tokenizer* tokenizer : {&from_json, &from_legacy, &from_serialized}) {
        for (int id = 0; id < 201088; id++) {
            ASSERT_EQ(tokenizer->bytes(id), o200k().bytes(id));
            ASSERT_EQ(tokenizer->is_special(id), o200k().is_special(id));
        }
        for (const Case& c : cases()) {
            if (c.group != "prose" && c.group != "special as text" && c.group != "case") continue;
            ASSERT_EQ(tokenizer->encode(c.text), c.ids) << c.group;
        }
    }
}

// On the real ranks, where merges are many and deep.
TEST_F(TokenizerPeers, HeapAndScanMergeAlike) {
    const MappedFile file(kRanks);
    const Vocabulary vocabulary = read_rank_file(file.view(), kRanks);
    for (const Case& c : cases()) {
        if (c.group != "prose" && c.group != "code" && c.group != "scripts") continue;
        const std::string_view piece = c.text.substr(0, 600);  // not cut at white space: longer merges
        Ids by_scan, by_heap;
        bpe_merge_scan(vocabulary.tokens, piece, by_scan);
        bpe_merge_heap(vocabulary.tokens, piece, by_heap);
        ASSERT_EQ(by_scan, by_heap) << piece;
    }
}

TEST_F(TokenizerPeers, ThreadsShareATokenizer) {
    std::vector<std::thread> threads;
    std::vector<int> n_wrong(4);
    for (int& n : n_wrong)
        threads.emplace_back([&n] {
            for (const Case& c : cases())
                if (c.group == "scripts" && o200k().encode(c.text) != c.ids) n++;
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(n_wrong, std::vector<int>(4));
}

}  // namespace
