// test_requests_json.cpp: one line of JSON to what it asks for. What fields mean is OpenAI's API reference (chat
// completions, completions, batch); the harmony side of a conversation is the format's own document.
#include <gtest/gtest.h>

#include "requests/request_body.h"
#include "requests/request_line.h"
#include "text_checks.h"

namespace {

RequestBody read(const std::string& text) {
    const Json json = parse_json(text, "the line");
    read_custom_id(json);
    const RequestLine line = read_request_line(json);
    RequestBody body = read_request_body(line.body, line.url);
    body.unknown_fields.insert(body.unknown_fields.begin(), line.unknown_fields.begin(), line.unknown_fields.end());
    return body;
}

// A chat line whose body holds `fields` beside one user message; a completion likewise.
std::string chat(const std::string& fields) {
    return R"({"messages": [{"role": "user", "content": "hi"}])" + (fields.empty() ? "" : ", " + fields) + "}";
}
std::string completion(const std::string& fields) {
    return R"({"prompt": "hi")" + (fields.empty() ? "" : ", " + fields) + "}";
}

Conversation conversation(const std::string& messages, const std::string& fields = "") {
    return std::get<Conversation>(
        read(R"({"messages": [)" + messages + "]" + (fields.empty() ? "" : ", " + fields) + "}").prompt);
}

std::string error_in(const std::string& line) {
    return error_of([&] { read(line); });
}

TEST(RequestLine, BatchEnvelope) {
    const Json json = parse_json(R"({"custom_id": "a-1", "method": "POST", "url": "/v1/completions", "body":
        {"model": "gpt-oss-20b", "prompt": "Once", "max_tokens": 7, "temperature": 0.5, "top_p": 0.25, "seed": 42,
         "stop": ["\n", "END"], "ignore_eos": true, "return_token_ids": true, "user": "ignored"}})",
                                 "the line");
    EXPECT_EQ(read_custom_id(json), "a-1");
    const RequestLine line = read_request_line(json);
    EXPECT_EQ(line.url, "/v1/completions");
    const RequestBody r = read_request_body(line.body, line.url);
    EXPECT_EQ(std::get<std::string>(r.prompt), "Once");
    EXPECT_EQ(r.model, "gpt-oss-20b");
    EXPECT_EQ(r.max_tokens, 7);
    EXPECT_EQ(r.temperature, 0.5);
    EXPECT_EQ(r.top_p, 0.25);
    EXPECT_EQ(r.seed, 42u);
    EXPECT_EQ(r.stop, (std::vector<std::string>{"\n", "END"}));
    EXPECT_TRUE(r.ignore_eos);
    EXPECT_TRUE(r.return_token_ids);
}

TEST(RequestLine, BareBodyAndNothingButThePrompt) {
    const RequestBody r = read(R"({"prompt": [0, 5, 2147483647]})");
    EXPECT_EQ(std::get<std::vector<int>>(r.prompt), (std::vector<int>{0, 5, 2147483647}));
    EXPECT_FALSE(r.max_tokens || r.temperature || r.top_p || r.seed || r.ignore_eos || r.return_token_ids);
    EXPECT_TRUE(r.stop.empty());
    EXPECT_EQ(read_custom_id(parse_json(R"({"prompt": "x"})", "the line")), std::nullopt);
}

TEST(RequestLine, NullIsAbsent) {
    const RequestBody r = read(completion(
        R"("max_tokens": null, "temperature": null, "stop": null, "seed": null, "n": null, "logprobs": null)"));
    EXPECT_FALSE(r.max_tokens || r.temperature || r.seed);
}

