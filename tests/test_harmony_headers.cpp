// test_harmony_headers.cpp: headers that models write and the format does not know, and whom their messages are for.
//
// The streams are those of public reports (llama.cpp, vLLM, harmony, gpt-oss) and their neighbours, in our own words.
#include <gtest/gtest.h>

#include "harmony.h"
#include "harmony_checks.h"

namespace {

const std::vector<std::string> kTools = {"f", "bash", "get_weather", "get", "lies_größe", "code", "user"};

// "reader: text", "reasoning: text", "call name: text", "nobody: text", one a line.
std::string reading(const std::string& stream, const std::vector<std::string>& tools = kTools) {
    static const Tokenizer tokenizer = byte_tokenizer();
    const ParsedStream parsed = parse_and_check(tokenizer, ids_of(stream), tools);
    EXPECT_EQ(parsed.fault, "") << stream;
    std::string out;
    for (const Message& message : parsed.messages) {
        if (!out.empty()) out += "\n";
        switch (audience_of(message)) {
            case Audience::kReader:
                out += "reader: ";
                break;
            case Audience::kReasoning:
                out += "reasoning: ";
                break;
            case Audience::kTool:
                out += "call " + called_tool(message) + ": ";
                break;
            case Audience::kNobody:
                out += "nobody: ";
                break;
        }
        out += message.content;
    }
    return out;
}

struct Case {
    const char* stream;
    const char* expected;
};

void check(const std::vector<Case>& cases, const std::vector<std::string>& tools = kTools) {
    for (const auto& [stream, expected] : cases) EXPECT_EQ(reading(stream, tools), expected) << stream;
}

}  // namespace

TEST(HarmonyHeaders, WhatStandsOnFinalIsTheAnswer) {
    check({
        {"<|channel|>final json<|message|>{}<|return|>", "reader: {}"},
        {"<|channel|>final <|constrain|>json<|message|>{}<|return|>", "reader: {}"},
        {"<|channel|>final<|constrain|>json<|message|>{}<|return|>", "reader: {}"},
        {"<|channel|>final json code<|message|>{}<|return|>", "reasoning: json code\nreader: {}"},
        {"<|channel|>final bash<|message|>{}<|return|>", "reader: {}"},
        {"<|channel|>final to=user<|message|>T<|return|>", "reader: T"},
        {"<|channel|>final to=functions.f<|message|>T<|return|>", "reader: T"},
        {" to=functions.f<|channel|>final<|message|>T<|return|>", "reader: T"},
        {" to=user<|channel|>final<|message|>T<|return|>", "reader: T"},
        {"<|channel|>Final<|message|>T<|return|>", "reader: T"},
        {"<|channel|>FINAL:<|message|>T<|return|>", "reader: T"},
        {"<|channel|>finaljson<|message|>{}<|return|>", "reader: {}"},
        {"<|channel|>analysis<|channel|>final<|message|>T<|return|>", "reader: T"},
    });
}

TEST(HarmonyHeaders, RecipientsThatCallNothing) {
    check({
        {"<|channel|>commentary to=user<|message|>T<|end|>", "reader: T"},
        {"<|channel|>commentary to=assistant<|message|>T<|end|>", "reader: T"},
        {"<|channel|>commentary to=all json<|message|>T<|end|>", "reader: T"},
        {"<|channel|>analysis to=user<|message|>T<|end|>", "reasoning: T"},
        {"<|channel|>analysis to=python code<|message|>print(1)<|call|>", "reasoning: print(1)"},
        {"<|channel|>commentary to=python<|message|>print(1)<|call|>", "reader: print(1)"},
        {"<|channel|>commentary to=functions<|message|>T<|call|>", "reader: T"},
        {"<|channel|>commentary to=functions.<|message|>T<|call|>", "reader: T"},
        {"<|channel|>commentary to=<|message|>T<|call|>", "reader: T"},
        {"<|channel|>commentary to=user to=functions.f<|message|>T<|call|>", "call f: T"},
        {"<|channel|>commentary to=functions.user<|message|>T<|call|>", "call user: T"},
    });
    check({{"<|channel|>commentary to=user<|message|>T<|end|>", "reader: T"}}, {});
}

TEST(HarmonyHeaders, ALoneWordIsAContentType) {
    check({
        {"<|channel|>analysis code<|message|>T<|end|>", "reasoning: T"},
        {"<|channel|>analysis bash<|message|>T<|end|>", "reasoning: T"},
        {"<|channel|>commentary analysis<|message|>T<|end|>", "reader: T"},
        {"<|channel|>commentary json<|message|>{}<|call|>", "reader: {}"},
        {"<|channel|>commentary code<|message|>x<|call|>", "reader: x"},  // although a tool is called so
        {"<|channel|>commentary to=functions.f commentary json<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary<|constrain|>to=functions.f json<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary <|constrain|>json to=functions.f<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary to=functions.f <|constrain|>to=functions.f<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary to=functions.f <|constrain|><|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary to=functions.f <|constrain|>xml<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary to=functions.f <|constrain|>json <|constrain|>json<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary to=functions.f <|constrain|>json json<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary to=functions.get weather<|message|>{}<|call|>", "call get: {}"},
    });
}

