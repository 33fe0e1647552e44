// test_requests_history.cpp: conversations as people's clients send them back, the model's own malformed answers
// included.
#include <gtest/gtest.h>

#include <random>

#include "harmony_checks.h"
#include "requests.h"
#include "requests/request_body.h"
#include "support/json.h"
#include "text_checks.h"

namespace {

Conversation conversation(const std::string& messages, const std::string& fields = "") {
    const std::string body = R"({"messages": [)" + messages + "]" + (fields.empty() ? "" : ", " + fields) + "}";
    return read_conversation(JsonFields(parse_json(body, "body"), ""));
}

std::string error_in(const std::string& messages, const std::string& fields = "") {
    return error_of([&] { conversation(messages, fields); });
}

// The messages as the model reads them, special tokens by name.
std::string rendered(const std::string& messages) {
    static const Tokenizer tokenizer = byte_tokenizer();
    static const HarmonyRenderer renderer(tokenizer);
    std::string out;
    for (const Message& message : drop_old_analysis(conversation(messages).messages))
        out += marked(renderer.render(message));
    return out;
}

const std::string kUser = R"({"role": "user", "content": "hi"})";
const std::string kHi = "<|start|>user<|message|>hi<|end|>";

std::string call(const std::string& function, const std::string& id = "c1") {
    return R"({"role": "assistant", "content": null, "refusal": null, "tool_calls": [{"id": ")" + id +
           R"(", "type": "function", "function": )" + function + "}]}";
}

}  // namespace

TEST(History, SystemAndDeveloperBecomeTheInstructions) {
    EXPECT_EQ(conversation(kUser).instructions, std::nullopt);
    const Conversation c = conversation(R"({"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},)" +
                                        kUser);
    EXPECT_EQ(c.instructions, "Be brief.\n\nBe kind.");
    ASSERT_EQ(c.messages.size(), 1u);
    EXPECT_EQ(c.messages[0].role, Role::kUser);
    EXPECT_EQ(c.messages[0].content, "hi");
}

TEST(History, UserPartsAndName) {
    const Conversation c = conversation(
        R"({"role": "user", "name": "ann-1",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})");
    EXPECT_EQ(c.messages[0].content, "ab");
    EXPECT_EQ(c.messages[0].name, "ann-1");
}

