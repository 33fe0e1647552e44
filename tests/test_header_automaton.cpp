// test_header_automaton.cpp: which headers can be drawn, walked id by id. A token is a byte, so every byte of a header
// is a decision.
#include <gtest/gtest.h>

#include <random>

#include "harmony_checks.h"

namespace {

const Tokenizer& bytes() {
    static const Tokenizer tokenizer = byte_tokenizer();
    return tokenizer;
}

bool allows(const HeaderAutomaton& headers, int id) {
    const auto allowed = headers.allowed();
    return !allowed || std::binary_search(allowed->begin(), allowed->end(), id);
}

// How many ids of the text can be drawn before one that cannot; "" if all can, else what is left.
std::string refused(HeaderAutomaton headers, const std::string& text) {
    const std::vector<int> ids = ids_of(text);
    for (size_t i = 0; i < ids.size(); i++) {
        if (!allows(headers, ids[i])) return marked({ids.begin() + int64_t(i), ids.end()});
        headers.feed(ids[i]);
    }
    return "";
}

HeaderAutomaton automaton(std::vector<std::string> tools = {}, bool must_call = false, bool may_reason = true) {
    return HeaderAutomaton(bytes(), {std::move(tools), must_call, may_reason});
}

const std::string kNext = "<|end|><|start|>assistant";
const std::string kThought = "<|channel|>analysis<|message|>Hm.";
const std::string kCallF = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}";

TEST(HeaderAutomaton, TakesWhatTheFormatSays) {
    const HeaderAutomaton headers = automaton({"f", "find"});
    for (const std::string& text : std::vector<std::string>{
             "<|channel|>final<|message|>Hello, <|channel|>",
             kThought + kNext + "<|channel|>final<|message|>x<|return|>", kThought + kNext + kCallF + "<|call|>",
             std::string(" to=functions.find<|channel|>commentary <|constrain|>json"
                         "<|message|>{}<|call|>"),
             kThought + kNext + "<|channel|>commentary<|message|>Wait." + kNext + kCallF})
        EXPECT_EQ(refused(headers, text), "") << text;
}

TEST(HeaderAutomaton, RefusesWhatModelsGetWrong) {
    const HeaderAutomaton headers = automaton({"f", "find"});
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"Hello", "Hello"},
        {"<|channel|>final json<|message|>", " json<|message|>"},
        {"<|channel|>analysis to=functions.f<|message|>", " to=functions.f<|message|>"},
        {"<|channel|>commentary<|channel|>commentary", "<|channel|>commentary"},
        {"<|channel|>commentary to=functions.g ", "g "},
        {"<|channel|>commentary to=functions.fin ", " "},
        {"<|channel|>commentary to=f ", " "},
        {"<|channel|>commentary to=functions.f json<|message|>", "json<|message|>"},
        {"<|channel|>commentary to=functions.f <|constrain|>yaml", "yaml"},
        {"<|channel|>reflection<|message|>", "reflection<|message|>"},
        {"<|message|>Hello", "<|message|>Hello"},
        {"<|return|>", "<|return|>"},
        {kThought + "<|end|><|start|>user", "user"},
        {kThought + "<|end|>Hello", "Hello"},
        {kThought + "<|end|><|channel|>final", "<|channel|>final"},
        {kThought + "<|end|><|return|>", "<|return|>"},
        {kThought + "<|channel|>thoughts<|message|>", "thoughts<|message|>"},
        {kThought + "<|start|>user<|message|>", "user<|message|>"},
    };
    for (const auto& [text, rest] : cases) EXPECT_EQ(refused(headers, text), rest) << text;
}

TEST(HeaderAutomaton, WithoutToolsThereAreNoCalls) {
    EXPECT_EQ(refused(automaton(), kCallF).substr(0, 3), " to");
    EXPECT_EQ(refused(automaton(), " to=functions.f").substr(0, 3), " to");
    EXPECT_EQ(refused(automaton(), "<|channel|>commentary<|message|>x"), "");
}

TEST(HeaderAutomaton, AfterAFinalMessageTheAnswerMayEnd) {
    const std::string answer = "<|channel|>final<|message|>Hello.";
    EXPECT_EQ(refused(automaton(), answer + "<|end|><|return|>" + "<|start|>assistant<|channel|>"), "");
    EXPECT_EQ(refused(automaton(), answer + kNext + kThought), "");
    EXPECT_EQ(refused(automaton(), answer + "<|end|>more"), "more");
}