TEST(HarmonyHeaders, AHeaderLastsUntilItsMessage) {
    check({
        {" to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|>",
         "call f: {}"},
        {"<|channel|>commentary to=functions.f<|channel|>analysis <|constrain|>json<|message|>{}<|call|>",
         "call f: {}"},
        {" to=functions.f<|channel|>commentary<|channel|>commentary json<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary<|channel|>commentary to=functions.f<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary<|channel|>commentary<|channel|>commentary<|message|>T<|end|>", "reader: T"},
        {"<|channel|>commentary to=functions.f <|constrain|>json<|channel|>commentary<|message|>{}<|call|>",
         "call f: {}"},
        {"<|channel|><|channel|>analysis<|message|>T<|end|>", "reasoning: T"},
        {"<|start|>assistant<|channel|>analysis<|message|>T<|end|>", "reasoning: T"},
        {"<|start|><|start|>assistant<|start|>assistant<|channel|>analysis<|message|>T<|end|>", "reasoning: T"},
    });
}

TEST(HarmonyHeaders, RepeatedRecipients) {
    check({
        {" to=functions.f<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>commentary to=functions.f to=functions.f json<|message|>{}<|call|>", "call f: {}"},
        {" to=functions.f<|channel|>commentary functions.f json<|message|>{}<|call|>", "call f: {}"},
        {" to=functions.f<|channel|>commentary f json<|message|>{}<|call|>", "call f: {}"},
        {" to=functions.f<|channel|>commentary to=assistant json<|message|>{}<|call|>", "call f: {}"},
        {" to=functions.unknown<|channel|>commentary to=functions.f<|message|>{}<|call|>", "call f: {}"},
    });
    check(
        {{" to=functions.g<|channel|>commentary to=functions.g <|constrain|>json<|message|>{}<|call|>", "call g: {}"}},
        {});
}

TEST(HarmonyHeaders, GluedNamesAreMatchedWithTheTools) {
    for (const char* name :
         {"functions.get_weatherjson", "functions.get_weathercommentary", "functions.get_weather:1",
          "functions.get_weather,", "functions.get_weather<\\|channel|>commentary",
          "functions.get_weather<\\|constrain|>json", "\"functions.get_weather\"", "functions.functions.get_weather",
          "functions.get_weatherjsonjson", "functions.get_weather?", "get_weather", "get_weatherjson",
          "function.get_weather", "tools.get_weather", "functions.get_weather.", "functions.get_weather-1"})
        EXPECT_EQ(reading(std::string("<|channel|>commentary to=") + name + "<|message|>{}<|call|>"),
                  "call get_weather: {}")
            << name;
    check({
        {"<|channel|>bash<|channel|>commentary<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>bash<|channel|>commentary <|constrain|>json<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>functions.bash<|channel|>commentary json<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>commentary bash<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>commentary bash json<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>commentaryto=functions.bash<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>commentary to= functions.bash<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>commentary to:functions.bash<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>commentary to =functions.bash<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>commentary \"functions.bash\" json<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>commentary to=functions:bash<|message|>{}<|call|>", "call bash: {}"},
        {"<|channel|>commentary to=functions.lies_größejson<|message|>{}<|call|>", "call lies_größe: {}"},
        {"<|channel|>commentary to=functions.getjson<|message|>{}<|call|>", "call get: {}"},
    });
}

// Nothing tells where such a name ends, so it stays as it came.
TEST(HarmonyHeaders, NamesOfNoToolStayAsTheyCame) {
    check({
        {"<|channel|>commentary to=functions.get_weather2<|message|>{}<|call|>", "call get_weather2: {}"},
        {"<|channel|>commentary to=functions.getter<|message|>{}<|call|>", "call getter: {}"},
        {"<|channel|>commentary to=functions.get_weather_now<|message|>{}<|call|>", "call get_weather_now: {}"},
    });
    check(
        {
            {"<|channel|>commentary to=functions.get_weatherjson<|message|>{}<|call|>", "call get_weatherjson: {}"},
            {"<|channel|>bash<|channel|>commentary<|message|>T<|call|>", "reader: T"},
            {"<|channel|>commentary to=bash<|message|>T<|call|>", "reader: T"},
        },
        {});
    // The whole name comes first.
    EXPECT_EQ(reading("<|channel|>commentary to=functions.fjson<|message|>{}<|call|>", {"f", "fjson"}),
              "call fjson: {}");
    EXPECT_EQ(reading("<|channel|>commentary to=functions.f<|message|>{}<|call|>", {"functions.f"}),
              "call functions.f: {}");
}