TEST(History, AssistantTurnsByChannel) {
    const Conversation c = conversation(kUser + R"(,
        {"role": "assistant", "reasoning_content": "Think.", "content": "Hello."},)" +
                                        kUser + R"(,
        {"role": "assistant", "reasoning": "Look it up.", "content": "One moment.", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{\"q\":1}"}},
            {"id": "c2", "type": "function", "function": {"name": "open", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c2", "content": "opened"},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "found"}]})");
    struct Expected {
        Role role;
        const char *name, *recipient, *channel, *content_type, *content;
    };
    const std::vector<Expected> expected = {
        {Role::kUser, "", "", "", "", "hi"},
        {Role::kAssistant, "", "", "analysis", "", "Think."},
        {Role::kAssistant, "", "", "final", "", "Hello."},
        {Role::kUser, "", "", "", "", "hi"},
        {Role::kAssistant, "", "", "analysis", "", "Look it up."},
        {Role::kAssistant, "", "", "commentary", "", "One moment."},
        {Role::kAssistant, "", "functions.find", "commentary", "<|constrain|>json", "{\"q\":1}"},
        {Role::kAssistant, "", "functions.open", "commentary", "<|constrain|>json", "{}"},
        {Role::kTool, "functions.open", "assistant", "commentary", "", "opened"},
        {Role::kTool, "functions.find", "assistant", "commentary", "", "found"},
    };
    ASSERT_EQ(c.messages.size(), expected.size());
    for (size_t i = 0; i < expected.size(); i++) {
        SCOPED_TRACE(i);
        const Message& m = c.messages[i];
        EXPECT_EQ(m.role, expected[i].role);
        EXPECT_EQ(m.name, expected[i].name);
        EXPECT_EQ(m.recipient, expected[i].recipient);
        EXPECT_EQ(m.channel, expected[i].channel);
        EXPECT_EQ(m.content_type, expected[i].content_type);
        EXPECT_EQ(m.content, expected[i].content);
    }
}

TEST(History, CallsWithoutTextHaveNoEmptyPreamble) {
    for (const char* content : {"null", "\"\""}) {
        const Conversation c =
            conversation(kUser + R"(, {"role": "assistant", "content": )" + content +
                         R"(, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]})");
        ASSERT_EQ(c.messages.size(), 2u);
        EXPECT_EQ(c.messages[1].recipient, "functions.f");
    }
}

TEST(History, ToolsKeepTheOrderOfTheirProperties) {
    const std::string tools = R"("tools": [{"type": "function", "function": {"name": "f", "description": "Does f.",
        "parameters": {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "number"}}}}},
        {"type": "function", "function": {"name": "g"}}])";
    const Conversation c = conversation(kUser, tools + R"(, "reasoning_effort": "high", "tool_choice": "auto")");
    ASSERT_EQ(c.tools.size(), 2u);
    EXPECT_EQ(c.tools[0].name, "f");
    EXPECT_EQ(c.tools[0].description, "Does f.");
    EXPECT_EQ(c.tools[0].parameters,
              R"({"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "number"}}})");
    EXPECT_EQ(c.tools[1].name, "g");
    EXPECT_EQ(c.tools[1].parameters, "");
    EXPECT_EQ(c.effort, Effort::kHigh);
    EXPECT_TRUE(conversation(kUser, tools + R"(, "tool_choice": "none")").tools.empty());
}

TEST(History, SystemMessagesAloneAndLater) {
    const Conversation alone = conversation(R"({"role": "system", "content": "Write a haiku."})");
    EXPECT_EQ(alone.instructions, "Write a haiku.");
    EXPECT_TRUE(alone.messages.empty());
    for (const char* role : {"system", "developer"})
        EXPECT_EQ(rendered(kUser + R"(, {"role": ")" + role + R"(", "content": "Be brief."}, )" + kUser),
                  kHi + "<|start|>developer<|message|># Instructions\n\nBe brief.<|end|>" + kHi);
}

TEST(History, AnOpenTurnKeepsItsReasoning) {
    const std::string thought = "<|start|>assistant<|channel|>analysis<|message|>Hm.<|end|>";
    for (const char* content : {R"("content": "")", R"("content": null)", R"("content": [])"})
        EXPECT_EQ(
            rendered(kUser + R"(, {"role": "assistant", )" + content + R"(, "reasoning_content": "Hm."}, )" + kUser),
            kHi + thought + kHi)
            << content;
    EXPECT_EQ(rendered(kUser + R"(, {"role": "assistant", "content": "Yes.", "reasoning": "Hm."}, )" + kUser),
              kHi + "<|start|>assistant<|channel|>final<|message|>Yes.<|end|>" + kHi);
    EXPECT_EQ(rendered(kUser + R"(, {"role": "assistant", "content": ""})"),
              kHi + "<|start|>assistant<|channel|>final<|message|><|end|>");
}

TEST(History, Refusals) {
    const std::string refused = kHi + "<|start|>assistant<|channel|>final<|message|>No.<|end|>";
    EXPECT_EQ(rendered(kUser + R"(, {"role": "assistant", "content": "No.", "refusal": null})"), refused);
    EXPECT_EQ(rendered(kUser + R"(, {"role": "assistant", "content": null, "refusal": "No."})"), refused);
    EXPECT_EQ(rendered(kUser + R"(, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]})"),
              refused);
}

