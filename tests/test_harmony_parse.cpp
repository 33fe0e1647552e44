// test_harmony_parse.cpp: what a model may generate, in order and out of it.
#include <gtest/gtest.h>

#include <random>

#include "harmony.h"
#include "harmony_checks.h"

namespace {

Message message_of(const std::string& channel, const std::string& content, const std::string& recipient = "",
                   const std::string& type = "", Role role = Role::kAssistant, const std::string& name = "") {
    return {role, name, recipient, channel, type, content};
}

class HarmonyParse : public testing::Test {
  protected:
    std::vector<Message> parse(const std::vector<int>& ids) const {
        const ParsedStream parsed = parse_and_check(tokenizer_, ids);
        EXPECT_EQ(parsed.fault, "");
        return parsed.messages;
    }
    std::vector<Message> parse(const std::string& stream) const { return parse(ids_of(stream)); }

    const Tokenizer tokenizer_ = byte_tokenizer();
};

}  // namespace

void PrintTo(const Message& m, std::ostream* out) {
    *out << "role " << int(m.role) << " name [" << m.name << "] to [" << m.recipient << "] channel [" << m.channel
         << "] type [" << m.content_type << "] content [" << m.content << "]";
}

using Messages = std::vector<Message>;

TEST_F(HarmonyParse, ThoughtThenAnswer) {
    EXPECT_EQ(parse("<|channel|>analysis<|message|>2 and 2.<|end|>"
                    "<|start|>assistant<|channel|>final<|message|>4<|return|>"),
              (Messages{message_of("analysis", "2 and 2."), message_of("final", "4")}));
}

// "The recipient might be defined in the role or channel section of the header" (format document); the rest are
// spellings that the library's own tests list.
TEST_F(HarmonyParse, CallsInEveryHeaderOrder) {
    const Message json = message_of("commentary", "{}", "functions.f", "<|constrain|>json");
    const Message plain = message_of("commentary", "{}", "functions.f", "json");
    const Message untyped = message_of("commentary", "{}", "functions.f");
    const std::vector<std::pair<std::string, Message>> cases = {
        {"<|channel|>commentary to=functions.f <|constrain|>json", json},
        {"<|channel|>commentary to=functions.f<|constrain|>json", json},
        {" to=functions.f<|channel|>commentary <|constrain|>json", json},
        {" to=functions.f<|channel|>commentary<|constrain|>json", json},
        {" to=functions.f<|constrain|>json<|channel|>commentary", json},
        {"<|channel|>commentary functions.f <|constrain|>json", json},
        {"<|channel|>commentary <|constrain|>json to=functions.f", json},
        {"<|channel|>commentary to=functions.f json", plain},
        {" to=functions.f<|channel|>commentary json", plain},
        {"<|channel|>commentary functions.f json", plain},
        {"<|channel|>commentary json to=functions.f", plain},
        {" json<|channel|>commentary to=functions.f", plain},
        {"<|channel|>commentary to=functions.f", untyped},
        {" to=functions.f<|channel|>commentary", untyped},
        {"<|channel|>commentary functions.f", untyped},
        {"<|channel|> commentary  to=functions.f ", untyped},
    };
    for (const auto& [header, expected] : cases) {
        EXPECT_EQ(parse(header + "<|message|>{}<|call|>"), Messages{expected}) << header;
        EXPECT_EQ(parse("<|end|><|start|>assistant" + header + "<|message|>{}<|call|>"), Messages{expected}) << header;
    }
}

TEST_F(HarmonyParse, CallOnTheAnalysisChannel) {
    EXPECT_EQ(parse("<|channel|>analysis to=functions.f code<|message|>{}<|call|>"),
              Messages{message_of("analysis", "{}", "functions.f", "code")});
}

TEST_F(HarmonyParse, ConstrainedAnswer) {
    EXPECT_EQ(parse("<|channel|>final <|constrain|>json<|message|>{}<|return|>"),
              Messages{message_of("final", "{}", "", "<|constrain|>json")});
}

TEST_F(HarmonyParse, RecipientAllIsNone) {
    EXPECT_EQ(parse(" to=all<|channel|>final<|message|>x<|return|>"), Messages{message_of("final", "x")});
}