TEST(HarmonyHeaders, OtherAuthorsCallNothing) {
    check({
        {"<|channel|>commentary to=functions.f<|message|>{}<|end|>"
         "<|start|>functions.f to=assistant<|channel|>commentary<|message|>R<|end|>",
         "call f: {}\nnobody: R"},
        {"<|channel|>final<|message|>A<|end|><|start|>user<|message|>Q<|end|>", "reader: A\nnobody: Q"},
        {"<|start|>user to=functions.f<|message|>Q<|end|>", "nobody: Q"},
        {"<|start|>system<|message|>Q<|end|><|start|>developer<|message|>Q<|end|>", "nobody: Q\nnobody: Q"},
        {"<|start|>bash<|message|>R<|end|><|start|>python<|message|>R<|end|><|start|>tool<|message|>R",
         "nobody: R\nnobody: R\nnobody: R"},
        {"<|start|>helper to=assistant<|message|>R<|end|>", "nobody: R"},
    });
}

TEST(HarmonyHeaders, AuthorsThatAreTheAssistantAfterAll) {
    check({
        {"<|start|>assistantassistant<|channel|>final<|message|>T<|return|>", "reader: T"},
        {"<|start|>assistantfinal<|message|>T<|return|>", "reader: T"},
        {"<|start|>assistantanalysis<|message|>T<|return|>", "reasoning: T"},
        {"<|start|>assistant analysis<|message|>T<|return|>", "reasoning: T"},
        {"<|start|>analysis<|message|>T<|return|>", "reasoning: T"},
        {"<|start|>assistantcommentary to=functions.f json<|message|>{}<|call|>", "call f: {}"},
        {"<|start|>Here<|message|>T<|return|>", "reader: T"},
    });
}

TEST(HarmonyHeaders, ChannelsWithSomethingAroundThem) {
    check({
        {"<|channel|>commentary?<|message|>T<|end|>", "reader: T"},
        {"<|channel|>commentary?commentary?<|message|>T<|end|>", "reader: T"},
        {"<|channel|>commentary 2?<|message|>T<|end|>", "reader: T"},
        {"<|channel|>––commentary<|message|>T<|end|>", "reader: T"},
        {"<|channel|>…analysis<|message|>T<|end|>", "reasoning: T"},
        {"<|channel|>Analysis<|message|>T<|end|>", "reasoning: T"},
        {"<|channel|>commentaryjson to=functions.f<|message|>{}<|call|>", "call f: {}"},
        {"<|channel|>?!<|message|>T<|end|>", "reader: T"},
        {"<|channel|>commentary to=assistant<|channel|>commentary?<|message|>T<|end|>", "reader: T"},
        {"<|channel|>?!<|end|><|start|>assistant<|channel|>analysis<|message|>T", "reader: ?!\nreasoning: T"},
        {"<|channel|>finally it is done<|return|>", "reader: finally it is done"},
        {"<|channel|>commentary2?<|message|>T<|end|>", "reader: T"},
        {"the final answer is<|message|> T<|return|>", "reader: the final answer is T"},
        {"<|message|>T<|return|>", "reader: T"},
        {"T<|return|>", "reader: T"},
    });
}

TEST(HarmonyHeaders, ProseInAHeaderSpoilsNoArguments) {
    check({
        {"<|channel|>commentary to=functions.f now let me call it <|constrain|>json<|message|>{}<|call|>",
         "reasoning: now let me call it \ncall f: {}"},
        {"<|channel|>final Here it is:<|message|>{}<|return|>", "reasoning: Here it is:\nreader: {}"},
        {"<|channel|>analysis use bash for it<|message|> now<|end|>", "reasoning: use bash for it now"},
        {"<|channel|>commentary let bash do it<|message|> now<|end|>", "reader: let bash do it now"},
        {"<|channel|>analysis I will look<|channel|>final<|message|>T<|return|>", "reasoning: I will look\nreader: T"},
        {"I will answer<|channel|>final<|message|>T<|return|>", "reader: I will answer\nreader: T"},
        {" to=functions.f<|channel|>commentary I will call<|channel|>commentary<|message|>{}<|call|>",
         "reasoning: I will call\ncall f: {}"},
    });
}

TEST(HarmonyHeaders, CallsWithoutTheMessageToken) {
    check({
        {"<|channel|>commentary to=functions.f <|constrain|>json{\"a\":1}<|call|>", "call f: {\"a\":1}"},
        {"<|channel|>commentary to=functions.f json {\"a\":1}<|return|>", "call f: {\"a\":1}"},
        {"<|channel|>commentary to=functions.f{\"a\":1}<|call|>", "call f: {\"a\":1}"},
        {"<|channel|>commentary to=functions.f<|call|>", "call f: "},
        {"<|channel|>commentary to=functions.f that is what I call<|end|>", "reader: that is what I call"},
        {"<|channel|>analysis to=functions.f<|end|>", ""},   // it was not to be
        {"<|channel|>commentary to=functions.get_wea", ""},  // cut within the name
        {"functions.f returns the weather.", "reader: functions.f returns the weather."},
    });
}
