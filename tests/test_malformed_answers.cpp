// test_malformed_answers.cpp: what the program makes of answers that break the chat format, from weights to output.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "subprocess.h"
#include "support/scripted_model.h"
#include "temp_folder.h"

namespace {

using Json = nlohmann::json;

constexpr const char* kTool = R"({"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}})";

// What getp answers to "Go.", with a tool "bash"; null and a failure if it does not.
Json getp_answer(const std::string& script, const std::string& messages = R"({"role": "user", "content": "Go."})") {
    const ScriptedModel model(script);
    const TempFolder folder;
    const std::string input =
        folder.write("in.jsonl", R"({"custom_id": "a", "body": {"tools": [)" + std::string(kTool) +
                                     R"(], "messages": [)" + messages + "]}}\n");
    const ProgramResult result =
        run_program({built("run"), model.path(), "-m", "getp", "-i", input, "-o", folder.path("out.jsonl")});
    EXPECT_EQ(result.code, 0) << result.err;
    const Json line = Json::parse(folder.read("out.jsonl"), nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || line["response"].is_null()) {
        ADD_FAILURE() << folder.read("out.jsonl");
        return {};
    }
    return line["response"]["body"]["choices"][0];
}

struct Calls {
    const char* name;
    std::string script;
    std::string arguments;
};

class MalformedCall : public testing::TestWithParam<Calls> {};

}  // namespace

TEST_P(MalformedCall, IsOneCallWithItsArgumentsAndNoText) {
    const Json choice = getp_answer(GetParam().script);
    ASSERT_TRUE(choice.contains("message"));
    const Json& message = choice["message"];
    EXPECT_EQ(choice["finish_reason"], "tool_calls");
    EXPECT_TRUE(message["content"].is_null()) << message;
    ASSERT_EQ(message["tool_calls"].size(), 1u) << message;
    EXPECT_EQ(message["tool_calls"][0]["function"]["name"], "bash");
    EXPECT_EQ(message["tool_calls"][0]["function"]["arguments"], GetParam().arguments);

    // The answer goes back into the conversation, and the next turn is answered.
    const std::string history = R"({"role": "user", "content": "Look."}, )" + message.dump() +
                                R"(, {"role": "tool", "tool_call_id": )" + message["tool_calls"][0]["id"].dump() +
                                R"(, "content": "x"}, {"role": "user", "content": "Go."})";
    EXPECT_EQ(getp_answer("<|channel|>final<|message|>Done.<|return|>", history)["message"]["content"], "Done.");
}

INSTANTIATE_TEST_SUITE_P(
    Headers, MalformedCall,
    testing::ValuesIn(std::vector<Calls>{
        {"ChannelTwice",
         " to=functions.bash<|channel|>commentary<|channel|>commentary json<|message|>{\"cmd\":\"ls\"}<|call|>",
         "{\"cmd\":\"ls\"}"},
        {"RecipientTwice",
         " to=functions.bash<|channel|>commentary to=functions.bash "
         "<|constrain|>json<|message|>{\"cmd\":\"ls\"}<|call|>",
         "{\"cmd\":\"ls\"}"},
        {"NameAsChannel", "<|channel|>bash<|channel|>commentary<|message|>{\"cmd\":\"ls\"}<|call|>",
         "{\"cmd\":\"ls\"}"},
        {"NameWithoutMessageToken", "<|channel|>commentary to=functions.bash<|call|>", ""},
    }),
    [](const auto& c) { return std::string(c.param.name); });

TEST(MalformedAnswer, WhatIsOnFinalIsTheAnswer) {
    const Json choice = getp_answer("<|channel|>final json<|message|>{\"a\":1}<|return|>");
    EXPECT_EQ(choice["message"]["content"], "{\"a\":1}");
    EXPECT_FALSE(choice["message"].contains("tool_calls"));
    EXPECT_EQ(choice["finish_reason"], "stop");
}

TEST(MalformedAnswer, AMadeUpQuestionIsNotInIt) {
    const Json choice = getp_answer(
        "<|channel|>final<|message|>Yes.<|end|><|start|>user<|message|>What is it?<|end|>"
        "<|start|>assistant<|channel|>analysis<|message|>No more.<|return|>");
    EXPECT_EQ(choice["message"]["content"], "Yes.");
    EXPECT_EQ(choice["message"]["reasoning_content"], "No more.");
}

TEST(MalformedAnswer, ScriptsByTheirUserMessages) {
    const ScriptedModel model(std::vector<Script>{{"Go.", "<|channel|>final<|message|>Gone.<|return|>"},
                                                  {"Stop.", "<|channel|>final<|message|>Here.<|return|>"}});
    EXPECT_EQ(run_program({built("run"), model.path(), "-i", "Go."}).out, "Gone.\n");
    EXPECT_EQ(run_program({built("run"), model.path(), "-i", "Stop."}).out, "Here.\n");
}