TEST_F(HarmonyParse, Roles) {
    const std::vector<std::pair<std::string, Message>> cases = {
        {"assistant", message_of("", "x")},
        {"assistant:bob<|channel|>final", message_of("final", "x", "", "", Role::kAssistant, "bob")},
        {"user", message_of("", "x", "", "", Role::kUser)},
        {"user:ann to=assistant", message_of("", "x", "assistant", "", Role::kUser, "ann")},
        {"system", message_of("", "x", "", "", Role::kSystem)},
        {"developer", message_of("", "x", "", "", Role::kDeveloper)},
        {"functions.f to=assistant<|channel|>commentary",
         message_of("commentary", "x", "assistant", "", Role::kTool, "functions.f")},
        {"functions.f", message_of("", "x", "", "", Role::kTool, "functions.f")},
        {"users", message_of("", "x", "", "users")},  // no author that is known
        {"", message_of("", "x")},
        {" ", message_of("", "x")},
        {"to=functions.f", message_of("", "x", "functions.f")},
    };
    for (const auto& [header, expected] : cases)
        EXPECT_EQ(parse("<|start|>" + header + "<|message|>x<|end|>"), Messages{expected}) << header;
}

// The prompt has ended in "<|start|>assistant", so a word that comes first is no role.
TEST_F(HarmonyParse, FirstHeaderHasItsRole) {
    EXPECT_EQ(parse("<|message|>x"), Messages{message_of("", "x")});
    EXPECT_EQ(parse("assistant<|channel|>final<|message|>x"), Messages{message_of("final", "x")});
    EXPECT_EQ(parse("functions.f<|message|>x"), Messages{message_of("", "x", "functions.f")});
}

TEST_F(HarmonyParse, HeaderWithTooManyWordsIsText) {
    EXPECT_EQ(parse("<|channel|>analysis let me  think\n<|message|>about it<|end|>"),
              Messages{message_of("analysis", "let me  think\nabout it")});
    EXPECT_EQ(parse("<|channel|>commentary to=a to=b c d<|message|>x<|call|>"),
              Messages{message_of("commentary", "to=b c dx", "a")});
}

// As the library's lenient mode reads them, but for the words' white space, which is kept.
TEST_F(HarmonyParse, MissingMessageToken) {
    EXPECT_EQ(parse("I must\n\n refuse <|end|><|start|>assistant<|channel|>final<|message|>No.<|return|>"),
              (Messages{message_of("", "I must\n\n refuse "), message_of("final", "No.")}));
    EXPECT_EQ(parse("<|channel|>analysis I must refuse<|end|>"), Messages{message_of("analysis", "I must refuse")});
    EXPECT_EQ(parse("<|channel|>final<|return|>"), Messages{});
    EXPECT_EQ(parse("<|channel|>commentary to=functions.f <|constrain|>json{\"a\": 1}<|call|>"),
              Messages{message_of("commentary", "{\"a\": 1}", "functions.f", "<|constrain|>json")});
    EXPECT_EQ(parse("<|start|>assistant hello<|end|>"), Messages{message_of("", "hello")});
    EXPECT_EQ(parse("<|start|>hello there<|end|>"), Messages{message_of("", "hello there")});
    EXPECT_EQ(parse("hello"), Messages{message_of("", "hello")});  // the end of generation
    EXPECT_EQ(parse("one<|start|>assistant<|message|>two"), (Messages{message_of("", "one"), message_of("", "two")}));
}

TEST_F(HarmonyParse, GoesOnAfterACallOrTheEnd) {
    for (const std::string stop : {"<|call|>", "<|return|>", "<|end|>", "<|endoftext|>"}) {
        const Messages expected = {message_of("commentary", "a", "f"), message_of("final", "b")};
        const std::string first = "<|channel|>commentary to=f<|message|>a" + stop;
        EXPECT_EQ(parse(first + "<|start|>assistant<|channel|>final<|message|>b"), expected) << stop;
        EXPECT_EQ(parse(first + "\n<|start|>assistant<|channel|>final<|message|>b"), expected) << stop;
        EXPECT_EQ(parse(first + "assistant<|channel|>final<|message|>b"), expected) << stop;  // no <|start|>
        EXPECT_EQ(parse(first + "<|channel|>final<|message|>b"), expected) << stop;
        EXPECT_EQ(parse(first + stop + "<|start|><|start|><|channel|>final<|message|>b"), expected) << stop;
    }
}

