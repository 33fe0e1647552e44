// test_requests_answers.cpp: from generated tokens to lines of output. Jobs are driven by hand, as an engine would.
#include <gtest/gtest.h>

#include <algorithm>

#include "request_file.h"
#include "support/json.h"

namespace {

using Json = nlohmann::json;

struct Collected : ResultSink {
    void on_token() override { n_tokens++; }
    void on_answers(const Request& r, std::vector<Answer> a) override {
        n_answers++;
        request = r;
        answer = std::move(a.at(0));
    }
    int n_tokens = 0, n_answers = 0;
    Request request;
    Answer answer;
};

// Runs a job as the engine does: feeds `ids` until on_token says no, a stop id comes, or they are used up.
Collected run(Request request, const std::vector<int>& ids, const TextCodec& codec = bytes_codec()) {
    Collected collected;
    request.prompt = {1, 2, 3};
    const std::unique_ptr<Job> job = std::move(make_jobs(std::move(request), codec, collected).at(0));
    EXPECT_EQ(job->prompt, (std::vector<int>{1, 2, 3}));
    for (const int id : ids) {
        const bool more = job->on_token(id);
        if (!more || std::count(job->stop_ids.begin(), job->stop_ids.end(), id)) {
            job->on_done(Finish::kStop);
            return collected;
        }
    }
    job->on_done(Finish::kLength);
    return collected;
}

Request completion(std::vector<std::string> stops = {}) {
    Request r;
    r.kind = AnswerKind::kCompletion;
    r.stop_ids = ids_of("<|return|>");
    r.stop_texts = std::move(stops);
    return r;
}

Request chat(std::vector<std::string> stops = {}) {
    Request r = completion(std::move(stops));
    r.kind = AnswerKind::kChat;
    r.stop_ids = ids_of("<|return|><|call|>");
    return r;
}

// ---- jobs

TEST(CompletionJob, TextWithoutTheStopIdAndIdsWithIt) {
    const Collected c = run(completion(), ids_of("Hello<|return|>"));
    EXPECT_EQ(c.answer.error, "");
    EXPECT_EQ(c.answer.content, "Hello");
    EXPECT_EQ(c.answer.ids, ids_of("Hello<|return|>"));
    EXPECT_EQ(c.answer.finish, Finish::kStop);
    EXPECT_EQ(c.answer.n_prompt, 3);
    EXPECT_EQ(c.n_tokens, 6);
    EXPECT_EQ(c.n_answers, 1);
}

TEST(CompletionJob, OtherSpecialTokensShow) {
    EXPECT_EQ(run(completion(), ids_of("a<|end|>b<|return|>")).answer.content, "a<|end|>b");
    Request ignoring = completion();
    ignoring.stop_ids.clear();
    const Collected c = run(ignoring, ids_of("a<|return|>b"));
    EXPECT_EQ(c.answer.content, "a<|return|>b");
    EXPECT_EQ(c.answer.finish, Finish::kLength);
}

TEST(CompletionJob, StopStringAcrossTokens) {
    const Collected c = run(completion({"lo w"}), ids_of("Hello world"));
    EXPECT_EQ(c.answer.content, "Hel");
    EXPECT_EQ(c.answer.ids, ids_of("Hello w")) << "up to the token that completes it";
    EXPECT_EQ(c.answer.finish, Finish::kStop);
}

TEST(CompletionJob, CharactersOfSeveralTokens) {
    EXPECT_EQ(run(completion(), {0xc3, 0xa4}).answer.content, "\u00e4");
    EXPECT_EQ(run(completion(), {'a', 0xc3}).answer.content, "a\ufffd") << "unfinished at the end";
    EXPECT_EQ(run(completion(), {0xff, 'a'}).answer.content, "\ufffda") << "never UTF-8";
    EXPECT_EQ(run(completion({"\u00e4"}), {'a', 0xc3, 0xa4, 'b'}).answer.content, "a");
}

TEST(CompletionJob, WithoutATokenizerThereAreOnlyIds) {
    const TextCodec none("there is none");
    const Collected c = run(completion(), {5, 6, 7}, none);
    EXPECT_EQ(c.answer.content, "");
    EXPECT_EQ(c.answer.ids, (std::vector<int>{5, 6, 7}));
}

TEST(CompletionJob, RefusedByTheEngine) {
    Collected collected;
    Request request = completion();
    request.index = 4;
    make_jobs(std::move(request), bytes_codec(), collected).at(0)->on_error("too long");
    EXPECT_EQ(collected.answer.error, "too long");
    EXPECT_EQ(collected.request.index, 4);
    EXPECT_EQ(collected.n_answers, 1);
}

TEST(ChatJob, ReasoningThenAnswer) {
    const Collected c = run(chat(), ids_of("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final"
                                           "<|message|>Hello.<|return|>"));
    EXPECT_EQ(c.answer.content, "Hello.");
    EXPECT_EQ(c.answer.reasoning, "Hm.");
    EXPECT_TRUE(c.answer.tool_calls.empty());
    EXPECT_EQ(c.answer.finish, Finish::kStop);
}

TEST(ChatJob, StopStringsCountInTheContentAlone) {
    const std::string analysis =
        "<|channel|>analysis<|message|>END<|end|><|start|>assistant<|channel|>final<|message|>";
    Collected c = run(chat({"END"}), ids_of(analysis + "a END b<|return|>"));
    EXPECT_EQ(c.answer.content, "a ");
    EXPECT_EQ(c.answer.reasoning, "END");
    EXPECT_EQ(c.answer.ids, ids_of(analysis + "a END"));
    EXPECT_EQ(c.answer.finish, Finish::kStop);
}

TEST(ChatJob, CallsWithAPreamble) {
    const Collected c =
        run(chat(),
            ids_of("<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>commentary<|message|>One "
                   "moment.<|end|><|start|>assistant<|channel|>commentary to=functions.find "
                   "<|constrain|>json<|message|>{\"q\":1}<|call|>"));
    EXPECT_EQ(c.answer.content, "One moment.");
    EXPECT_EQ(c.answer.reasoning, "Look.");
    ASSERT_EQ(c.answer.tool_calls.size(), 1u);
    EXPECT_EQ(c.answer.tool_calls[0].name, "find");
    EXPECT_EQ(c.answer.tool_calls[0].arguments, "{\"q\":1}");
}

TEST(ChatJob, CallOnTheAnalysisChannel) {
    const Collected c = run(chat(), ids_of("<|channel|>analysis to=functions.f<|message|>{}<|call|>"));
    ASSERT_EQ(c.answer.tool_calls.size(), 1u);
    EXPECT_EQ(c.answer.reasoning, "");
    EXPECT_EQ(c.answer.content, "");
}

TEST(ChatJob, SeveralMessagesToTheUserStandOnLinesOfTheirOwn) {
    const std::string again = "<|end|><|start|>assistant<|channel|>";
    const Collected c = run(chat(), ids_of("<|channel|>commentary<|message|>One." + again + "analysis<|message|>a" +
                                           again + "analysis<|message|>b" + again + "final<|message|>Two.<|return|>"));
    EXPECT_EQ(c.answer.content, "One.\nTwo.");
    EXPECT_EQ(c.answer.reasoning, "a\nb");
}

TEST(ChatJob, CutAnywhereNothingIsLost) {
    EXPECT_EQ(run(chat(), ids_of("<|channel|>final<|message|>Hel")).answer.content, "Hel");
    std::vector<int> half_a_character = ids_of("<|channel|>final<|message|>a");
    half_a_character.push_back(0xc3);
    EXPECT_EQ(run(chat(), half_a_character).answer.content, "a\ufffd");
    const Collected c = run(chat(), ids_of("<|channel|>commentary to=functions.f<|message|>{\"q\":"));
    EXPECT_EQ(c.answer.finish, Finish::kLength);
    ASSERT_EQ(c.answer.tool_calls.size(), 1u);
    EXPECT_EQ(c.answer.tool_calls[0].arguments, "{\"q\":");
    EXPECT_EQ(run(chat(), ids_of("no structure at all")).answer.content, "no structure at all");
}

// ---- lines

TEST(AnswerLine, TokenLines) {
    EXPECT_EQ(token_line({}), "");
    EXPECT_EQ(token_line({5}), "5");
    EXPECT_EQ(token_line({0, 199999, 200002}), "0 199999 200002");
}

TEST(AnswerLine, Completion) {
    Request request = completion();
    request.index = 3;
    request.custom_id = "id \"3\"";
    const Collected c = run(request, ids_of("Hi<|return|>"));
    EXPECT_EQ(json_of(answer_line(c.request, {c.answer}, "gpt-oss", 1234)), json_of(R"({
        "id": "batch_req_3", "custom_id": "id \"3\"", "error": null,
        "response": {"status_code": 200, "request_id": "req_3_0000000000000000", "body": {
            "id": "cmpl-3", "object": "text_completion", "created": 1234, "model": "gpt-oss",
            "choices": [{"index": 0, "text": "Hi", "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}}}})"));
}

TEST(AnswerLine, Chat) {
    Request request = chat();
    request.return_token_ids = true;
    request.model = "mine";
    const std::vector<int> ids =
        ids_of("<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>y");
    const Collected c = run(request, ids);
    const Json line = json_of(answer_line(c.request, {c.answer}, "gpt-oss", 1));
    EXPECT_EQ(line["custom_id"], nullptr);
    const Json& body = line["response"]["body"];
    EXPECT_EQ(body["object"], "chat.completion");
    EXPECT_EQ(body["model"], "mine");
    const Json& choice = body["choices"][0];
    EXPECT_EQ(choice["message"],
              json_of(R"({"role": "assistant", "content": "y", "refusal": null, "reasoning_content": "x"})"));
    EXPECT_EQ(choice["finish_reason"], "length");
    EXPECT_EQ(choice["token_ids"], Json(ids));
    EXPECT_EQ(body["usage"]["completion_tokens"], ids.size());
    EXPECT_EQ(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 1);

    Request hiding = request;
    hiding.include_reasoning = false;
    const Json hidden = json_of(answer_line(hiding, {c.answer}, "gpt-oss", 1))["response"]["body"]["choices"][0];
    EXPECT_FALSE(hidden["message"].contains("reasoning_content"));
}

TEST(ChatJob, ReasoningTokensAreThoseOfTheAnalysis) {
    const std::string next = "<|end|><|start|>assistant<|channel|>";
    const auto n_reasoning = [](const std::string& text) { return run(chat(), ids_of(text)).answer.n_reasoning; };
    EXPECT_EQ(n_reasoning("<|channel|>final<|message|>Hello.<|return|>"), 0);
    EXPECT_EQ(n_reasoning("<|channel|>analysis<|message|>Hm.<|end|>"), 3);
    EXPECT_EQ(n_reasoning("<|channel|>analysis<|message|>Hm"), 2) << "cut by the limit";
    EXPECT_EQ(n_reasoning("<|channel|>analysis<|message|>" + next + "final<|message|>a<|return|>"), 0);
    EXPECT_EQ(n_reasoning("<|channel|>analysis<|message|>ab" + next + "analysis<|message|>\u00e4" + next +
                          "final<|message|>abc<|return|>"),
              4)
        << "half a character is a token too";
}

TEST(ChatJob, OneCallIfTheRequestWantsOne) {
    const std::string call = "<|channel|>commentary to=functions.f<|message|>{}<|end|>";
    const std::vector<int> two = ids_of(call + "<|start|>assistant" + call + "<|start|>assistant<|channel|>final");
    EXPECT_EQ(run(chat(), two).answer.tool_calls.size(), 2u);
    Request request = chat();
    request.parallel_tool_calls = false;
    const Collected c = run(request, two);
    EXPECT_EQ(c.answer.tool_calls.size(), 1u);
    EXPECT_EQ(c.answer.ids, ids_of(call));
    EXPECT_EQ(c.answer.finish, Finish::kStop);
}

TEST(CompletionJob, TheStopStringStaysIfAskedFor) {
    Request request = completion({"lo", "zz"});
    request.include_stop = true;
    EXPECT_EQ(run(request, ids_of("Hello world")).answer.content, "Hello");
    EXPECT_EQ(run(request, ids_of("Hi<|return|>")).answer.content, "Hi") << "a stop id is no text";
}

TEST(CompletionJob, BeforeItsLeastTokensNoStopStringCounts) {
    Request request = completion({"lo", "or"});
    request.min_new_tokens = 5;
    EXPECT_EQ(run(request, ids_of("Hello world")).answer.content, "Hello w");
    request.min_new_tokens = 4;
    EXPECT_EQ(run(request, ids_of("Hello world")).answer.content, "Hel") << "complete with the fifth";
    request.stop_texts.clear();
    EXPECT_EQ(run(request, ids_of("Hello<|return|>")).answer.content, "Hello");
}

TEST(ChatJob, BeforeItsLeastTokensACallDoesNotEndIt) {
    const std::string call = " to=functions.f<|channel|>commentary<|message|>{}<|end|><|start|>assistant";
    Request request = chat();
    request.parallel_tool_calls = false;
    EXPECT_EQ(run(request, ids_of(call + call)).answer.tool_calls.size(), 1u);
    request.min_new_tokens = int(ids_of(call).size());
    EXPECT_EQ(run(request, ids_of(call + call)).answer.tool_calls.size(), 2u);
}

TEST(AnswerLine, ToolCalls) {
    Request request = chat();
    request.index = 2;
    Answer answer;
    answer.tool_calls = {{"f", "{}"}, {"g", "{\"a\": \"b\"}"}};
    Json choice = json_of(answer_line(request, {answer}, "m", 0))["response"]["body"]["choices"][0];
    EXPECT_EQ(choice["finish_reason"], "tool_calls");
    EXPECT_EQ(choice["message"], json_of(R"({"role": "assistant", "content": null, "refusal": null,
        "reasoning_content": null, "tool_calls": [{"id": "call_2_0", "type": "function", "function":
            {"name": "f", "arguments": "{}"}},
            {"id": "call_2_1", "type": "function", "function": {"name": "g", "arguments": "{\"a\": \"b\"}"}}]})"));
    answer.finish = Finish::kLength;
    choice = json_of(answer_line(request, {answer}, "m", 0))["response"]["body"]["choices"][0];
    EXPECT_EQ(choice["finish_reason"], "length") << "a call that was cut";
}

TEST(AnswerLine, Errors) {
    Request request;
    Answer answer;
    request.line = 7;
    request.error = answer.error = "body.prompt: expected text, found \"\n\"";
    const auto line = [&] { return json_of(answer_line(request, {answer}, "m", 0)); };
    const Json error = {{"message", "line 7: " + answer.error},
                        {"type", "invalid_request_error"},
                        {"param", "prompt"},
                        {"code", nullptr}};
    const Json expected = {
        {"id", "batch_req_0"},
        {"custom_id", nullptr},
        {"response", {{"status_code", 400}, {"request_id", "req_0_0000000000000000"}, {"body", {{"error", error}}}}},
        {"error", nullptr}};
    EXPECT_EQ(line(), expected);
    request.custom_id = "c";
    EXPECT_EQ(line()["custom_id"], "c");
    EXPECT_EQ(line()["response"]["body"]["error"]["message"], answer.error) << "the id says which line it was";

    for (const auto& [message, param] : std::vector<std::pair<std::string, Json>>{
             {"messages[3].content[0].text: expected a string, found none", "messages[3].content[0].text"},
             {"the line: expected JSON, found the end of the text at byte 5", nullptr},
             {"the prompt is empty", nullptr},
             {"", nullptr}}) {
        answer.error = message + " ";
        EXPECT_EQ(line()["response"]["body"]["error"]["param"], param) << message;
    }
    request.error_code = "context_length_exceeded";
    EXPECT_EQ(line()["response"]["body"]["error"]["code"], "context_length_exceeded");

    request.error = request.error_code = "";
    answer.error = "logits: not finite";
    EXPECT_EQ(line()["response"]["status_code"], 500) << "it failed while it ran";
    EXPECT_EQ(line()["response"]["body"]["error"]["type"], "server_error");
}

TEST(AnswerLine, IsOneLineWhateverTheTextHolds) {
    Request request = completion();
    Answer answer;
    answer.content = std::string("a\nb\r\0c\u2028 \xff", 12);
    const std::string line = answer_line(request, {answer}, "m", 0);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_TRUE(Json::accept(line));
}

TEST(AnswerHash, DependsOnIndexAndIdsAndTheirOrder) {
    const std::vector<uint64_t> hashes = {answer_hash(0, {1, 2}), answer_hash(1, {1, 2}), answer_hash(0, {2, 1}),
                                          answer_hash(0, {1}),    answer_hash(0, {}),     answer_hash(0, {1, 2, 0})};
    for (size_t i = 0; i < hashes.size(); i++)
        for (size_t j = 0; j < i; j++) EXPECT_NE(hashes[i], hashes[j]) << i << " and " << j;
    // Two requests that exchange their answers must change the sum over the run.
    EXPECT_NE(answer_hash(0, {5}) + answer_hash(1, {6}), answer_hash(0, {6}) + answer_hash(1, {5}));
}

TEST(InOrder, HoldsBackUntilAllBeforeAreThere) {
    std::string seen;
    InOrder<std::string> in_order([&](std::string s) { seen += s; });
    in_order.add(2, "c");
    in_order.add(1, "b");
    EXPECT_EQ(seen, "");
    in_order.add(0, "a");
    EXPECT_EQ(seen, "abc");
    in_order.add(3, "d");
    EXPECT_EQ(seen, "abcd");
}

// ---- files

TEST(Verifier, TellsTheFirstDifference) {
    const TempFolder folder;
    Verifier verifier(folder.write("reference", "1 2 3\n\n4 5\r\n6 7\n8\n"));
    EXPECT_EQ(verifier.n_lines(), 5);
    EXPECT_EQ(verifier.compare({1, 2, 3}), "");
    EXPECT_EQ(verifier.compare({}), "") << "an empty line is a failed request";
    EXPECT_EQ(verifier.compare({4, 9}), "token 1: expected 5, found 9");
    EXPECT_EQ(verifier.compare({6}), "token 1: expected 7, found the end");
    EXPECT_EQ(verifier.compare({8, 0}), "token 1: expected the end, found 0");
    EXPECT_NE(verifier.compare({1}).find("5 lines"), std::string::npos) << "the file is too short";
    EXPECT_EQ(verifier.n_compared(), 6);
    EXPECT_EQ(verifier.n_equal(), 2);
}

TEST(Verifier, RefusesWhatIsNotTokenIds) {
    const TempFolder folder;
    for (const char* text :
         {"1 2\n3 x\n", "1 2\n-1\n", "1 2\n3,4\n", "1 2\n99999999999\n", "1 2\n1.5\n", "1 2\n0x1\n"}) {
        const std::string file = folder.write("reference", text);
        EXPECT_TRUE(has(error_of([&] { Verifier{file}; }), {"reference:2:"})) << text;
    }
    EXPECT_THROW(Verifier(folder.path("nowhere")), Error);
}

}  // namespace
