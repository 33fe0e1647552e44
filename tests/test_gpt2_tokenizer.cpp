// test_gpt2_tokenizer.cpp: GPT-2's tokenizer from llm.c's file, from vocab.json and merges.txt, from tokenizer.json.
#include <gtest/gtest.h>

#include <cstring>

#include "error.h"
#include "support/byte_tokenizer.h"
#include "support/json.h"
#include "support/random_gpt2.h"
#include "temp_folder.h"
#include "text_checks.h"

namespace {

constexpr int kVocab = 641;

// The same tokens in each form.
class Gpt2Tokenizer : public testing::Test {
  protected:
    Gpt2Tokenizer() {
        write_llmc_gpt2(folder.path(), {1, 1, 8, kVocab, 4}, DType::kBF16);
        nlohmann::ordered_json vocab;
        const std::vector<std::string> tokens = gpt2_test_tokens(kVocab);
        for (size_t i = 0; i < tokens.size(); i++) vocab[letters(tokens[i])] = i;
        vocab["<|endoftext|>"] = tokens.size();
        merges = "#version: 0.2\n";
        for (size_t i = 256; i < tokens.size(); i++) {
            // " the" is " t" and "he", "ing" is "in" and "g"; all others are two bytes.
            const size_t cut = tokens[i].size() == 2 ? 1 : 2;
            merges += letters(tokens[i].substr(0, cut)) + " " + letters(tokens[i].substr(cut)) + "\n";
        }
        write_pair(vocab.dump(), merges);
        const nlohmann::json json = {
            {"added_tokens", {{{"id", kVocab - 1}, {"content", "<|endoftext|>"}, {"special", true}}}},
            {"normalizer", nullptr},
            {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}}},
            {"model", {{"vocab", vocab}, {"merges", nlohmann::json::array()}}}};
        folder.write("tokenizer.json", json.dump());
    }
    static std::string letters(const std::string& bytes) {
        std::string text;
        for (const char c : bytes) text += byte_level_letter(static_cast<unsigned char>(c));
        return text;
    }
    void write_pair(const std::string& vocab, const std::string& pairs) {
        std::filesystem::create_directory(folder.path("pair"));
        folder.write("pair/vocab.json", vocab);
        folder.write("pair/merges.txt", pairs);
    }
    std::string error_for(const std::string& pairs) {
        folder.write("pair/merges.txt", pairs);
        return error_of([&] { Tokenizer::open(folder.path("pair")); });
    }
    TempFolder folder;
    std::string merges;
};

// Pieces by GPT-2's pattern, ids by hand: bytes come in the order of their letters ('!' is 0, the space 220, the
// newline 198), then " t" 256, "he" 257, " a" 258, "in" 259, " the" 260, "er" 261, " w" 262, "ing" 263, "00" 264,
// "01" 265, with 43 second letters to each first one.
TEST_F(Gpt2Tokenizer, EncodesByHandFromEveryForm) {
    const std::vector<std::pair<std::string, std::vector<int>>> cases = {
        {"", {}},
        {"!", {0}},
        {" the", {260}},
        {"the", {83, 257}},
        {"  the", {220, 260}},
        {"x\n\n a", {87, 198, 198, 258}},
        {"in a\n", {259, 258, 198}},
        {"winging", {86, 263, 263}},
        {"it's 12!", {72, 83, 6, 82, 220, 264 + 43 + 2, 0}},
        {"\xc3\xa9", {127, 102}},
    };
    for (const char* name : {"gpt2_tokenizer.bin", "pair", "pair/vocab.json", "pair/merges.txt", "tokenizer.json"}) {
        SCOPED_TRACE(name);
        const Tokenizer tokenizer = Tokenizer::open(folder.path(name));
        EXPECT_EQ(tokenizer.id_limit(), kVocab);
        EXPECT_EQ(tokenizer.special("<|endoftext|>"), kVocab - 1);
        for (const auto& [text, ids] : cases) {
            EXPECT_EQ(tokenizer.encode(text), ids) << text;
            EXPECT_EQ(tokenizer.decode(ids), text);
        }
        EXPECT_EQ(tokenizer.encode_with_special("a<|endoftext|>"), (std::vector<int>{64, kVocab - 1}));
    }
}