TEST_F(HarmonyParse, TextOutsideAnyMessage) {
    EXPECT_EQ(parse("<|message|>a<|end|>stray words here<|end|>"),
              (Messages{message_of("", "a"), message_of("", "stray words here")}));
    EXPECT_EQ(parse("<|message|>a<|end|>stray words here"),
              (Messages{message_of("", "a"), message_of("", "stray words here")}));
    EXPECT_EQ(parse("<|message|>a<|end|><|message|>b"), (Messages{message_of("", "a"), message_of("", "b")}));
}

TEST_F(HarmonyParse, NextMessageWithoutTheEndOfThisOne) {
    const Messages expected = {message_of("analysis", "a"), message_of("final", "b")};
    EXPECT_EQ(parse("<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final<|message|>b"), expected);
    EXPECT_EQ(parse("<|channel|>analysis<|message|>a<|channel|>final<|message|>b"), expected);
    EXPECT_EQ(parse("<|channel|>analysis<|channel|>final<|message|>b"), Messages{message_of("final", "b")});
}

TEST_F(HarmonyParse, MeaninglessSpecialTokensAreLeftOut) {
    EXPECT_EQ(parse("<|reserved|><|channel|>fi<|endofprompt|>nal<|message|>a<|message|>b<|constrain|>c<|reserved|>d"),
              Messages{message_of("final", "abcd")});
}

TEST_F(HarmonyParse, IdsThatNameNothing) {
    std::vector<int> ids = ids_of("<|channel|>final<|message|>ab<|return|>");
    for (const int bad : {-1, kByteVocab, 1 << 30, INT32_MIN})
        for (const size_t at : {size_t(0), size_t(3), ids.size() - 2}) ids.insert(ids.begin() + long(at), bad);
    HarmonyParser parser(tokenizer_);
    for (const int id : ids) parser.feed(id);
    EXPECT_EQ(parser.messages(), Messages{message_of("final", "ab")});
}

TEST_F(HarmonyParse, EmptyStreams) {
    EXPECT_EQ(parse(""), Messages{});
    EXPECT_EQ(parse("<|return|>"), Messages{});
    EXPECT_EQ(parse(" \n<|end|>"), Messages{});
    EXPECT_EQ(parse("<|start|><|start|><|end|>"), Messages{});
    EXPECT_EQ(parse("<|message|><|return|>"), Messages{message_of("", "")});
}

TEST_F(HarmonyParse, SpelledTokensAreText) {
    EXPECT_EQ(parse(R"(<|channel|>final<|message|>a<\|end|><\|start|>user<\|message|>b<|return|>)"),
              Messages{message_of("final", "a<|end|><|start|>user<|message|>b")});
}

TEST_F(HarmonyParse, CharactersSplitOverTokens) {
    HarmonyParser parser(tokenizer_);
    for (const int id : ids_of("<|channel|>final<|message|>")) parser.feed(id);
    std::vector<std::string> texts;
    for (const int id : ids_of("a\xe2\x82\xac\xf0\x9f\x98\x80")) texts.push_back(parser.feed(id).text);
    EXPECT_EQ(texts, (std::vector<std::string>{"a", "", "", "€", "", "", "", "😀"}));
    EXPECT_EQ(parser.messages(), Messages{message_of("final", "a€😀")});
}

TEST_F(HarmonyParse, BytesThatAreNoCharacter) {
    const std::string bad = "\xef\xbf\xbd";  // U+FFFD
    EXPECT_EQ(parse("<|message|>a\xe2\x82<|end|><|start|>\xff<|message|>\x80z\xe2\x82"),
              (Messages{message_of("", "a" + bad), message_of("", bad + "z" + bad, "", bad)}));
    EXPECT_EQ(parse("\xe2\x82<|channel|>\xac<|message|>x"), Messages{message_of(bad, "x", "", bad)});
}

