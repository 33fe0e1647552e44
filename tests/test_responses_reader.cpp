// test_responses_reader.cpp: requests of the Responses API: the same conversation must give the prompt that it gives as
// a chat, and what other clients' servers run for them is skipped. Field and item names are OpenAI's API reference.
#include <gtest/gtest.h>

#include "request_file.h"
#include "requests/responses_answer.h"
#include "requests/responses_request.h"
#include "support/json.h"

namespace {

using nlohmann::json;

class ResponsesReader : public testing::Test {
  protected:
    ResponsesReader() {
        config.vocab_size = 300;
        config.max_context = 4000;
        config.stop_ids = {7, 8};
    }

    Request read(const std::string& body, const std::string& url = "/v1/responses") {
        RequestContext context{defaults, config, bytes_codec()};
        context.responses = store;
        return read_request(url, body, 0, context);
    }
    // Of a request with these fields and a short input.
    Request with(const std::string& fields) { return read(R"({"input": "hi", )" + fields + "}"); }
    Request with_input(const std::string& items) { return read(R"({"input": [)" + items + "]}"); }
    json echo(const std::string& fields) { return json_of("{" + with(fields).response->echo + "}"); }

    ApiError error_in(const std::string& body) {
        try {
            read(body);
        } catch (const BadRequest& e) {
            EXPECT_EQ(e.error.status, 400);
            EXPECT_EQ(e.error.message.find('\n'), std::string::npos);
            return e.error;
        }
        ADD_FAILURE() << "no error: " << body;
        return {};
    }
    // "PARAM: the message's rest" of a request with these items.
    std::string error_in_input(const std::string& items) { return error_in(R"({"input": [)" + items + "]}").message; }

    // The messages after the system message, as the model reads them.
    std::string rendered(const Request& request) {
        const std::string all = marked(request.prompt), end = "<|end|>";
        return all.substr(all.find(end) + end.size());
    }
    std::string chat(const std::string& messages, const std::string& fields = "") {
        return marked(read(R"({"messages": [)" + messages + "]" + fields + "}", "/v1/chat/completions").prompt);
    }

    RequestDefaults defaults;
    Config config;
    const ResponseStore* store = nullptr;
};

const std::string kUser = R"({"role": "user", "content": "hi"})";
const std::string kHi = "<|start|>user<|message|>hi<|end|>", kTurn = "<|start|>assistant";
const std::string kFind = R"({"type": "function", "name": "find", "description": "Finds.",
    "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}, "strict": true})";

std::string call(const std::string& id, const std::string& name = "find") {
    return R"({"type": "function_call", "id": "fc_1", "call_id": ")" + id + R"(", "name": ")" + name +
           R"(", "arguments": "{\"q\":1}", "status": "completed"})";
}
std::string result(const std::string& id, const std::string& output = R"("found")") {
    return R"({"type": "function_call_output", "call_id": ")" + id + R"(", "output": )" + output + "}";
}
std::string reasoning(const std::string& fields) {
    return R"({"type": "reasoning", "id": "rs_1", "summary": [], )" + fields + "}";
}
const std::string kCall =
    kTurn + " to=functions.find<|channel|>commentary <|constrain|>json<|message|>{\"q\":1}<|call|>";
const std::string kResult = "<|start|>functions.find to=assistant<|channel|>commentary<|message|>found<|end|>";

}  // namespace

TEST_F(ResponsesReader, AStringIsAUserMessage) {
    const Request request = read(R"({"input": "hi", "model": "gpt-oss-20b"})");
    EXPECT_EQ(request.kind, AnswerKind::kResponse);
    EXPECT_EQ(request.model, "gpt-oss-20b");
    EXPECT_EQ(rendered(request), kHi + kTurn);
    EXPECT_EQ(marked(request.prompt), chat(kUser));
    EXPECT_EQ(request.stop_ids, read(R"({"messages": [)" + kUser + "]}", "/v1/chat/completions").stop_ids);
    EXPECT_EQ(request.sampling.temperature, 1);
    EXPECT_EQ(request.max_new_tokens, 4000 - int(request.prompt.size()));
    EXPECT_TRUE(request.parallel_tool_calls);
}