TEST(RequestLine, ValuesAtTheirLimits) {
    EXPECT_EQ(read(completion(R"("temperature": 0)")).temperature, 0.0);
    EXPECT_EQ(read(completion(R"("top_p": 1)")).top_p, 1.0);
    EXPECT_EQ(read(completion(R"("top_p": 0, "temperature": 1)")).temperature, 0.0) << "nothing but the likeliest";
    EXPECT_EQ(read(completion(R"("top_k": 1, "temperature": 1)")).temperature, 0.0);
    for (const char* none : {R"("top_k": 0)", R"("top_k": -1)", R"("top_k": null)"})
        EXPECT_TRUE(read(completion(none)).top_k.value_or(0) == 0 && !read(completion(none)).temperature) << none;
    EXPECT_EQ(read(completion(R"("top_k": 2)")).top_k, 2);
    EXPECT_EQ(read(completion(R"("repetition_penalty": 100)")).repetition_penalty, 100);
    EXPECT_EQ(read(completion(R"("max_tokens": 64.0)")).max_tokens, 64);
    EXPECT_EQ(read(completion(R"("max_tokens": -1)")).max_tokens, std::nullopt) << "no limit";
    for (const char* name : {"max_completion_tokens", "max_new_tokens", "n_predict", "max_output_tokens"})
        EXPECT_EQ(read(chat(fmt::format("\"{}\": 5", name))).max_tokens, 5) << name;
    EXPECT_EQ(read(completion(R"("stop_token_ids": [3, 4])")).stop_token_ids, (std::vector<int>{3, 4}));
    EXPECT_TRUE(read(completion(R"("include_stop_str_in_output": true)")).include_stop);
    EXPECT_FALSE(read(chat(R"("parallel_tool_calls": false)")).parallel_tool_calls);
    EXPECT_FALSE(read(chat(R"("include_reasoning": false)")).include_reasoning);
    EXPECT_FALSE(read(chat(R"("reasoning": {"exclude": true})")).include_reasoning);
    EXPECT_EQ(read(completion(R"("max_tokens": 2147483647)")).max_tokens, 2147483647);
    EXPECT_EQ(read(chat(R"("max_completion_tokens": 3)")).max_tokens, 3);
    EXPECT_EQ(read(chat(R"("max_completion_tokens": 3, "max_tokens": 3)")).max_tokens, 3);
    EXPECT_EQ(read(completion(R"("seed": -1)")).seed, UINT64_MAX);
    EXPECT_EQ(read(completion(R"("seed": 18446744073709551615)")).seed, UINT64_MAX);
    EXPECT_EQ(read(completion(R"("stop": "x")")).stop, std::vector<std::string>{"x"});
    EXPECT_TRUE(read(completion(R"("stop": [])")).stop.empty());
}

TEST(RequestLine, APromptMayStandInAList) {
    EXPECT_EQ(std::get<std::string>(read(R"({"prompt": ["a"]})").prompt), "a");
    EXPECT_EQ(std::get<std::vector<int>>(read(R"({"prompt": [[1, 2]]})").prompt), (std::vector<int>{1, 2}));
    EXPECT_TRUE(std::get<std::vector<int>>(read(R"({"prompt": []})").prompt).empty());
}

TEST(RequestLine, SeveralPrompts) {
    const RequestBody texts = read(R"({"prompt": ["a", "b", "c"]})");
    EXPECT_EQ(std::get<std::string>(texts.prompt), "a");
    ASSERT_EQ(texts.more_prompts.size(), 2u);
    EXPECT_EQ(std::get<std::string>(texts.more_prompts[1]), "c");
    const RequestBody ids = read(R"({"prompt": [[1, 2], [3]]})");
    EXPECT_EQ(std::get<std::vector<int>>(ids.prompt), (std::vector<int>{1, 2}));
    EXPECT_EQ(std::get<std::vector<int>>(ids.more_prompts.at(0)), std::vector<int>{3});
}