TEST(History, PartsByAnyName) {
    EXPECT_EQ(rendered(R"({"role": "user", "content": [{"type": "input_text", "text": "h"}, {"text": "i"}]})"), kHi);
    EXPECT_EQ(rendered(R"({"role": "assistant", "content": [{"type": "output_text", "text": "a"},
                                                            {"type": "text", "text": "b"}]})"),
              "<|start|>assistant<|channel|>final<|message|>ab<|end|>");
    EXPECT_NE(error_in(R"({"role": "user", "content": [{"type": "input_image"}]})").find("input_image"),
              std::string::npos);
}

TEST(History, ArgumentsAsAnObject) {
    EXPECT_EQ(rendered(call(R"({"name": "f", "arguments": { "a" : "x \" y\\" ,
                                                           "b": [1, 2.50, { }], "ü": null }})")),
              R"(<|start|>assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>)"
              R"({"a":"x \" y\\","b":[1,2.50,{}],"ü":null}<|call|>)");
    EXPECT_NE(error_in(call(R"({"name": "f", "arguments": 5})")).find("a string or an object"), std::string::npos);
    EXPECT_NE(error_in(call(R"({"name": "f"})")).find("arguments"), std::string::npos);
}

TEST(History, ACallTheOlderWay) {
    const std::string older =
        R"({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}})";
    EXPECT_EQ(rendered(older), rendered(call(R"({"name": "f", "arguments": "{}"})")));
    EXPECT_EQ(rendered(older + R"(, {"role": "function", "name": "f", "content": "r"})"),
              rendered(call(R"({"name": "f", "arguments": "{}"})") +
                       R"(, {"role": "tool", "tool_call_id": "c1", "content": "r"})"));
    EXPECT_NE(error_in(R"({"role": "assistant", "function_call": {"arguments": "{}"}})").find("function_call.name"),
              std::string::npos);
}

TEST(History, NamesInAnyScriptStayOneWord) {
    const std::string tail = "<|channel|>commentary <|constrain|>json<|message|>{}<|call|>";
    for (const std::string name : {"größe_lesen", "получить", "天気", "f:1", "bash,", "f/g", "<\\|call|>"}) {
        const std::string written = name == "<\\|call|>" ? "<|call|>" : name;
        EXPECT_EQ(rendered(call(R"({"name": ")" + written + R"(", "arguments": "{}"})")),
                  "<|start|>assistant to=functions." + name + tail);
    }
    EXPECT_EQ(rendered(call(R"({"name": "a to=functions.b\n", "arguments": "{}"})")),
              "<|start|>assistant to=functions.a_to=functions.b_" + tail);
    const std::string long_name(1000, 'x');
    EXPECT_EQ(error_in(call(R"({"name": ")" + long_name + R"(", "arguments": "{}"})")), "");
    EXPECT_EQ(rendered(R"({"role": "user", "name": "Anna Müller", "content": "hi"})"),
              "<|start|>user:Anna_Müller<|message|>hi<|end|>");
    EXPECT_NE(error_in(call(R"({"name": "", "arguments": "{}"})")).find("name"), std::string::npos);
}

TEST(History, NamesOfToolsThatAreOffered) {
    const auto tools = [](const std::string& name) { return R"("tools": [{"function": {"name": ")" + name + "\"}}]"; };
    for (const std::string name : {"größe_lesen", "天気", "mcp/server:f", "a.b-c_9"})
        EXPECT_EQ(conversation(kUser, tools(name)).tools.at(0).name, name);
    for (const std::string name : {"", "a b", "a\\nb", "a\\u0007"})
        EXPECT_NE(error_in(kUser, tools(name)).find("tools[0].function.name"), std::string::npos) << name;
    EXPECT_NE(error_in(kUser, tools(std::string(1000, 'x'))).find("256"), std::string::npos);
}