TEST_F(ResponsesReader, ConversationsGiveTheChatsPrompt) {
    const struct {
        const char* why;
        std::string items, messages;
    } cases[] = {
        {"roles and parts",
         R"({"role": "system", "content": "A."}, {"type": "message", "role": "developer", "content": "B."},
            {"role": "user", "content": [{"type": "input_text", "text": "h"}, {"type": "text", "text": "i"}]},
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
             "content": [{"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}]},)" +
             kUser + R"(, {"role": "developer", "content": "C."})",
         R"({"role": "system", "content": "A."}, {"role": "system", "content": "B."},)" + kUser +
             R"(, {"role": "assistant", "content": "Hello."},)" + kUser + R"(, {"role": "system", "content": "C."})"},
        {"reasoning before an answer is dropped",
         kUser + "," + reasoning(R"("content": [{"type": "reasoning_text", "text": "Hm."}])") +
             R"(, {"role": "assistant", "content": "Hello."},)" + kUser,
         kUser + R"(, {"role": "assistant", "content": "Hello.", "reasoning": "Hm."},)" + kUser},
        {"reasoning before calls is kept, and results come in any order",
         kUser + "," + reasoning(R"("content": [{"type": "reasoning_text", "text": "Hm."}])") +
             R"(, {"role": "assistant", "phase": "commentary", "content": "One moment."},)" + call("a") + "," +
             call("b", "open") + "," + result("b", R"("opened")") + "," +
             result("a", R"([{"type": "input_text", "text": "fou"}, {"type": "input_text", "text": "nd"}])"),
         kUser + R"(, {"role": "assistant", "content": "One moment.", "reasoning": "Hm.", "tool_calls": [
             {"id": "a", "type": "function", "function": {"name": "find", "arguments": "{\"q\":1}"}},
             {"id": "b", "type": "function", "function": {"name": "open", "arguments": "{\"q\":1}"}}]},
             {"role": "tool", "tool_call_id": "b", "content": "opened"},
             {"role": "tool", "tool_call_id": "a", "content": "found"})"},
        {"a message without a phase before a call introduces it",
         kUser + R"(, {"role": "assistant", "content": "One moment."},)" + call("a") + "," + result("a"),
         kUser + R"(, {"role": "assistant", "content": "One moment.", "tool_calls": [
             {"id": "a", "type": "function", "function": {"name": "find", "arguments": "{\"q\":1}"}}]},
             {"role": "tool", "tool_call_id": "a", "content": "found"})"},
    };
    for (const auto& c : cases) EXPECT_EQ(marked(with_input(c.items).prompt), chat(c.messages)) << c.why;
}

TEST_F(ResponsesReader, InstructionsComeFirst) {
    const std::string items = R"({"role": "developer", "content": "B."},)" + kUser;
    const Request request = read(R"({"instructions": "A.", "input": [)" + items + "]}");
    EXPECT_EQ(rendered(request), "<|start|>developer<|message|># Instructions\n\nA.\n\nB.<|end|>" + kHi + kTurn);
    defaults.instructions = "Default.";
    EXPECT_NE(rendered(with_input(kUser)).find("Default."), std::string::npos);
    EXPECT_EQ(rendered(with(R"("instructions": "A.")")).find("Default."), std::string::npos);
}

TEST_F(ResponsesReader, ReasoningOfEveryForm) {
    const auto thought = [&](const std::string& fields) {
        const std::string text = rendered(with_input(kUser + "," + reasoning(fields) + "," + call("a")));
        const size_t begin = text.find("analysis<|message|>"), end = text.find("<|end|>", begin);
        return begin == std::string::npos ? "none" : text.substr(begin + 19, end - begin - 19);
    };
    const std::string ours = R"("encrypted_content": ")" + encrypted_content("Sealed.") + '"';
    const std::string summary = R"("summary": [{"type": "summary_text", "text": "Short."}])";
    EXPECT_EQ(
        thought(R"("content": [{"type": "reasoning_text", "text": "A"}, {"type": "reasoning_text", "text": "B"}])"),
        "A\nB");
    EXPECT_EQ(thought(R"("content": [{"type": "reasoning_text", "text": "Open."}], )" + ours), "Open.");
    EXPECT_EQ(thought(R"("content": [], )" + ours), "Sealed.");
    EXPECT_EQ(thought(R"("content": null, "encrypted_content": null)"), "none");
    for (const char* foreign : {"gAAAAABo", "plain.", "plain.###", "plain./w==" /* not UTF-8 */})
        EXPECT_EQ(thought(R"("encrypted_content": ")" + std::string(foreign) + '"'), "none") << foreign;
    const std::string only_summary = R"({"type": "reasoning", "id": "rs_1", )" + summary + "}";
    EXPECT_NE(rendered(with_input(kUser + "," + only_summary + "," + call("a"))).find("analysis<|message|>Short."),
              std::string::npos);
}