TEST(RequestLine, HowAnswersAreDrawn) {
    const RequestBody r = read(completion(
        R"("n": 128, "best_of": 128, "logprobs": 20, "echo": true, "max_tokens": 0, "min_p": 1, "presence_penalty": -2,
           "frequency_penalty": 2, "logit_bias": {"7": -100, "3": 100, "5": 0.5}, "special_tokens": false)"));
    EXPECT_EQ(r.n, 128);
    EXPECT_EQ(r.n_logprobs, 20);
    EXPECT_TRUE(r.echo);
    EXPECT_EQ(r.max_tokens, 0);
    EXPECT_EQ(r.min_p, 1);
    EXPECT_EQ(r.presence_penalty, -2);
    EXPECT_EQ(r.frequency_penalty, 2);
    EXPECT_EQ(r.special_tokens, false);
    ASSERT_EQ(r.logit_bias.size(), 3u);
    EXPECT_EQ(r.logit_bias[0].id, 3);
    EXPECT_EQ(r.logit_bias[2].bias, -100);
    const RequestBody nulls = read(completion(
        R"("n": null, "best_of": null, "logprobs": null, "echo": null, "min_p": null, "presence_penalty": null,
           "frequency_penalty": null, "logit_bias": null, "suffix": null)"));
    EXPECT_EQ(nulls.n, 1);
    EXPECT_EQ(nulls.n_logprobs, -1);
    EXPECT_TRUE(nulls.logit_bias.empty());
    EXPECT_EQ(read(completion(R"("logprobs": 0)")).n_logprobs, 0);
    EXPECT_EQ(read(completion(R"("logprobs": false)")).n_logprobs, -1);
    EXPECT_EQ(read(chat(R"("logprobs": true)")).n_logprobs, 0);
    EXPECT_EQ(read(chat(R"("logprobs": true, "top_logprobs": 5)")).n_logprobs, 5);
    EXPECT_EQ(read(chat(R"("logprobs": false, "top_logprobs": 0)")).n_logprobs, -1);
    EXPECT_TRUE(read(chat(R"("logprobs": true, "reasoning_logprobs": true)")).reasoning_logprobs);
    EXPECT_EQ(read(chat(R"("max_tokens": 3, "max_completion_tokens": 4)")).max_tokens, 4) << "the newer name wins";
}

TEST(RequestLine, WhichToolsMayBeCalled) {
    const auto choose = [](const std::string& choice) {
        return std::get<Conversation>(read(chat(R"("tools": [{"type": "function", "function": {"name": "f"}},
            {"type": "function", "function": {"name": "g"}}], "tool_choice": )" +
                                                choice))
                                          .prompt);
    };
    for (const char* any : {"null", R"("auto")"}) {
        EXPECT_EQ(choose(any).tools.size(), 2u);
        EXPECT_FALSE(choose(any).must_call);
    }
    EXPECT_TRUE(choose(R"("none")").tools.empty());
    EXPECT_TRUE(choose(R"("required")").must_call);
    EXPECT_EQ(choose(R"("required")").must_call_tool, "");
    for (const char* named :
         {R"({"type": "function", "function": {"name": "g"}})", R"({"type": "function", "name": "g"})"}) {
        EXPECT_TRUE(choose(named).must_call);
        EXPECT_EQ(choose(named).must_call_tool, "g");
        EXPECT_EQ(choose(named).tools.size(), 2u) << "all are in the prompt";
    }
    const Conversation allowed = choose(R"({"type": "allowed_tools", "allowed_tools": {"mode": "required",
        "tools": [{"type": "function", "function": {"name": "g"}}]}})");
    ASSERT_EQ(allowed.tools.size(), 1u);
    EXPECT_EQ(allowed.tools[0].name, "g");
    EXPECT_TRUE(allowed.must_call);
    EXPECT_FALSE(
        choose(R"({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]})").must_call);
}

TEST(RequestLine, NoReasoningInAllSpellings) {
    const auto skips = [](const std::string& fields) {
        return std::get<Conversation>(read(chat(fields)).prompt).skips_reasoning;
    };
    for (const char* none : {R"("reasoning_effort": "none")", R"("reasoning": {"effort": "None"})",
                             R"("chat_template_kwargs": {"reasoning_effort": "none"})", R"("think": false)",
                             R"("reasoning_effort": "low", "enable_thinking": false)"})
        EXPECT_TRUE(skips(none)) << none;
    for (const char* some : {"", R"("reasoning_effort": "minimal")", R"("reasoning": {"effort": "low"})"})
        EXPECT_FALSE(skips(some)) << some;
}

TEST(RequestLine, TheReasoningOfATurnInOtherPlaces) {
    for (const char* turn :
         {R"("content": "x", "reasoning_details": [{"type": "reasoning.text", "text": "I "}, {"text": "think."}])",
          R"("content": "<think>\nI think.\n</think>\n\nx")",
          R"("content": [{"type": "text", "text": "<think>I think.</think>x"}])",
          R"("reasoning": "I think.", "content": "<think>I think.</think>x")"}) {
        const Conversation c =
            conversation(R"({"role": "user", "content": "hi"}, {"role": "assistant", )" + std::string(turn) + "}");
        ASSERT_EQ(c.messages.size(), 3u) << turn;
        EXPECT_EQ(c.messages[1].channel, "analysis");
        EXPECT_EQ(c.messages[1].content, "I think.") << turn;
        EXPECT_EQ(c.messages[2].content, "x") << turn;
    }
    const Conversation open = conversation(R"({"role": "assistant", "content": "<think>x"})");
    EXPECT_EQ(open.messages.at(0).content, "<think>x") << "it does not end";
}

