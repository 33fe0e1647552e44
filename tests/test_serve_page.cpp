// test_serve_page.cpp: the web page as it is compiled into the program. What it does is tried by tests/page/, in a
// browser.
#include <gtest/gtest.h>

#include <string>

#include "serve/page.h"

namespace {

int count(std::string_view text, std::string_view word) {
    int n = 0;
    for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) n++;
    return n;
}

TEST(ServePage, IsOneSmallDocument) {
    EXPECT_EQ(page().substr(0, 15), "<!DOCTYPE html>");
    EXPECT_EQ(count(page(), "</html>"), 1);
    EXPECT_EQ(count(page(), "</script>"), 1) << "a script of the page holds the end of a script";
    EXPECT_EQ(count(page(), "@SCRIPT@") + count(page(), "@STYLE@"), 0);
    EXPECT_LE(page().size(), 60u * 1024);
}

TEST(ServePage, LoadsNothing) {
    for (const char* word : {" src=", "@import", "url(", "import(", "<iframe", "<object", "<embed"})
        EXPECT_EQ(count(page(), word), 0) << word;
    EXPECT_EQ(count(page(), "<link"), count(page(), "<link rel=\"icon\" href=\"data:"));
}

TEST(ServePage, MakesNoMarkupOfStrings) {
    for (const char* word : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(",
                             "DOMParser", "createContextualFragment", "setHTML"})
        EXPECT_EQ(count(page(), word), 0) << word;
}

TEST(ServePage, PolicyAllowsOnlyWhatThePageIsMadeOf) {
    const std::string policy = page_headers().at(0).second;
    EXPECT_EQ(page_headers().at(0).first, "Content-Security-Policy");
    EXPECT_EQ(policy.find("default-src 'none'; script-src 'sha256-"), 0u) << policy;
    EXPECT_EQ(count(policy, "unsafe"), 0) << policy;
    EXPECT_EQ(count(policy, "'sha256-"), 2) << policy;
    EXPECT_EQ(policy.find_first_of("\r\n*"), std::string::npos) << policy;
    for (const char* part : {"connect-src 'self';", "base-uri 'none';", "form-action 'none';",
                             "frame-ancestors 'none';", "require-trusted-types-for 'script'"})
        EXPECT_EQ(count(policy, part), 1) << part << " in " << policy;
}

}  // namespace