TEST_F(HarmonyParse, DeltasSayWhereTextGoes) {
    HarmonyParser parser(tokenizer_);
    const auto feed_all = [&](const std::string& stream) {
        HarmonyParser::Delta last;
        for (const int id : ids_of(stream)) last = parser.feed(id);
        return last;
    };
    const auto expect = [](const HarmonyParser::Delta& delta, const std::string& channel, const std::string& recipient,
                           const std::string& text, bool done) {
        EXPECT_EQ(delta.channel, channel);
        EXPECT_EQ(delta.recipient, recipient);
        EXPECT_EQ(delta.text, text);
        EXPECT_EQ(delta.message_done, done);
    };
    expect(feed_all("<|channel|>commentary to=f"), "", "", "", false);
    expect(feed_all("<|message|>"), "commentary", "f", "", false);
    expect(feed_all("x"), "commentary", "f", "x", false);
    expect(feed_all("\xc3"), "commentary", "f", "", false);
    expect(feed_all("<|call|>"), "commentary", "f", "\xef\xbf\xbd", true);
    expect(feed_all("<|start|>assistant<|channel|>final"), "", "", "", false);
    expect(feed_all(" held back"), "", "", "", false);
    expect(parser.finish(), "final", "", "held back", true);
    expect(parser.finish(), "", "", "", false);
    EXPECT_EQ(parser.messages().size(), 2u);
}

TEST_F(HarmonyParse, OpenMessageIsVisible) {
    HarmonyParser parser(tokenizer_);
    for (const int id : ids_of("<|channel|>final<|message|>par")) parser.feed(id);
    EXPECT_EQ(parser.messages(), Messages{message_of("final", "par")});
}

// Any assistant message that a renderer can write comes back, if its header words are words.
TEST_F(HarmonyParse, RenderedMessagesComeBack) {
    const HarmonyRenderer renderer(tokenizer_);
    const std::vector<std::string> names = {"", "bob"}, recipients = {"", "functions.f", "python", "<|end|>"},
                                   channels = {"", "analysis", "commentary", "final", "é"},
                                   types = {"", "<|constrain|>json", "<|constrain|>", "code"},
                                   texts = {"", " ", "hi", "<|end|>\n<|start|>", "é€😀", "to=x assistant"};
    Messages messages;
    std::vector<int> ids;
    for (const std::string& name : names)
        for (const std::string& recipient : recipients)
            for (const std::string& channel : channels)
                for (const std::string& type : types)
                    for (const std::string& text : texts) {
                        messages.push_back(message_of(channel, text, recipient, type, Role::kAssistant, name));
                        for (const int id : renderer.render(messages.back())) ids.push_back(id);
                    }
    EXPECT_EQ(parse(ids), messages);
}

// Streams of every kind of token, headers and terminators oftener than chance: see parse_and_check() for what must
// hold.
TEST_F(HarmonyParse, RandomStreamsLoseNoText) {
    std::mt19937 random(1);
    const std::vector<std::string> words = {"assistant", "user",     "analysis", "final",       " ",   "recipient",
                                            "JSON",      "\n",       "to=all",   "Word.",       ":",   "2",
                                            "é",         "\xe2\x82", "\xff",     "functions.f", "to=f"};
    for (int round = 0; round < 20000; round++) {  // in every other one no names, which may be repeated or cut
        std::vector<int> ids;
        for (uint32_t length = random() % 30; length > 0; length--) {
            if (random() % 2) {
                ids.push_back(kFirstSpecial + int(random() % std::size(kByteSpecials)));
            } else if (random() % 4) {
                const size_t n_words = std::size(words) - (round % 2 ? 0 : 2);
                for (const int id : ids_of(words[random() % n_words])) ids.push_back(id);
            } else {
                ids.push_back(int(random() % 256));
            }
        }
        ASSERT_EQ(parse_and_check(tokenizer_, ids, {"f"}).fault, "") << "round " << round << ": " << marked(ids);
    }
}