TEST(RequestLine, UrlsByTheirLastWords) {
    const std::string chat_body = R"(, "body": {"messages": [{"role": "user", "content": "hi"}]}})";
    for (const char* url :
         {"/v1/chat/completions", "/chat/completions", "chat/completions", "v1/chat/completions",
          "/v1/chat/completions/", "/openai/deployments/gpt-oss/chat/completions?api-version=2024-10-21",
          "https://api.openai.com/v1/chat/completions", "http://localhost:8000/v1/chat/completions"})
        EXPECT_EQ(error_in(fmt::format(R"({{"url": "{}")", url) + chat_body), "") << url;
    for (const char* url : {"/v1/completions", "/completions", "/openai/deployments/x/completions"})
        EXPECT_EQ(error_in(fmt::format(R"({{"url": "{}", "body": {{"prompt": "a"}}}})", url)), "") << url;
    for (const char* url : {"/v1/embeddings", "/v1/responses/compact", "/v1/chat", "completions", "/"})
        EXPECT_EQ(error_in(fmt::format(R"({{"url": "{}")", url) + chat_body).substr(0, 5), "url: ") << url;
    for (const char* url : {"/v1/responses", "/responses/", "https://host/v1/responses?x=y"})
        EXPECT_EQ(error_in(fmt::format(R"({{"url": "{}", "body": {{"input": "a"}}}})", url)), "") << url;
}

TEST(RequestLine, EffortInAllSpellings) {
    const auto effort = [](const std::string& fields) {
        return std::get<Conversation>(read(chat(fields)).prompt).effort;
    };
    const std::vector<std::pair<const char*, Effort>> words = {
        {"none", Effort::kLow},      {"minimal", Effort::kLow}, {"low", Effort::kLow},
        {"medium", Effort::kMedium}, {"high", Effort::kHigh},   {"xhigh", Effort::kHigh},
        {"max", Effort::kHigh},      {"High", Effort::kHigh},   {"LOW", Effort::kLow}};
    for (const auto& [word, expected] : words)
        for (const char* format :
             {R"("reasoning_effort": "{}")", R"("reasoning": {{"effort": "{}", "summary": "auto"}})",
              R"("chat_template_kwargs": {{"reasoning_effort": "{}"}})", R"("think": "{}")"})
            EXPECT_EQ(effort(fmt::format(fmt::runtime(format), word)), expected) << word << ": " << format;
    for (const char* off :
         {R"("enable_thinking": false)", R"("thinking": false)", R"("think": false)",
          R"("thinking": {"type": "disabled"})", R"("reasoning": {"enabled": false})",
          R"("chat_template_kwargs": {"enable_thinking": false})", R"("chat_template_kwargs": {"thinking": false})"})
        EXPECT_EQ(effort(off), Effort::kLow) << off;
    for (const char* unsaid :
         {"", R"("enable_thinking": true)", R"("thinking": {"type": "enabled"})", R"("think": true)",
          R"("reasoning": {})", R"("reasoning_effort": null)", R"("chat_template_kwargs": {})"})
        EXPECT_EQ(effort(unsaid), std::nullopt) << unsaid;
    EXPECT_EQ(effort(R"("reasoning_effort": "low", "reasoning": {"effort": "minimal"})"), Effort::kLow) << "they agree";
}

TEST(RequestLine, TheReasoningOfATurnByItsOtherName) {
    const Conversation c = conversation(R"({"role": "user", "content": "hi"}, {"role": "assistant",
        "thinking": "I need the tool.", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]})");
    ASSERT_EQ(c.messages.size(), 3u);
    EXPECT_EQ(c.messages[1].content, "I need the tool.");
}

TEST(RequestLine, ARefusalInTheHistoryIsRead) {
    for (const char* said : {R"("content": null, "refusal": "No.")", R"("content": "No.", "refusal": null)",
                             R"("content": [{"type": "refusal", "refusal": "No."}])"}) {
        const RequestBody r = read(fmt::format(R"({{"messages": [{{"role": "user", "content": "hi"}},
            {{"role": "assistant", {}}}, {{"role": "user", "content": "Why?"}}]}})",
                                               said));
        EXPECT_EQ(std::get<Conversation>(r.prompt).messages.at(1).content, "No.") << said;
        EXPECT_TRUE(r.unknown_fields.empty()) << said;
    }
}

