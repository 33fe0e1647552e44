// text_checks.h: what a test asks of text, errors first.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "error.h"

// The Error that `call` throws; "" if it throws none. It must be one line.
template <class Call>
std::string error_of(Call call) {
    try {
        call();
    } catch (const Error& e) {
        EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
        return e.what();
    }
    return "";
}

// `text` holds all of `words`.
inline testing::AssertionResult has(const std::string& text, const std::vector<std::string>& words) {
    for (const std::string& word : words)
        if (text.find(word) == std::string::npos)
            return testing::AssertionFailure()
                   << "expected \"" << word << "\" in: " << (text.empty() ? "no error" : text);
    return testing::AssertionSuccess();
}

inline int n_lines(const std::string& text) {
    return int(std::count(text.begin(), text.end(), '\n'));
}