TEST_F(ResponsesReader, CodexProbesWithNothing) {
    for (const char* body : {R"({"input": [], "max_output_tokens": 1})", R"({"max_output_tokens": 1})",
                             R"({"input": null, "max_output_tokens": 1, "store": false})"}) {
        const Request request = read(body);
        EXPECT_EQ(request.max_new_tokens, 1);
        EXPECT_EQ(rendered(request), kTurn) << body;
    }
}

// As @openai/codex 0.171.0 sends it, shortened.
TEST_F(ResponsesReader, ARequestOfCodex) {
    const Request request = read(R"({"model": "gpt-oss-20b", "instructions": "You are Codex.", "input": [
        {"type": "message", "id": "msg_1", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment_context/>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "reasoning", "summary": [], "content": null, "encrypted_content": "gAAAAABo"},
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin Patch"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        {"type": "function_call", "name": "exec_command", "arguments": "{}", "call_id": "c2", "internal": 1},
        {"type": "function_call_output", "call_id": "c2", "output": "done"}],
        "tools": [
        {"type": "function", "name": "exec_command", "description": "Runs.", "strict": false,
         "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "additionalProperties": false}},
        {"type": "namespace", "name": "multi_agent_v1", "description": "", "tools": []},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": ""}},
        {"type": "web_search", "external_web_access": false}, {"type": "image_generation"}, {"type": "local_shell"}],
        "tool_choice": "auto", "parallel_tool_calls": true, "reasoning": {"effort": "high", "summary": "auto"},
        "store": false, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k",
        "text": {"verbosity": "low"}, "client_metadata": {"a": "b"}})");
    EXPECT_EQ(request.tool_names, std::vector<std::string>{"exec_command"});
    EXPECT_TRUE(request.response->encrypts_reasoning);
    EXPECT_NE(marked(request.prompt).find("Reasoning: high"), std::string::npos);
    const std::string text = rendered(request);
    EXPECT_NE(text.find("# Instructions\n\nYou are Codex.\n\nRules."), std::string::npos) << text;
    EXPECT_NE(text.find(kHi + kTurn + " to=functions.exec_command"), std::string::npos) << "the rest is skipped";
    for (const char* skipped : {"apply_patch", "multi_agent", "gAAAA"})
        EXPECT_EQ(text.find(skipped), std::string::npos);
    const std::vector<std::string>& notes = request.unknown_fields;
    for (const char* note :
         {"tools[] of type custom", "tools[] of type web_search", "input[] of type custom_tool_call"})
        EXPECT_NE(std::find(notes.begin(), notes.end(), note), notes.end()) << note;
    const json tools = json_of("{" + request.response->echo + "}")["tools"];
    ASSERT_EQ(tools.size(), 1u);
    EXPECT_EQ(tools[0]["name"], "exec_command");
    EXPECT_EQ(tools[0]["parameters"]["properties"]["cmd"]["type"], "string");
}

TEST_F(ResponsesReader, ToolsAreTheChats) {
    const std::string function = R"({"name": "find", "description": "Finds.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}})";
    EXPECT_EQ(marked(with("\"tools\": [" + kFind + "]").prompt),
              chat(kUser, R"(, "tools": [{"type": "function", "function": )" + function + "}]"));
    EXPECT_EQ(rendered(with(R"("tool_choice": "none", "tools": [)" + kFind + "]")), kHi + kTurn);
    EXPECT_FALSE(with(R"("parallel_tool_calls": false)").parallel_tool_calls);
}