TEST(RequestLine, UnknownFieldsAreNamedOnce) {
    using Names = std::vector<std::string>;
    const auto unknown = [](const std::string& line) { return read(line).unknown_fields; };
    EXPECT_EQ(unknown(chat(R"("user": "u", "metadata": {"mood": 1}, "stream_options": {"x": 1})")), Names{});
    EXPECT_EQ(unknown(chat(R"("mood": "good", "tone": null)")), Names{"mood"}) << "null is absent";
    EXPECT_EQ(unknown(R"({"extra": 1, "body": {"prompt": "a", "mood": 1}})"), (Names{"extra", "body.mood"}));
    EXPECT_EQ(unknown(R"({"messages": [{"role": "user", "content": "a", "mood": 1},
        {"role": "user", "content": [{"type": "text", "text": "b", "tone": 2}], "mood": 1}]})"),
              (Names{"messages[].mood", "messages[].content[].tone"}));
    EXPECT_EQ(unknown(chat(R"("tools": [{"type": "function", "function": {"name": "f", "mood": 1, "strict": true}}])")),
              (Names{"tools[].function.mood", "tools[].function.strict"}));
    EXPECT_EQ(unknown(chat(R"("chat_template_kwargs": {"mood": 1}, "reasoning": {"mood": 1})")),
              (Names{"reasoning.mood", "chat_template_kwargs.mood"}));
    std::string many;
    for (int i = 0; i < 500; i++) many += fmt::format("{}\"f{}\": 1", i ? ", " : "", i);
    EXPECT_EQ(unknown(chat(many)).size(), 20u);
}

TEST(RequestLine, TheIdOfALineThatIsNoJson) {
    EXPECT_EQ(find_custom_id(R"({"custom_id": "a-1", "body": {)"), "a-1");
    EXPECT_EQ(find_custom_id(R"({"body": {"prompt": "x}, "custom_id" : "a\u00e4\"b"})"), "a\u00e4\"b");
    EXPECT_EQ(find_custom_id("{\"prompt\": \"\xff\", \"custom_id\":\"d\"}"), "d");
    for (const char* none :
         {"", "{", "custom_id", R"("custom_id")", R"("custom_id":)", R"("custom_id": 5)", R"("custom_id": "cut)",
          R"("custom_id": "cut\)", "\"custom_id\": \"\xff\"", R"("custom_id": "\x")"})
        EXPECT_EQ(find_custom_id(none), std::nullopt) << none;
}

