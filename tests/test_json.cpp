// test_json.cpp: the reader of JSON from outside. What is JSON is RFC 8259's grammar, judged by nlohmann-json, an
// independent parser.
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "base/json_fields.h"
#include "support/json.h"
#include "text_checks.h"

namespace {

std::string parse_error(const std::string& text, int max_depth = kMaxJsonDepth) {
    return error_of([&] { parse_json(std::string_view(text), "f", max_depth); });
}

// A value rebuilt through the reader's own functions, to be compared with the peer's.
nlohmann::ordered_json rebuilt(const Json& value) {
    if (value.is_null()) return nullptr;
    if (value.is_boolean()) return value.boolean();
    if (value.is_string()) return value.string();
    if (value.is_number()) return value.number();
    nlohmann::ordered_json all = value.is_array() ? nlohmann::ordered_json::array() : nlohmann::ordered_json::object();
    if (value.is_array())
        for (const Json& element : value) all.push_back(rebuilt(element));
    else
        value.each_member([&](const std::string& key, const Json& member) { all[key] = rebuilt(member); });
    EXPECT_EQ(value.size() == 0, value.empty());
    return all;
}

const char* const kValues[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "12",
    "-3.25",
    "1e3",
    "1E+2",
    "2.5e-3",
    "1e-999",
    "123456789012345678901234567890",
    R"("")",
    R"("a")",
    R"("\"\\\/\b\f\n\r\t")",
    R"("\u0041\u00e4\u20ac\ud83d\ude00\u0000")",
    "\"\u00e4\u20ac\U0001F600\"",
    "[]",
    "[ ]",
    "[1]",
    "[1,2 , 3]",
    "[[],[[]],{}]",
    "{}",
    "{ }",
    R"({"a":1})",
    R"({"a" : [1, {"b": "]}\""}] , "c":null})",
    " \t\r\n[ 1\n,\t2 ] \n",
    "\xef\xbb\xbf{\"a\":1}",
    R"({"":{"":[""]}})",
    R"(["\\","\"",",","]"])",
    R"({"a\u0062":1})",
};
const char* const kNoValues[] = {
    "",
    " ",
    "nul",
    "nulll",
    "True",
    "NaN",
    "Infinity",
    "-",
    "+1",
    "01",
    "1.",
    ".5",
    "1e",
    "1e+",
    "0x10",
    "1 2",
    "--1",
    "\"",
    "\"a",
    "\"\\\"",
    R"("\x")",
    R"("\u12")",
    R"("\u12g4")",
    R"("\ud800")",
    R"("\ud800\u0041")",
    R"("\udc00")",
    R"("\ud800\ud800")",
    "\"\n\"",
    "\"\t\"",
    "\"\x01\"",
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "]",
    "[1}",
    "{",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{a:1}",
    "{1:1}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{,}",
    "{\"a\":1 \"b\":2}",
    "'a'",
    "[1] // no",
    "/* */ 1",
    "\xef\xbb",
    "1\xef\xbb\xbf",
    "[1]]",
    "\v1",
    "\"\xff\"",
    "\"\xc3\"",
    "\"\xed\xa0\x80\"",
    "\"\xc0\x80\"",
    "\"\xf5\x80\x80\x80\"",
    "1e999",
    "-1e400",
    "[\"a\",\n4\n,1,",
};

TEST(Json, ValuesAreThePeersValues) {
    for (const std::string text : kValues) {
        ASSERT_EQ(parse_error(text), "") << text;
        EXPECT_EQ(rebuilt(parse_json(text.c_str(), "f")), ordered_json_of(text)) << text;
    }
}

TEST(Json, WhatThePeerRefusesIsRefusedInOneLineWithTheByte) {
    for (const std::string text : kNoValues) {
        EXPECT_FALSE(nlohmann::json::accept(text)) << text;
        const std::string message = parse_error(text);
        EXPECT_EQ(message.substr(0, 23), "f: expected JSON, found") << text;
        EXPECT_NE(message.find("at byte "), std::string::npos) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos);
    }
    EXPECT_EQ(parse_error("{\"a\": }"), "f: expected JSON, found something else at byte 7");
    EXPECT_EQ(parse_error("[1, 2"), "f: expected JSON, found the end of the text at byte 6");
}