TEST_F(ResponsesReader, TheAnswerRepeatsTheRequest) {
    json e = echo(R"("temperature": 0.7)");
    EXPECT_EQ(e, json_of(R"({"background": false, "instructions": null, "max_output_tokens": null,
        "max_tool_calls": null, "metadata": {}, "parallel_tool_calls": true, "previous_response_id": null,
        "prompt_cache_key": null, "safety_identifier": null, "service_tier": "default", "store": false,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_logprobs": 0,
        "truncation": "disabled", "reasoning": {"effort": "medium", "summary": null}, "temperature": 0.7, "top_p": 1,
        "presence_penalty": 0, "frequency_penalty": 0})"));
    e = echo(R"("instructions": "A\n\"B\"", "max_output_tokens": 5, "metadata": {"a":
        "b"}, "parallel_tool_calls": false, "tool_choice": "none", "tools": [)" +
             kFind + R"(], "reasoning": {"effort": "minimal", "summary": "auto"}, "user": "u", "top_p": 0.5)");
    EXPECT_EQ(e["instructions"], "A\n\"B\"");
    EXPECT_EQ(e["max_output_tokens"], 5);
    EXPECT_EQ(e["metadata"], json({{"a", "b"}}));
    EXPECT_EQ(e["parallel_tool_calls"], false);
    EXPECT_EQ(e["tool_choice"], "none");
    EXPECT_EQ(e["reasoning"], json({{"effort", "minimal"}, {"summary", nullptr}}));
    EXPECT_EQ(echo(R"("reasoning_effort": "high")")["reasoning"]["effort"], "high") << "by another name";
    const json penalties = echo(R"("presence_penalty": 0.5, "frequency_penalty": -1)");
    EXPECT_EQ(penalties["presence_penalty"], 0.5);
    EXPECT_EQ(penalties["frequency_penalty"], -1);
    EXPECT_EQ(e["user"], "u");
    EXPECT_EQ(e["top_p"], 0.5);
    EXPECT_EQ(e["tools"][0], json_of(R"({"type": "function", "name": "find", "description": "Finds.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}, "strict": false})"));
    EXPECT_EQ(with(R"("metadata": {"a":
        "b"})")
                  .response->echo.find('\n'),
              std::string::npos)
        << "an event is one line";
}

TEST_F(ResponsesReader, ErrorsNameTheField) {
    const struct {
        const char* fields;
        const char* param;
    } cases[] = {
        {R"("instructions": 5)", "instructions"},
        {R"("max_output_tokens": 0)", "max_output_tokens"},
        {R"("max_output_tokens": "5")", "max_output_tokens"},
        {R"("temperature": -1)", "temperature"},
        {R"("reasoning": {"effort": "vast"})", "reasoning.effort"},
        {R"("tools": {})", "tools"},
        {R"("tools": [{"name": "find"}])", "tools[0].type"},
        {R"("tools": [{"type": "code_interpreter"}])", "tools[0].type"},
        {R"("tools": [{"type": "function"}])", "tools[0].name"},
        {R"("tools": [{"type": "function", "name": "f", "parameters": 5}])", "tools[0].parameters"},
        {R"("text": {"format": {"type": "json_schema", "name": "n", "schema": {}}})", "text.format.type"},
        {R"("text": {"format": {"type": "json_object"}})", "text.format.type"},
        {R"("text": 5)", "text"},
        {R"("include": "x")", "include"},
        {R"("metadata": {"a": 5})", "metadata.a"},
        {R"("metadata": [])", "metadata"},
        {R"("store": 1)", "store"},
        {R"("background": true)", "background"},
        {R"("conversation": "conv_1")", "conversation"},
        {R"("prompt": {"id": "pmpt_1"})", "prompt"},
        {R"("truncation": "middle")", "truncation"},
        {R"("tool_choice": "sometimes")", "tool_choice"},
        {R"("parallel_tool_calls": "no")", "parallel_tool_calls"},
    };
    for (const auto& c : cases) {
        const ApiError error = error_in(R"({"input": "hi", )" + std::string(c.fields) + "}");
        EXPECT_EQ(error.param, c.param) << c.fields << ": " << error.message;
        EXPECT_EQ(error.type, "invalid_request_error");
    }
}