TEST(RequestLine, FieldsThatAskForWhatIsDoneAnyway) {
    EXPECT_EQ(error_in(completion(R"("n": 1, "best_of": 1, "echo": false, "stream": false, "suffix": "",
        "logit_bias": {}, "presence_penalty": 0.0, "frequency_penalty": 0, "unknown": [1, {"a": 2}])")),
              "");
    EXPECT_EQ(error_in(chat(R"("logprobs": false, "response_format": {"type": "text"}, "tool_choice": "auto")")), "");
}

struct BadLine {
    const char* why;
    std::string line;
    std::vector<std::string> words;  // that the message must have
};

class BadRequestLine : public testing::TestWithParam<BadLine> {};

TEST_P(BadRequestLine, IsRefusedWithTheFieldAndWhatWasExpected) {
    const std::string message = error_in(GetParam().line);
    EXPECT_NE(message, "") << "accepted";
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (const std::string& word : GetParam().words) EXPECT_NE(message.find(word), std::string::npos) << message;
}

const std::string kUser = R"({"role": "user", "content": "hi"})";
const std::string kTool = R"({"type": "function", "function": {"name": "f"}})";

// long because it is a table
INSTANTIATE_TEST_SUITE_P(
    Cases, BadRequestLine,
    testing::ValuesIn(std::vector<BadLine>{
        {"not_json", "{\"prompt\": }", {"the line: expected JSON"}},
        {"two_values", R"({"prompt": "a"} {"prompt": "b"})", {"the line: expected JSON"}},
        {"cut", R"({"prompt": "a)", {"the line: expected JSON"}},
        {"array", "[1]", {"an object", "an array"}},
        {"invalid_utf8", "{\"prompt\": \"\xff\"}", {"UTF-8", "13"}},
        {"lone_surrogate", R"({"prompt": "\ud800"})", {"the line: expected JSON"}},
        {"number_overflow", R"({"prompt": "a", "temperature": 1e999})", {"too large"}},
        {"custom_id_number", R"({"custom_id": 5, "prompt": "a"})", {"custom_id", "a string", "5"}},
        {"method", R"({"method": "GET", "body": {"prompt": "a"}})", {"method", "POST", "GET"}},
        {"url", R"({"url": "/v1/embeddings", "body": {"prompt": "a"}})", {"url", "/v1/completions", "/v1/embeddings"}},
        {"key_twice", completion(R"("seed": 1, "seed": 2)"), {"each key once", "\"seed\""}},
        {"url_against_body", R"({"url": "/v1/completions", "body": {"messages": []}})", {"body.prompt"}},
        {"body_is_text", R"({"body": "a"})", {"body", "an object", "\"a\""}},
        {"body_null", R"({"body": null})", {"body", "an object"}},
        {"neither", "{}", {"messages", "prompt", "neither"}},
        {"prompt_and_messages", R"({"prompt": "a", "messages": []})", {"both"}},
        {"prompt_number", R"({"prompt": 5})", {"prompt", "5"}},
        {"prompt_of_both", R"({"prompt": [1, "a"]})", {"prompt[1]", "token id", "\"a\""}},
        {"prompt_in_prompts", R"({"prompt": [[1, [2]]]})", {"prompt[0][1]", "token id"}},
        {"prompt_negative_id", R"({"prompt": [1, -3]})", {"prompt[1]", "-3"}},
        {"prompt_huge_id", R"({"prompt": [99999999999]})", {"prompt[0]", "99999999999"}},
        {"prompt_fraction", R"({"prompt": [1.5]})", {"prompt[0]", "1.5"}},
        {"temperature_abc", completion(R"("temperature": "abc")"), {"temperature", "number", "\"abc\""}},
        {"temperature_negative", completion(R"("temperature": -0.1)"), {"temperature", "-0.1"}},
        {"path_in_body", R"({"body": {"prompt": "a", "temperature": []}})", {"body.temperature", "[]"}},
        {"top_p_negative", completion(R"("top_p": -0.5)"), {"top_p", "from 0 to 1"}},
        {"top_k_fraction", completion(R"("top_k": 1.5)"), {"top_k", "integer"}},
        {"top_p_above_one", completion(R"("top_p": 1.01)"), {"top_p", "1.01"}},
        {"max_tokens_negative", completion(R"("max_tokens": -3)"), {"max_tokens", "from -1", "-3"}},
        {"max_tokens_zero", completion(R"("max_tokens": 0)"), {"max_tokens", "0"}},
        {"max_tokens_fraction", completion(R"("max_tokens": 2.5)"), {"max_tokens", "2.5"}},
        {"max_tokens_huge", completion(R"("max_tokens": 18446744073709551615)"), {"max_tokens"}},
        {"seed_text", completion(R"("seed": "x")"), {"seed", "\"x\""}},
        {"stop_empty", completion(R"("stop": "")"), {"stop", "at least one character"}},
        {"stop_number", completion(R"("stop": ["a", 5])"), {"stop", "5"}},
        {"stop_seventeen",
         completion(R"("stop": ["a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a"])"),
         {"stop", "16", "17"}},
        {"stop_ids_text", completion(R"("stop_token_ids": ["a"])"), {"stop_token_ids[0]", "token id"}},
        {"min_tokens", completion(R"("min_tokens": -1)"), {"min_tokens", "-1"}},
        {"min_new_tokens", completion(R"("min_new_tokens": "5")"), {"min_new_tokens", "5"}},
        {"guided_json", chat(R"("guided_json": {"type": "object"})"), {"guided_json", "not supported"}},
        {"guided_choice", chat(R"("guided_choice": ["yes", "no"])"), {"guided_choice", "not supported"}},
        {"structured_outputs", chat(R"("structured_outputs": {"choice": ["a"]})"), {"structured_outputs"}},
        {"grammar", chat(R"("grammar": "root ::= \"x\"")"), {"grammar"}},
        {"format", chat(R"("format": "json")"), {"format", "\"json\""}},
        {"continue_final_message", chat(R"("continue_final_message": true)"), {"continue_final_message", "false"}},
        {"no_generation_prompt", chat(R"("add_generation_prompt": false)"), {"add_generation_prompt", "true"}},
        {"bad_words", chat(R"("bad_words": ["x"])"), {"bad_words"}},
        {"allowed_token_ids", chat(R"("allowed_token_ids": [5])"), {"allowed_token_ids", "not supported"}},
        {"truncate_prompt_tokens", chat(R"("truncate_prompt_tokens": 5)"), {"truncate_prompt_tokens"}},
        {"typical_p", chat(R"("typical_p": 0.5)"), {"typical_p", "0.5"}},
        {"options", chat(R"("options": {"num_predict": 2})"), {"options", "{}"}},
        {"thinking_budget", chat(R"("thinking": {"type": "enabled", "budget_tokens": 9})"), {"thinking.budget_tokens"}},
        {"thinking_type", chat(R"("thinking": {"type": "perhaps"})"), {"thinking.type", "perhaps"}},
        {"efforts_differ",
         chat(R"("reasoning_effort": "low", "chat_template_kwargs": {"reasoning_effort": "high"})"),
         {"chat_template_kwargs.reasoning_effort", "the effort of reasoning_effort"}},
        {"limits_differ", chat(R"("max_tokens": 3, "max_new_tokens": -1)"), {"max_new_tokens", "3", "-1"}},
        {"identity",
         chat(R"("chat_template_kwargs": {"model_identity": "x"})"),
         {"chat_template_kwargs.model_identity"}},
        {"message_prefix",
         R"({"messages": [{"role": "user", "content": "x", "prefix": true}]})",
         {"messages[0].prefix", "false"}},
        {"message_audio",
         R"({"body": {"messages": [{"role": "user", "content": "x", "audio": {"id": "a"}}]}})",
         {"body.messages[0].audio", "not supported"}},
        {"ignore_eos_text", completion(R"("ignore_eos": "yes")"), {"ignore_eos", "true or false"}},
        {"prompt_of_numbers", R"({"prompt": ["a", 5]})", {"prompt[1]", "a string", "5"}},
        {"n_zero", completion(R"("n": 0)"), {"n: ", "from 1 to 128", "0"}},
        {"n_many", completion(R"("n": 129)"), {"n: ", "129"}},
        {"n_text", completion(R"("n": "2")"), {"n: ", "\"2\""}},
        {"best_of", completion(R"("best_of": 2)"), {"best_of", "value of n, 1", "2"}},
        {"logprobs_chat", chat(R"("logprobs": 5)"), {"logprobs", "true or false", "5"}},
        {"logprobs_completion", completion(R"("logprobs": 21)"), {"logprobs", "from 0 to 20", "21"}},
        {"logprobs_completion_true", completion(R"("logprobs": true)"), {"logprobs", "integer", "true"}},
        {"top_logprobs", chat(R"("logprobs": true, "top_logprobs": 21)"), {"top_logprobs", "from 0 to 20", "21"}},
        {"top_logprobs_alone", chat(R"("top_logprobs": 2)"), {"top_logprobs", "logprobs is not true", "2"}},
        {"echo_text", completion(R"("echo": "yes")"), {"echo", "true or false"}},
        {"echo_chat", chat(R"("echo": true)"), {"echo", "false"}},
        {"min_p", completion(R"("min_p": 1.5)"), {"min_p", "from 0 to 1", "1.5"}},
        {"presence_penalty", completion(R"("presence_penalty": 2.5)"), {"presence_penalty", "from -2 to 2", "2.5"}},
        {"frequency_penalty", completion(R"("frequency_penalty": "1")"), {"frequency_penalty", "number"}},
        {"logit_bias_list", completion(R"("logit_bias": [1])"), {"logit_bias", "an object"}},
        {"logit_bias_key", completion(R"("logit_bias": {"a": 1})"), {"logit_bias", "token ids", "\"a\""}},
        {"logit_bias_negative", completion(R"("logit_bias": {"-1": 1})"), {"logit_bias", "token ids", "\"-1\""}},
        {"logit_bias_text", completion(R"("logit_bias": {"5": "1"})"), {"logit_bias.5", "from -100 to 100"}},
        {"logit_bias_range", completion(R"("logit_bias": {"5": 101})"), {"logit_bias.5", "101"}},
        {"tool_choice_word", chat(R"("tool_choice": "sometimes")"), {"tool_choice", "required", "sometimes"}},
        {"tool_choice_number", chat(R"("tool_choice": 1)"), {"tool_choice", "required", "1"}},
        {"tool_choice_without_tools", chat(R"("tool_choice": "required")"), {"tool_choice", "no tools", "required"}},
        {"tool_choice_type", chat(R"("tool_choice": {"type": "custom"})"), {"tool_choice.type", "allowed_tools"}},
        {"tool_choice_unknown",
         chat(R"("tool_choice": {"type": "function", "function": {"name": "g"}}, "tools": [)" + kTool + "]"),
         {"tool_choice.function.name", "one of the tools", "\"g\""}},
        {"allowed_tools_unknown",
         chat(R"("tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [)"
              R"({"type": "function", "function": {"name": "g"}}]}}, "tools": [)" +
              kTool + "]"),
         {"tool_choice.allowed_tools.tools[0].function.name", "\"g\""}},
        {"allowed_tools_mode",
         chat(R"("tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "none"}}, "tools": [)" + kTool +
              "]"),
         {"tool_choice.allowed_tools.mode", "auto or required"}},
        {"allowed_tools_none",
         chat(R"("tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": []}}, "tools": [)" + kTool + "]"),
         {"tool_choice.allowed_tools.tools", "at least one"}},
        {"reasoning_details",
         R"({"messages": [{"role": "assistant", "content": "x", "reasoning_details": "y"}]})",
         {"messages[0].reasoning_details", "an array"}},
        {"response_format", chat(R"("response_format": {"type": "json_object"})"), {"response_format", "text"}},
        {"suffix", completion(R"("suffix": "x")"), {"suffix"}},
        {"repetition_penalty", completion(R"("repetition_penalty": 0)"), {"repetition_penalty", "0.01 to 100"}},
        {"effort", chat(R"("reasoning_effort": "extreme")"), {"reasoning_effort", "low, medium, high", "extreme"}},
        {"tool_schema_huge",
         chat(R"("tools": [{"type": "function", "function": {"name": "f", "parameters": {"description": ")" +
              std::string(1 << 20, 'x') + R"("}}}])"),
         {"tools[0].function.parameters", "at most 1048576 bytes"}},
        {"no_messages", R"({"messages": []})", {"messages", "at least one"}},
        {"messages_text", R"({"messages": "hi"})", {"messages", "an array"}},
        {"role", R"({"messages": [{"role": "robot", "content": "x"}]})", {"messages[0].role", "robot"}},
        {"no_role", R"({"messages": [{"content": "x"}]})", {"messages[0].role"}},
        {"message_text", R"({"messages": ["x"]})", {"messages[0]", "an object"}},
        {"no_content", R"({"messages": [{"role": "user"}]})", {"messages[0].content"}},
        {"content_number", R"({"messages": [{"role": "user", "content": 5}]})", {"messages[0].content", "5"}},
        {"image",
         R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
         {"messages[0].content[0].type", "image_url"}},
        {"part_without_text",
         R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})",
         {"messages[0].content[0].text"}},
        {"assistant_says_nothing",
         R"({"messages": [)" + kUser + R"(, {"role": "assistant", "content": null}]})",
         {"messages[1].content"}},
        {"tool_without_call",
         R"({"messages": [)" + kUser + R"(, {"role": "tool", "tool_call_id": "c", "content": "x"}]})",
         {"messages[1].tool_call_id"}},
        {"call_without_function",
         R"({"messages": [)" + kUser + R"(, {"role": "assistant", "tool_calls": [{"id": "c"}]}]})",
         {"messages[1].tool_calls[0].function"}},
        {"tool_without_name", chat(R"("tools": [{"type": "function", "function": {}}])"), {"tools[0].function.name"}},
        {"tool_type", chat(R"("tools": [{"type": "web_search"}])"), {"tools[0].type", "web_search"}},
        {"tool_parameters",
         chat(R"("tools": [{"type": "function", "function": {"name": "f", "parameters": []}}])"),
         {"tools[0].function.parameters", "an object"}},
    }),
    [](const auto& c) { return c.param.why; });

