// test_tokenizer.cpp: what encode and decode promise, on vocabularies small enough to work out by hand.
#include <gtest/gtest.h>

#include <climits>
#include <map>
#include <random>

#include "base/utf8.h"
#include "support/tokenizer_vocab.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/pretokenize.h"
#include "text_checks.h"
#include "utf8_stream.h"

namespace {

using Ids = std::vector<int>;
using Pieces = std::vector<std::string>;

Tokenizer tokenizer_of(const TestVocab& vocab) {
    return open_bytes(tokenizer_json(vocab));
}

TokenTable table_of(const std::vector<std::string>& tokens) {
    TokenTable table;
    for (size_t id = 0; id < tokens.size(); id++) table.add(int(id), tokens[id]);
    return table;
}

// The rule as bpe.h has it, in the plainest way.
Ids merge_by_the_rule(const std::map<std::string, int>& ids, const std::string& piece) {
    Pieces parts;
    for (const char c : piece) parts.push_back({c});
    for (;;) {
        int best = -1, lowest = INT_MAX;
        for (int i = 0; i + 1 < int(parts.size()); i++) {
            const auto it = ids.find(parts[size_t(i)] + parts[size_t(i) + 1]);
            if (it != ids.end() && it->second < lowest) best = i, lowest = it->second;
        }
        if (best < 0) break;
        parts[size_t(best)] += parts[size_t(best) + 1];
        parts.erase(parts.begin() + best + 1);
    }
    Ids out;
    for (const std::string& part : parts) out.push_back(ids.at(part));
    return out;
}

TEST(Bpe, MergesTheLowestIdFirst) {
    EXPECT_EQ(tokenizer_of(byte_vocab({"bc", "ab"})).encode("abc"), (Ids{'a', 256}));
    EXPECT_EQ(tokenizer_of(byte_vocab({"ab", "bc"})).encode("abc"), (Ids{256, 'c'}));
}

TEST(Bpe, MergesTheLeftmostOfEqualPairs) {
    EXPECT_EQ(tokenizer_of(byte_vocab({"aa"})).encode("aaa"), (Ids{256, 'a'}));
    // "ab" + "a" and "a" + "ba" both make "aba": the leftmost pair that makes it is merged.
    EXPECT_EQ(tokenizer_of(byte_vocab({"ab", "ba", "aba"})).encode("xaba"), (Ids{'x', 258}));
}

TEST(Bpe, APieceThatIsATokenIsThatTokenEvenIfNoMergeLeadsThere) {
    const Tokenizer tokenizer = tokenizer_of(byte_vocab({"xyz"}));
    EXPECT_EQ(tokenizer.encode("xyz"), Ids{256});
    EXPECT_EQ(tokenizer.encode("xyzw"), (Ids{'x', 'y', 'z', 'w'}));
}

TEST(Bpe, ScanHeapAndRuleAgree) {
    std::mt19937 random(1);
    for (int round = 0; round < 200; round++) {
        // Tokens are made of earlier ones, or of letters with a gap that no merge closes; ids are in no useful order.
        std::vector<std::string> tokens = {"a", "b", "c", "d"};
        std::map<std::string, int> ids = {{"a", 0}, {"b", 1}, {"c", 2}, {"d", 3}};
        while (tokens.size() < 40) {
            std::string token = tokens[random() % tokens.size()] + tokens[random() % tokens.size()];
            if (random() % 8 == 0) token += "abcd"[random() % 4];
            if (ids.emplace(token, int(tokens.size())).second) tokens.push_back(token);
        }
        const TokenTable table = table_of(tokens);
        std::string piece;
        for (size_t n = 1 + random() % 150; n > 0; n--) piece += "abcd"[random() % (round % 3 + 2)];
        Ids by_scan, by_heap;
        bpe_merge_scan(table, piece, by_scan);
        bpe_merge_heap(table, piece, by_heap);
        ASSERT_EQ(by_scan, merge_by_the_rule(ids, piece)) << piece;
        ASSERT_EQ(by_heap, by_scan) << piece;
    }
}

TEST(TokenTable, FindsEachOfManyAndNothingElse) {
    TokenTable table;
    for (int id = 0; id < 5000; id++) table.add(3 * id, "token " + std::to_string(id));
    for (int id = 0; id < 5000; id++) {
        ASSERT_EQ(table.find("token " + std::to_string(id)), 3 * id);
        ASSERT_EQ(table.bytes(3 * id), "token " + std::to_string(id));
        ASSERT_EQ(table.bytes(3 * id + 1), "");
    }
    for (const char* absent : {"", "token", "token ", "token 5000", "token 12345678", "oken 1"})
        EXPECT_EQ(table.find(absent), -1) << absent;
    EXPECT_EQ(table.bytes(-1), "");
    EXPECT_EQ(table.bytes(1 << 30), "");
}

Pieces split(const std::string& text, const std::string& pattern = std::string(kO200kPattern)) {
    Pieces pieces;
    Pretokenizer(pattern, "file").split(text, [&](std::string_view piece) { pieces.emplace_back(piece); });
    return pieces;
}

// Worked out from the alternatives of the pattern, by their numbers in pretokenize.cpp's order.
TEST(Pretokenizer, O200kPieces) {
    const std::pair<const char*, Pieces> cases[] = {
        {"", {}},
        {"Hello world", {"Hello", " world"}},
        {"HELLOworld", {"HELLOworld"}},
        {"helloWorld", {"hello", "World"}},
        {"HTTPServer", {"HTTPServer"}},
        {"don't I'LL x'ſ", {"don't", " I'LL", " x'ſ"}},
        {"12345 6", {"123", "45", " ", "6"}},
        {"a  b", {"a", " ", " b"}},
        {"a   ", {"a", "   "}},
        {"a \n b", {"a", " \n", " b"}},
        {"a\r\n\r\nb", {"a", "\r\n\r\n", "b"}},
        {"a.\n//\nb", {"a", ".\n//\n", "b"}},
        {"(x) +y", {"(x", ")", " +", "y"}},
        {"\t\tif", {"\t", "\tif"}},
        {"中文 text", {"中文", " text"}},
        {"e\u0301A", {"e\u0301", "A"}},  // a mark is upper and lower case
        {"\u0301AB", {"\u0301", "AB"}},  // the pattern backtracks until a lower-case one is left
        {"\u00a0x\u2003\u2003y", {"\u00a0x", "\u2003", "\u2003y"}},
        {"٣٤٥٦", {"٣٤٥", "٦"}},
        {"!\u0085!", {"!", "\u0085", "!"}},  // U+0085 is white space
        {"!\ufeff!", {"!\ufeff!"}},          // U+FEFF is not
    };
    for (const auto& [text, pieces] : cases) EXPECT_EQ(split(text), pieces) << text;
}

// Characters that came after PCRE2 10.42's Unicode 14, and U+180E, which it takes for white space.
TEST(Pretokenizer, CategoriesOfUnicode16) {
    EXPECT_EQ(split("a\u1c89b"), (Pieces{"a", "\u1c89b"})) << "Lu of Unicode 16";
    EXPECT_EQ(split("A\u1c8aB"), (Pieces{"A\u1c8a", "B"})) << "Ll of Unicode 16";
    EXPECT_EQ(split("1\U00011f51"
                    "2\U00011f59"),
              (Pieces{"1\U00011f51"
                      "2",
                      "\U00011f59"}))
        << "Nd of Unicode 15";
    EXPECT_EQ(split("!!\U00031350"), (Pieces{"!!", "\U00031350"})) << "Lo of Unicode 15";
    EXPECT_EQ(split("!!\u0897"), (Pieces{"!!\u0897"})) << "Mn of Unicode 16";
    EXPECT_EQ(split("!\u180e!"), (Pieces{"!\u180e!"})) << "Cf since Unicode 6.3";
    std::string storage;
    const std::string plain = "plain text, 中文, \U0001f600";
    EXPECT_EQ(with_stand_ins(plain, storage).data(), plain.data()) << "no copy where none is needed";
    EXPECT_EQ(with_stand_ins("a\u0897\u1c89\U00011f51\U00031350z", storage).size(), 16u);
}

TEST(Pretokenizer, WhatThePatternLeavesOutIsAPieceToo) {
    EXPECT_EQ(split("..ab.c..", "[a-z]+"), (Pieces{"..", "ab", ".", "c", ".."}));
    EXPECT_EQ(split("abc", "x*"), (Pieces{"abc"})) << "an empty match is none";
    EXPECT_EQ(split("abc", "a\\Kb"), (Pieces{"a", "b", "c"})) << "a match that begins late";
}

// Each takes a backtracking pattern at least a step a character, and more than PCRE2's own limit of 10 million.
TEST(Pretokenizer, LongRunsAreOnePiece) {
    constexpr size_t kLength = 12'000'000;
    EXPECT_EQ(split(std::string(kLength, 'A')).size(), 1u);
    EXPECT_EQ(split(std::string(kLength, ' ') + "x"), (Pieces{std::string(kLength - 1, ' '), " x"}));
    EXPECT_EQ(split(std::string(kLength, 'A') + "\u0301").size(), 1u);
}

TEST(Pretokenizer, WithoutJitPiecesAreTheSame) {
    const std::string no_jit = "(*NO_JIT)" + std::string(kO200kPattern);
    const std::string text = "Don't HTTPServer 12345\r\n\t  x = \u0301Ab; //\n\n 中文'S \u1c89 !!\n";
    EXPECT_EQ(split(text, no_jit), split(text));
    EXPECT_EQ(split(std::string(11'000'000, 'A'), no_jit).size(), 1u);
}

TEST(Pretokenizer, PatternsThatCannotBeRun) {
    EXPECT_EQ(error_of([] { split("a", "[a-"); }),
              "file: pattern: at byte 3: missing terminating ] for character class");
    EXPECT_EQ(error_of([] { split(std::string(40, 'a') + "b", "(a+)+$"); }),
              "file: pattern: cannot split the text at byte 0: match limit exceeded");
}

const TestVocab kWithSpecials =
    byte_vocab({"<|"}, {{300, "<|a|>"}, {301, "<|a|><|b|>"}, {302, "<|b|>"}, {303, "é|"}, {302, "second"}});

TEST(Tokenizer, SpecialTokensAreMatchedOnlyWhereAllowed) {
    const Tokenizer tokenizer = tokenizer_of(kWithSpecials);
    EXPECT_EQ(tokenizer.encode("<|a|>"), (Ids{256, 'a', '|', '>'}));
    EXPECT_EQ(tokenizer.encode_with_special("<|a|>"), Ids{300});
    EXPECT_EQ(tokenizer.encode_with_special("x<|a|>y"), (Ids{'x', 300, 'y'}));
    EXPECT_EQ(tokenizer.encode_with_special("<|a|"), (Ids{256, 'a', '|'})) << "the name is cut off";
    EXPECT_EQ(tokenizer.encode_with_special("<<|a|>"), (Ids{'<', 300}));
    EXPECT_EQ(tokenizer.encode_with_special("<|a|><|b|>"), Ids{301}) << "the longest of those that begin first";
    EXPECT_EQ(tokenizer.encode_with_special("<|a|><|a|>"), (Ids{300, 300}));
    EXPECT_EQ(tokenizer.encode_with_special("é|é"), (Ids{303, 0xc3, 0xa9})) << "a name need not be ASCII";
    EXPECT_EQ(tokenizer.encode_with_special("seconds"), (Ids{302, 's'})) << "a second name";
    EXPECT_EQ(tokenizer.encode_with_special(""), Ids{});
}

TEST(Tokenizer, ASpecialTokenEndsTheTextBeforeIt) {
    // "  x" splits into " ", " x"; before a special token both spaces are one piece.
    const Tokenizer tokenizer = tokenizer_of(byte_vocab({"  "}, {{300, "<|a|>"}}));
    EXPECT_EQ(tokenizer.encode("  x"), (Ids{' ', ' ', 'x'}));
    EXPECT_EQ(tokenizer.encode_with_special("  <|a|>"), (Ids{256, 300}));
}

TEST(Tokenizer, IdsAndNames) {
    const Tokenizer tokenizer = tokenizer_of(kWithSpecials);
    EXPECT_EQ(tokenizer.special("<|a|>"), 300);
    EXPECT_EQ(tokenizer.special("second"), 302);
    EXPECT_EQ(tokenizer.special("<|"), std::nullopt) << "a plain token";
    EXPECT_EQ(tokenizer.special(""), std::nullopt);
    EXPECT_TRUE(tokenizer.is_special(302));
    for (const int id : {-1, 0, 256, 257, 299, 304, INT_MAX, INT_MIN}) EXPECT_FALSE(tokenizer.is_special(id)) << id;
    EXPECT_EQ(tokenizer.bytes(256), "<|");
    EXPECT_EQ(tokenizer.bytes(0), std::string_view("\0", 1));
    EXPECT_EQ(tokenizer.bytes(302), "<|b|>") << "the first of two names";
    for (const int id : {-1, 257, 299, 304, INT_MAX, INT_MIN}) EXPECT_EQ(tokenizer.bytes(id), "") << id;
    EXPECT_EQ(tokenizer.id_limit(), 304);
    EXPECT_EQ(tokenizer.decode({'x', 300, 999, 0xc3, 0xa9}), "x<|a|>é");
}

TEST(Tokenizer, DecodeUndoesEncode) {
    const Tokenizer tokenizer = tokenizer_of(kWithSpecials);
    std::mt19937 random(2);
    for (int round = 0; round < 300; round++) {
        std::string text;
        for (size_t n = random() % 100; n > 0; n--) {
            const uint32_t limits[] = {0x80, 0x800, 0x10000, 0x110000};
            const uint32_t c = random() % limits[random() % 4];
            append_utf8(text, c >= 0xd800 && c < 0xe000 ? ' ' : c);
            if (random() % 10 == 0) text += kWithSpecials.specials[random() % kWithSpecials.specials.size()].second;
        }
        ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
        // "second" has an id whose text is its first name.
        if (text.find("second") != std::string::npos) continue;
        ASSERT_EQ(tokenizer.decode(tokenizer.encode_with_special(text)), text);
    }
}

TEST(Tokenizer, TextThatIsNotUtf8) {
    const Tokenizer tokenizer = tokenizer_of(byte_vocab());
    const std::pair<const char*, const char*> cases[] = {
        {"abc\xff", "text: expected UTF-8, found byte 0xff at offset 3"},
        {"a\xc3", "text: expected UTF-8, found byte 0xc3 at offset 1"},
        {"\xed\xa0\x80", "text: expected UTF-8, found byte 0xed at offset 0"},  // a surrogate
        {"é\xc0\x80", "text: expected UTF-8, found byte 0xc0 at offset 2"},     // an overlong NUL
        {"\xf4\x90\x80\x80", "text: expected UTF-8, found byte 0xf4 at offset 0"},
    };
    for (const auto& [text, error] : cases) {
        EXPECT_EQ(error_of([&, t = text] { tokenizer.encode(t); }), error);
        EXPECT_EQ(error_of([&, t = text] { tokenizer.encode_with_special(t); }), error);
    }
    EXPECT_EQ(tokenizer.encode(std::string_view("\0a", 2)), (Ids{0, 'a'})) << "NUL is a character as any other";
}

// What feed() gives for each portion, then what finish() gives.
Pieces stream(const std::vector<std::string>& portions) {
    Utf8Stream stream;
    Pieces out;
    for (const std::string& portion : portions) out.push_back(stream.feed(portion));
    out.push_back(stream.finish());
    return out;
}

TEST(Utf8Stream, HoldsBackUnfinishedCharacters) {
    EXPECT_EQ(stream({"abc"}), (Pieces{"abc", ""}));
    EXPECT_EQ(stream({"a\xc3", "\xa9z"}), (Pieces{"a", "éz", ""}));
    EXPECT_EQ(stream({"\xf0", "\x9f", "\x98", "\x80"}), (Pieces{"", "", "", "😀", ""}));
    EXPECT_EQ(stream({"", "é", ""}), (Pieces{"", "é", "", ""}));
}

TEST(Utf8Stream, BytesThatAreNoCharacterBecomeReplacements) {
    EXPECT_EQ(stream({"\xff", "a"}), (Pieces{"\ufffd", "a", ""}));
    EXPECT_EQ(stream({"\xc3", "a"}), (Pieces{"",
                                             "\ufffd"
                                             "a",
                                             ""}))
        << "what follows is kept";
    EXPECT_EQ(stream({"\xe4\xb8", "\xe4\xb8\xad"}), (Pieces{"", "\ufffd中", ""})) << "one for a cut character";
    EXPECT_EQ(stream({"a\xf0\x9f\x98"}), (Pieces{"a", "\ufffd"})) << "cut at the end";
    EXPECT_EQ(stream({"\xed\xa0\x80"}), (Pieces{"\ufffd\ufffd\ufffd", ""})) << "a surrogate";
}

TEST(Utf8Stream, IsEmptyAgainAfterFinish) {
    Utf8Stream stream;
    EXPECT_EQ(stream.feed("\xc3"), "");
    EXPECT_EQ(stream.finish(), "\ufffd");
    EXPECT_EQ(stream.finish(), "");
    EXPECT_EQ(stream.feed("\xa9"), "\ufffd");
}

}  // namespace