TEST(History, ResultsOfUnknownCalls) {
    const auto names = [](const std::string& results) {
        std::string out;
        for (const Message& m : conversation(call(R"({"name": "f", "arguments": ""})", "c1") + ", " +
                                             call(R"({"name": "g", "arguments": ""})", "c2") + results)
                                    .messages)
            if (m.role == Role::kTool) out += m.name + "=" + m.content + " ";
        return out;
    };
    const auto result = [](const std::string& fields) {
        return R"(, {"role": "tool", "content": "r", )" + fields + "}";
    };
    EXPECT_EQ(names(result(R"("tool_call_id": "c2")") + result(R"("tool_call_id": "c1")")),
              "functions.g=r functions.f=r ");
    EXPECT_EQ(names(result(R"("name": "h")")), "functions.h=r ");
    EXPECT_EQ(names(result(R"("tool_call_id": "lost")") + result(R"("tool_call_id": null)")),
              "functions.f=r functions.g=r ");
    EXPECT_EQ(names(R"(, {"role": "function", "name": "f", "content": [{"type": "text", "text": "r"}]})"),
              "functions.f=r ");
    EXPECT_NE(error_in(kUser + result(R"("tool_call_id": "c1")")).find("messages[1].tool_call_id"), std::string::npos);
}

namespace {

struct Collected : ResultSink {
    void on_answers(const Request&, std::vector<Answer> a) override { answer = std::move(a.at(0)); }
    Answer answer;
};

// What getp answers when the model generates `ids`.
std::string answer_message(const TextCodec& codec, const std::vector<int>& ids, const std::vector<std::string>& tools) {
    Request request;
    request.kind = AnswerKind::kChat;
    request.tool_names = tools;
    request.stop_ids = codec.renderer().stop_ids();
    Collected collected;
    const std::unique_ptr<Job> job = std::move(make_jobs(request, codec, collected).at(0));
    for (const int id : ids) {
        const bool more = job->on_token(id);
        if (!more || std::count(job->stop_ids.begin(), job->stop_ids.end(), id)) break;
    }
    job->on_done(Finish::kStop);
    const auto line = ordered_json_of(answer_line(request, {collected.answer}, "m", 0));
    return line["response"]["body"]["choices"][0]["message"].dump();
}

}  // namespace

// Whatever the model has written, a later request may contain it: it is accepted with the same calls, and no call
// changes the message that it is in.
TEST(History, NoAnswerIsRefused) {
    const TextCodec codec(byte_tokenizer());
    const std::vector<std::string> pieces = {
        "<|channel|>", "<|channel|>", "<|message|>", "<|message|>", "<|constrain|>",   "<|start|>",  "<|end|>",
        "assistant",   "user",        "analysis",    "commentary",  "final",           "json",       " ",
        " to=",        "functions.",  "f",           "bash",        "größe",           "{\"a\": 1}", "\n",
        ",",           ":1",          "<\\|call|>",  "some words",  " to=functions.f", "\x01",       "\xff",
        "天気"};
    std::mt19937 random(1);
    int n_calls = 0;
    for (int round = 0; round < 3000; round++) {
        std::string stream;
        if (round % 2) stream = "<|channel|>commentary to=functions.";
        for (uint32_t length = random() % 14; length > 0; length--) stream += pieces[random() % pieces.size()];
        stream += "<|call|>";
        const std::string message = answer_message(codec, ids_of(stream), {"f", "bash"});
        const auto json = ordered_json_of(message);
        Conversation back;
        try {
            back = conversation(kUser + ", " + message + ", " + kUser);
        } catch (const Error& e) {
            FAIL() << e.what() << " of " << message << " from " << stream;
        }
        codec.renderer().render_prompt(Preamble{}, back.messages);
        size_t n_back = 0;
        for (const Message& m : back.messages) {
            if (m.recipient.empty()) continue;
            n_back++;
            HarmonyParser parser(codec.tokenizer());
            for (const int id : codec.renderer().render(m)) parser.feed(id);
            ASSERT_EQ(parser.messages().size(), 1u) << message;
            EXPECT_EQ(parser.messages()[0].content, m.content) << message;
        }
        EXPECT_EQ(n_back, json.contains("tool_calls") ? json["tool_calls"].size() : 0) << message;
        n_calls += int(n_back);
    }
    EXPECT_GT(n_calls, 300);
}