TEST(RequestLine, MessagesStayShort) {
    const std::string message = error_in(completion(R"("temperature": ")" + std::string(100000, 'x') + "\""));
    EXPECT_NE(message.find("temperature"), std::string::npos);
    EXPECT_LT(message.size(), 200u);
    // Not cut within a character: U+00E4 is two bytes.
    std::string umlauts;
    for (int i = 0; i < 50; i++) umlauts += "\u00e4";
    const std::string cut = error_in(completion(R"("seed": "x)" + umlauts + "\""));
    EXPECT_NE(cut.find("\u00e4\"..."), std::string::npos) << cut;
}

TEST(RequestLine, DepthAndWidthAreLimited) {
    const auto nested = [](int depth) {
        return R"({"prompt": "x", "deep": )" + std::string(size_t(depth), '[') + std::string(size_t(depth), ']') + "}";
    };
    EXPECT_EQ(error_in(nested(60)), "");
    EXPECT_NE(error_in(nested(70)).find("nested at most 64"), std::string::npos);
    EXPECT_NE(error_in(nested(100000)).find("nested at most 64"), std::string::npos);
    EXPECT_NE(error_in(R"({"a":)" + std::string(100000, '[')).find("nested at most 64"), std::string::npos);

    const auto wide = [](int n_keys) {
        std::string keys;
        for (int i = 0; i < n_keys; i++) keys += fmt::format(", \"k{}\": {{}}", i);
        return R"({"prompt": "x")" + keys + "}";
    };
    EXPECT_EQ(error_in(wide(999)), "");
    EXPECT_NE(error_in(wide(1000)).find("1000 keys"), std::string::npos);
}

}  // namespace