TEST(Json, DamagedTextIsJudgedAsThePeerJudgesIt) {
    // Every valid text with every byte replaced, removed or doubled: both parsers agree on each.
    const std::string replacements = "{}[]\",:\\u0-1e.tn \x01\x80\xff";
    for (const std::string text : kValues)
        for (size_t i = 0; i < text.size(); i++) {
            std::vector<std::string> damaged = {std::string(text).erase(i, 1), std::string(text).insert(i, 1, text[i]),
                                                text.substr(0, i)};
            for (const char c : replacements) damaged.push_back(std::string(text).replace(i, 1, 1, c));
            for (const std::string& t : damaged) {
                if (t.substr(0, 2) == "\xef\xbb" && t.substr(0, 3) != "\xef\xbb\xbf")
                    continue;  // a cut byte order mark
                ASSERT_EQ(parse_error(t) == "", nlohmann::json::accept(t)) << t;
                if (parse_error(t) != "") continue;
                ASSERT_EQ(rebuilt(parse_json(std::string_view(t), "f")), ordered_json_of(t)) << t;
            }
        }
}

TEST(Json, DepthIsLimited) {
    const auto nested = [](int n) { return std::string(size_t(n), '[') + std::string(size_t(n), ']'); };
    EXPECT_EQ(parse_error(nested(3), 3), "");
    EXPECT_EQ(parse_error(nested(4), 3), "f: expected JSON nested at most 3 levels deep, found more at byte 4");
    EXPECT_EQ(parse_error(nested(kMaxJsonDepth)), "");
    EXPECT_NE(parse_error(nested(kMaxJsonDepth + 1)), "");
    EXPECT_NE(parse_error(std::string(10000000, '[')), "") << "and no stack overflows";
}

TEST(Json, WholeNumbersHoweverTheyAreWritten) {
    const auto integer = [](const char* text) { return parse_json(text, "f").integer(); };
    EXPECT_EQ(integer("64"), 64);
    EXPECT_EQ(integer("64.0"), 64);
    EXPECT_EQ(integer("6.4e1"), 64);
    EXPECT_EQ(integer("-0.0"), 0);
    EXPECT_EQ(integer("9223372036854775807"), INT64_MAX);
    EXPECT_EQ(integer("-9223372036854775808"), INT64_MIN);
    EXPECT_EQ(integer("9007199254740993"), 9007199254740993) << "no double holds it";
    for (const char* none : {"64.5", "9223372036854775808", "1e19", "1e16", "0.1"})
        EXPECT_EQ(integer(none), std::nullopt);
    EXPECT_EQ(parse_json("1e-999", "f").number(), 0);
    EXPECT_EQ(parse_json(("0." + std::string(400, '0') + "1").c_str(), "f").number(), 0);
    EXPECT_NE(parse_error(std::string(400, '9')), "") << "too large without an exponent";
}

TEST(Json, ShownInOneShortLine) {
    const auto show = [](const std::string& text) { return shown(parse_json(std::string_view(text), "f")); };
    EXPECT_EQ(show("[]"), "[]");
    EXPECT_EQ(show("[1,\n2]"), "an array of 2");
    EXPECT_EQ(show("{}"), "{}");
    EXPECT_EQ(show("{\"a\":\n1}"), "an object");
    EXPECT_EQ(show("-1.50"), "-1.50");
    EXPECT_EQ(show("\"a\\n\""), "\"a\\n\"");
    EXPECT_LT(show("\"" + std::string(1000, 'x') + "\"").size(), 80u);
    std::string umlauts;
    for (int i = 0; i < 100; i++) umlauts += "\u00e4";
    EXPECT_EQ(show("\"" + umlauts + "\"").find('\xc3' + std::string("\"")), std::string::npos) << "cut in a character";
    EXPECT_EQ(shown(std::string_view("a\n\"\\")), "\"a\\u000a\\\"\\\\\"");
}

TEST(JsonFields, KeysStandOnceHoweverTheyAreEscaped) {
    const auto fields_error = [](const char* text) {
        return error_of([&] { JsonFields(parse_json(text, "f"), "f", ": "); });
    };
    EXPECT_EQ(fields_error(R"({"a": 1, "b": 1})"), "");
    EXPECT_EQ(fields_error(R"({"a": 1, "b": 1, "a": 1})"), "f: expected each key once, found \"a\" twice");
    EXPECT_EQ(fields_error(R"({"a": 1, "\u0061": 1})"), "f: expected each key once, found \"a\" twice");
    EXPECT_EQ(fields_error("[1]"), "f: expected an object, found an array of 1");
    const JsonFields fields(parse_json(R"({"te\u006dperature": 0.5, "n": null, "o": {"x": 1}})", "f"), "f", ": ");
    EXPECT_EQ(fields.number("temperature", 0, 1), 0.5);
    EXPECT_FALSE(fields.has("n")) << "null is absent";
    EXPECT_EQ(fields.object("o").path("x"), "f: o.x");
    EXPECT_EQ(error_of([&] { fields.integer("n", 1, 2); }), "f: n: expected an integer from 1 to 2, found nothing");
}

}  // namespace