TEST_F(ResponsesReader, ErrorsNameTheItem) {
    const struct {
        const char* why;
        std::string items;
        const char* error;
    } cases[] = {
        {"a type that nobody sends", kUser + R"(, {"type": "computer_call"})",
         "input[1].type: expected message, reasoning, function_call, function_call_output or item_reference, found "
         "\"computer_call\""},
        {"no object", "5", "input[0]: expected an object, found 5"},
        {"a role", R"({"role": "robot", "content": "x"})",
         "input[0].role: expected user, assistant, system or developer, found \"robot\""},
        {"neither type nor role", R"({"content": "x"})",
         "input[0].role: expected user, assistant, system or developer, found \"\""},
        {"no content", R"({"role": "user"})",
         "input[0].content: expected a string or an array of text parts, found none"},
        {"an image", R"({"role": "user", "content": [{"type": "input_image", "image_url": "x"}]})",
         "input[0].content[0].type: expected text, input_text, output_text or refusal, all that is supported, found "
         "\"input_image\""},
        {"a phase", R"({"role": "assistant", "phase": "first", "content": "x"})",
         "input[0].phase: expected commentary or final_answer, found \"first\""},
        {"a call without a name", R"({"type": "function_call", "call_id": "a", "arguments": "{}"})",
         "input[0].name: expected the tool's name, found none"},
        {"a call without arguments", R"({"type": "function_call", "call_id": "a", "name": "f"})",
         "input[0].arguments: expected a string, found none"},
        {"a result of nothing", result("a"), "input[0].call_id: expected the id of an earlier tool call"},
        {"a result without output", call("a") + R"(, {"type": "function_call_output", "call_id": "a"})",
         "input[1].output: expected a string or an array of text parts, found none"},
        {"a reference without a store", R"({"type": "item_reference", "id": "msg_1"})",
         "input[0].id: expected the id of an item in a response that is stored, found \"msg_1\""},
        {"the same without a type", R"({"id": "msg_1"})",
         "input[0].id: expected the id of an item in a response that is stored, found \"msg_1\""},
    };
    for (const auto& c : cases) EXPECT_EQ(error_in_input(c.items), c.error) << c.why;
    EXPECT_EQ(error_in(R"({"input": 5})").message, "input: expected a string or an array of items, found 5");
}

TEST_F(ResponsesReader, APreviousResponseThatIsNotThere) {
    const ApiError error = error_in(R"({"input": "hi", "previous_response_id": "resp_1"})");
    EXPECT_EQ(error.code, "previous_response_not_found");
    EXPECT_EQ(error.param, "previous_response_id");
}

TEST_F(ResponsesReader, APromptLongerThanTheContext) {
    EXPECT_EQ(error_in(R"({"input": ")" + std::string(5000, 'a') + "\"}").code, "context_length_exceeded");
}

TEST_F(ResponsesReader, TheUrlDecides) {
    for (const char* url : {"/v1/responses", "/v1/responses/", "/responses", "https://host/v1/responses?a=b", ""})
        EXPECT_EQ(read(R"({"input": "hi"})", url).kind, AnswerKind::kResponse) << url;
}

// A line of getp's file, and the line that answers it.
TEST_F(RequestFile, ALineOfTheResponsesApi) {
    config.max_context = 4000;
    options.steps.reset();
    const std::vector<Request> requests =
        read(R"({"custom_id": "a", "url": "/v1/responses", "body": {"input": "hi", "store": true, "seed": 5}})"
             "\n"
             R"({"custom_id": "b", "url": "/v1/responses", "body": {"input": "hi", "previous_response_id": "resp_0"}})"
             "\n"
             R"({"input": "hi"})");
    ASSERT_EQ(requests.size(), 3u);
    EXPECT_EQ(requests[0].error, "");
    EXPECT_EQ(requests[0].kind, AnswerKind::kResponse);
    EXPECT_EQ(requests[0].sampling.seed, 5u);
    EXPECT_EQ(requests[1].error_code, "previous_response_not_found");
    EXPECT_EQ(requests[2].kind, AnswerKind::kResponse);

    Answer answer;
    answer.n_prompt = 3;
    answer.ids = {1, 2};
    answer.n_reused = 2;
    answer.request_s = 100;
    answer.items = {{AnswerItem::Kind::kText, "Hello.", ""}};
    const json line = json_of(answer_line(requests[0], {answer}, "model", 1000));
    EXPECT_EQ(line["custom_id"], "a");
    const json body = line["response"]["body"];
    EXPECT_EQ(body["id"], "resp_0");
    EXPECT_EQ(body["model"], "model");
    EXPECT_EQ(body["store"], false) << "a file of requests keeps nothing";
    EXPECT_EQ(body["output"][0]["content"][0]["text"], "Hello.");
    EXPECT_EQ(body["usage"]["total_tokens"], 5);
    EXPECT_EQ(body["usage"]["input_tokens_details"]["cached_tokens"], 0) << "what else runs changes no line";
    EXPECT_EQ(body["completed_at"], 1000);
}
