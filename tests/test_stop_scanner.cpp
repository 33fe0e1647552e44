// test_stop_scanner.cpp: stop strings in text that comes in any pieces.
#include <gtest/gtest.h>

#include "requests/stop_scanner.h"

namespace {

std::string until_stop(const std::vector<std::string>& stops, const std::vector<std::string>& pieces, bool found) {
    StopScanner scanner(stops);
    bool last = false;
    for (const std::string& piece : pieces) last = scanner.feed(piece);
    EXPECT_EQ(last, found);
    EXPECT_EQ(scanner.found(), found);
    return scanner.text();
}

TEST(StopScanner, WhereverTheStopStringIs) {
    EXPECT_EQ(until_stop({}, {"abc", "def"}, false), "abcdef");
    EXPECT_EQ(until_stop({"xy"}, {"abc", "x", "x"}, false), "abcxx");
    EXPECT_EQ(until_stop({"cd"}, {"abcdef"}, true), "ab") << "within a piece";
    EXPECT_EQ(until_stop({"cd"}, {"abc", "def"}, true), "ab") << "across two";
    EXPECT_EQ(until_stop({"bcde"}, {"a", "b", "c", "d", "e"}, true), "a") << "across five";
    EXPECT_EQ(until_stop({"ef"}, {"abcd", "ef"}, true), "abcd") << "at the very end";
    EXPECT_EQ(until_stop({"ab"}, {"ab"}, true), "") << "at the very beginning";
    EXPECT_EQ(until_stop({"aab"}, {"aa", "aab"}, true), "aa") << "after a false start";
    EXPECT_EQ(until_stop({"b"}, {"ab", "cb"}, true), "a") << "what follows is dropped";
    EXPECT_EQ(until_stop({"x"}, {"", "", "x"}, true), "");
}

TEST(StopScanner, OfTwoTheFirstToBeComplete) {
    EXPECT_EQ(until_stop({"de", "bc"}, {"abcdef"}, true), "a");
    EXPECT_EQ(until_stop({"abcdef", "c"}, {"xabcdef"}, true), "xab") << "complete first, though begun later";
    EXPECT_EQ(until_stop({"c", "abc"}, {"xabc"}, true), "x") << "complete at the same byte: the longer";
}

TEST(StopScanner, CuttingTheTextDifferentlyChangesNothing) {
    const std::string text = "the cat sat on the mat, that is that";
    const std::vector<std::string> stops = {"that is", "mat, that", "zebra"};
    for (size_t n = 1; n <= text.size(); n++) {
        std::vector<std::string> pieces;
        for (size_t i = 0; i < text.size(); i += n) pieces.push_back(text.substr(i, n));
        EXPECT_EQ(until_stop(stops, pieces, true), "the cat sat on the ") << "pieces of " << n;
    }
}

}  // namespace