TEST_F(Gpt2Tokenizer, WrittenAsJsonItEncodesTheSame) {
    const Tokenizer first = Tokenizer::open(folder.path("gpt2_tokenizer.bin"));
    const Tokenizer again = Tokenizer::open(folder.write("again.json", first.to_json()));
    for (const char* text : {"the other winging AAAB 0123", "'S 's \t x  y", "caf\xc3\xa9\n"})
        EXPECT_EQ(again.encode(text), first.encode(text)) << text;
}

TEST_F(Gpt2Tokenizer, MergesInAnotherOrderAreRefused) {
    EXPECT_EQ(error_for(merges), "");
    const std::string head = "#version: 0.2\n";
    EXPECT_TRUE(has(error_for(head + "h e\n" + letters(" ") + " t\n"), {"merges.txt: line 3", "order", "256", "257"}));
    EXPECT_TRUE(has(error_for(head + "h e\nh e\n"), {"line 3", "order"}));
    EXPECT_TRUE(has(error_for(head + "h x\n"), {"line 2", "makes a token", "vocab.json"}));
    EXPECT_TRUE(has(error_for(head + "he\n"), {"line 2", "two tokens"}));
    EXPECT_TRUE(has(error_for(head + "h \xe2\n"), {"merges.txt", "UTF-8"}));
}

TEST_F(Gpt2Tokenizer, LlmcsHeaderAndLengthsAreChecked) {
    const std::string good = folder.read("gpt2_tokenizer.bin");
    const auto error_with = [&](int field, int32_t value) {
        std::string bytes = good;
        std::memcpy(bytes.data() + 4 * field, &value, sizeof value);
        const std::string path = folder.write("t.bin", bytes);
        return error_of([&] { Tokenizer::open(path); });
    };
    const auto error_for_bytes = [&](const std::string& bytes) {
        const std::string path = folder.write("t.bin", bytes);
        return error_of([&] { Tokenizer::open(path); });
    };
    EXPECT_TRUE(has(error_with(1, 3), {"version", "1 or 2", "found 3"}));
    EXPECT_TRUE(has(error_with(1, 1), {"vocab_size", "50257", "found 641"}));
    EXPECT_TRUE(has(error_with(2, 642), {"token 641", "the end of the file"}));
    EXPECT_TRUE(has(error_with(2, 640), {"eot_token", "found 640"}));
    EXPECT_TRUE(has(error_with(3, -1), {"eot_token", "found -1"}));
    EXPECT_TRUE(has(error_for_bytes(good + "x"), {"1 bytes more"}));
    EXPECT_TRUE(has(error_for_bytes(good.substr(0, good.size() - 1)), {"token 640", "the end of the file"}));
    EXPECT_TRUE(has(error_for_bytes(good.substr(0, 1000)), {"1024", "1000"}));
    std::string zero = good;
    zero[1024] = '\0';
    EXPECT_TRUE(has(error_for_bytes(zero), {"token 0", "a length of 0"}));
}

TEST_F(Gpt2Tokenizer, Version1HasOpenAisVocabulary) {
    write_llmc_gpt2(folder.path("big"), {1, 1, 8, 50257, 4}, DType::kBF16);
    std::string bytes = folder.read("big/gpt2_tokenizer.bin");
    const int32_t version = 1, none = 0;
    std::memcpy(bytes.data() + 4, &version, 4);
    std::memcpy(bytes.data() + 12, &none, 4);
    const Tokenizer tokenizer = Tokenizer::open(folder.write("v1.bin", bytes));
    EXPECT_EQ(tokenizer.special("<|endoftext|>"), 50256);
}

TEST_F(Gpt2Tokenizer, ForeignTokenizersAreRefusedByName) {
    const std::string path = folder.write("t.json", R"({"stoi_to_token": ["a", "b"], "merge_rank": []})");
    EXPECT_TRUE(has(error_of([&] { Tokenizer::open(path); }), {"HipGPT", "white space"}));
}

}  // namespace
