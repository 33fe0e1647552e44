// test_malformed_answers.cpp: what the program makes of answers that break the chat format, from weights to output.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "harmony.h"
#include "subprocess.h"
#include "support/json.h"
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

TEST(MalformedAnswer, GenerateShowsWhatIsNotReasoning) {
    const ScriptedModel model(std::vector<Script>{
        {"Go.", "<|message|>The answer is 933.<|return|>"},
        {"Run.", "<|channel|>Final<|message|>The sum is 12.<|return|>"},
        {"Stop.", "No channels here.<|return|>"},
        {"Sing.",
         "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>Let me look."
         "<|end|><|start|>assistant to=functions.bash<|channel|>commentary<|message|>{}<|call|>"},
    });
    const auto says = [&](const std::string& user) {
        const ProgramResult result = run_program({built("run"), model.path(), "--no-reasoning", "-i", user});
        EXPECT_EQ(result.code, 0) << result.err;
        return result.out;
    };
    EXPECT_EQ(says("Go."), "The answer is 933.\n");
    EXPECT_EQ(says("Run."), "The sum is 12.\n");
    EXPECT_EQ(says("Stop."), "No channels here.\n");
    EXPECT_EQ(says("Sing."), "Let me look.\n");
}

// The second prompt holds the first turn's answer, and not the question that the model put into the user's mouth.
TEST(MalformedAnswer, ChatForgetsAMadeUpQuestion) {
    const ScriptedModel model("<|channel|>final<|message|>Yes.<|end|><|start|>user<|message|>What is it?<|return|>");
    const ProgramResult result =
        run_program({built("run"), model.path(), "-m", "chat", "--no-prefix-cache"}, "Go.\nGo.\n");
    EXPECT_EQ(result.out, "Yes.\nYes.\n");

    std::vector<int> prompts;
    const std::string word = "prefill: ";
    for (size_t at = result.err.find(word); at != std::string::npos; at = result.err.find(word, at + 1))
        prompts.push_back(std::stoi(result.err.substr(at + word.size())));
    const Tokenizer tokenizer = Tokenizer::open("demo/tokenizer.json");
    const size_t added = HarmonyRenderer(tokenizer).render({Role::kAssistant, "", "", "final", "", "Yes."}).size() +
                         HarmonyRenderer(tokenizer).render({Role::kUser, "", "", "", "", "Go."}).size();
    ASSERT_EQ(prompts.size(), 2u) << result.err;
    EXPECT_EQ(prompts[1] - prompts[0], int(added));
}

TEST(MalformedAnswer, ScriptsByTheirUserMessages) {
    const ScriptedModel model(std::vector<Script>{{"Go.", "<|channel|>final<|message|>Gone.<|return|>"},
                                                  {"Stop.", "<|channel|>final<|message|>Here.<|return|>"}});
    EXPECT_EQ(run_program({built("run"), model.path(), "-i", "Go."}).out, "Gone.\n");
    EXPECT_EQ(run_program({built("run"), model.path(), "-i", "Stop."}).out, "Here.\n");
}

// Whether every id can be drawn where headers are held to the format; `ids` is an answer.
bool keeps_to_the_format(const std::vector<int>& ids, const HeaderRules& rules) {
    static const Tokenizer tokenizer = Tokenizer::open("demo/tokenizer.json");
    HeaderAutomaton headers(tokenizer, rules);
    for (const int id : ids) {
        const auto allowed = headers.allowed();
        if (allowed && !std::binary_search(allowed->begin(), allowed->end(), id)) return false;
        headers.feed(id);
    }
    return true;
}

TEST(StrictHarmony, WhatAModelWantsToWriteWrongItCannot) {
    const TempFolder folder;
    const std::string body = R"({"tools": [)" + std::string(kTool) +
                             R"(], "messages": [{"role": "user", "content": "Go."}], "max_tokens": 60, )"
                             R"("return_token_ids": true)";
    const std::string input = folder.write("in.jsonl", body + "}\n" + body + R"(, "tool_choice": "required"})" + "\n");
    for (const char* script :
         {"<|channel|>final json<|message|>{}<|return|>", "No channels here.<|return|>",
          "<|channel|>bash<|channel|>commentary<|message|>{}<|call|>", "<|channel|>reflection<|message|>Hm.<|return|>",
          " to=functions.sh<|channel|>commentary <|constrain|>json<|message|>{}<|call|>",
          "<|channel|>analysis<|message|>Hm.<|end|><|start|>user<|message|>And?<|return|>"}) {
        SCOPED_TRACE(script);
        const ScriptedModel model(script);
        for (const char* strict : {"on", "off"}) {
            const ProgramResult result =
                run_program({built("run"), model.path(), "-m", "getp", "--strict-harmony", strict, "-i", input, "-o",
                             folder.path("out.jsonl"), "--overwrite"});
            ASSERT_EQ(result.code, 0) << result.err;
            std::istringstream lines(folder.read("out.jsonl"));
            for (std::string line; std::getline(lines, line);) {
                const Json answer = Json::parse(line);
                const Json& choice = answer["response"]["body"]["choices"][0];
                const bool must_call = answer["id"] == "batch_req_1";
                const bool keeps = keeps_to_the_format(choice["token_ids"], {{"bash"}, must_call, true});
                EXPECT_EQ(keeps, must_call || strict == std::string("on")) << line;
                if (!must_call || choice["finish_reason"] != "tool_calls") continue;
                EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["name"], "bash") << line;
            }
        }
    }
}