TEST(HeaderAutomaton, ACallThatMustBe) {
    const HeaderAutomaton headers = automaton({"f"}, /*must_call=*/true);
    EXPECT_EQ(refused(headers, kThought + kNext + kCallF + "<|call|>"), "");
    EXPECT_EQ(refused(headers, kCallF + "<|call|>"), "");
    EXPECT_EQ(refused(headers, "<|channel|>final<|message|>"), "final<|message|>");
    EXPECT_EQ(refused(headers, "<|channel|>commentary<|message|>"), "<|message|>") << "no preamble";
    EXPECT_EQ(refused(headers, kThought + kNext + kThought), "analysis<|message|>Hm.") << "reasoning comes once";
    EXPECT_EQ(refused(headers, kThought + "<|channel|>final"), "final") << "nor without an end";
    EXPECT_EQ(refused(headers, kCallF + kNext + "<|channel|>final<|message|>x<|return|>"), "") << "after it, anything";
    const HeaderAutomaton at_once = automaton({"f"}, true, /*may_reason=*/false);
    EXPECT_EQ(refused(at_once, kThought), "analysis<|message|>Hm.");
    EXPECT_EQ(refused(at_once, kCallF), "");
}

TEST(HeaderAutomaton, NoEndBeforeACallThatMustBe) {
    const auto may_end = [](bool must_call, const std::string& text) {
        HeaderAutomaton headers = automaton({"f"}, must_call);
        for (const int id : ids_of(text)) headers.feed(id);
        return headers.may_end();
    };
    EXPECT_FALSE(may_end(true, "<|channel|>analysis<|message|>"));
    EXPECT_FALSE(may_end(true, kThought));
    EXPECT_TRUE(may_end(true, kThought + "<|end|>")) << "the header says what comes";
    EXPECT_TRUE(may_end(true, kThought + kNext + kCallF));
    EXPECT_TRUE(may_end(true, kThought + kNext + kCallF + kNext + kThought));
    EXPECT_TRUE(may_end(false, kThought));
}

TEST(HeaderAutomaton, NamesThatBeginAlikeAndOddNames) {
    const HeaderAutomaton headers = automaton({"a", "ab", "<b>", "\u00e4"});
    for (const char* name : {"a", "ab", "<b>", "\u00e4"}) {
        const std::string to = std::string(" to=functions.") + name;
        EXPECT_EQ(refused(headers, "<|channel|>commentary" + to + " <|constrain|>json<|message|>x"), "") << name;
        EXPECT_EQ(refused(headers, to + "<|channel|>commentary <|constrain|>json<|message|>x"), "") << name;
    }
}

// Whatever is drawn, the parser finds messages on the three channels, calls of the tools, and no more.
TEST(HeaderAutomaton, EveryDrawIsAnAnswerInTheFormat) {
    std::mt19937 random(5);
    const std::vector<std::string> tools = {"f", "find", "get_x"};
    const std::vector<int> specials = ids_of("<|channel|><|start|><|end|><|message|><|constrain|><|call|>");
    for (int round = 0; round < 300; round++) {
        const bool must_call = round % 3 == 0;
        HeaderAutomaton headers(bytes(), {tools, must_call, round % 2 == 0});
        std::vector<int> ids;
        for (int i = 0; i < 400; i++) {
            const auto allowed = headers.allowed();
            const auto pick = [&](const std::vector<int>& from) { return from[random() % from.size()]; };
            const int id = allowed ? pick(*allowed) : random() % 4 == 0 ? pick(specials) : int('A' + random() % 26);
            if (id == byte_special("<|return|>")) break;
            headers.feed(id);
            ids.push_back(id);
        }
        HarmonyParser parser(bytes(), tools);
        for (const int id : ids) parser.feed(id);
        parser.finish();
        bool called = false;
        for (size_t i = 0; i + 1 < parser.messages().size(); i++) {  // the last may be cut in its header
            const Message& message = parser.messages()[i];
            ASSERT_EQ(message.role, Role::kAssistant) << marked(ids);
            ASSERT_TRUE(message.channel == "analysis" || message.channel == "final" || message.channel == "commentary")
                << marked(ids);
            const Audience audience = audience_of(message);
            if (audience == Audience::kTool) {
                ASSERT_EQ(std::count(tools.begin(), tools.end(), called_tool(message)), 1) << marked(ids);
            }
            ASSERT_TRUE(called || !must_call || audience != Audience::kReader) << marked(ids);
            called |= audience == Audience::kTool;
        }
    }
}

}  // namespace
