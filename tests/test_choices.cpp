// test_choices.cpp: requests for several answers and for log-probabilities: the jobs, and what is written.
#include <gtest/gtest.h>

#include <cmath>

#include "request_file.h"
#include "requests/answer_body.h"
#include "requests/answer_events.h"
#include "support/json.h"

namespace {

using Json = nlohmann::json;

struct Collected : ResultSink {
    void on_answers(const Request& r, std::vector<Answer> a) override {
        n_calls++;
        request = r;
        answers = std::move(a);
    }
    bool cancelled(bool) const override { return stop; }
    int n_calls = 0;
    bool stop = false;
    Request request;
    std::vector<Answer> answers;
};

Request completion() {
    Request r;
    r.kind = AnswerKind::kCompletion;
    r.prompt = {'a', 'b'};
    r.max_new_tokens = 5;
    r.stop_ids = ids_of("<|return|>");
    r.vocab_size = kByteVocab;
    r.sampling.seed = 7;
    return r;
}

Request chat() {
    Request r = completion();
    r.kind = AnswerKind::kChat;
    return r;
}

void say(Job& job, const std::string& text, int n_top = 0) {
    for (const int id : ids_of(text)) {
        TokenLogprobs logprobs{{id, -0.5}, {}};
        for (int i = 0; i < n_top; i++) logprobs.top.push_back({'x' + i, -1.0 - i});
        if (job.sampling.n_logprobs >= 0) job.on_logprobs(logprobs);
        if (!job.on_token(id)) return;
    }
}

// The body of what getp writes.
Json body_of(const Collected& c) {
    return Json::parse(answer_line(c.request, c.answers, "m", 1))["response"]["body"];
}

TEST(Choices, PromptByPromptWithSeedsOfTheirOwn) {
    Request r = completion();
    r.n = 2;
    r.more_prompts = {{{'c'}, 9}};
    const std::vector<Request> choices = choices_of(r);
    ASSERT_EQ(choices.size(), 4u);
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(choices[size_t(i)].choice, i);
        EXPECT_EQ(choices[size_t(i)].sampling.seed, 7u + uint64_t(i % 2));
        EXPECT_EQ(choices[size_t(i)].prompt, i < 2 ? r.prompt : std::vector<int>{'c'});
        EXPECT_EQ(choices[size_t(i)].max_new_tokens, i < 2 ? 5 : 9);
    }
}

TEST(Choices, OneLineWhenAllAreThere) {
    Request r = completion();
    r.n = 2;
    r.more_prompts = {{{'c'}, 9}};
    Collected c;
    const auto jobs = make_jobs(r, bytes_codec(), c);
    ASSERT_EQ(jobs.size(), 4u);
    for (const size_t i : {2u, 0u, 3u, 1u}) {
        EXPECT_EQ(c.n_calls, 0);
        say(*jobs[i], std::string(1, char('A' + i)));
        jobs[i]->on_done(Finish::kLength);
    }
    EXPECT_EQ(c.n_calls, 1);
    const Json body = body_of(c);
    ASSERT_EQ(body["choices"].size(), 4u);
    for (size_t i = 0; i < 4; i++) {
        EXPECT_EQ(body["choices"][i]["index"], i);
        EXPECT_EQ(body["choices"][i]["text"], std::string(1, char('A' + i)));
    }
    EXPECT_EQ(body["usage"]["prompt_tokens"], 3) << "each prompt once";
    EXPECT_EQ(body["usage"]["completion_tokens"], 4);
}

TEST(Choices, OneThatFailsFailsTheRequestAndEndsTheOthers) {
    Request r = completion();
    r.n = 3;
    Collected c;
    const auto jobs = make_jobs(r, bytes_codec(), c);
    jobs[1]->on_done(Finish::kLength);
    EXPECT_FALSE(jobs[0]->cancelled());
    jobs[2]->on_error("too long");
    EXPECT_EQ(c.n_calls, 1);
    ASSERT_EQ(c.answers.size(), 1u);
    EXPECT_EQ(c.answers[0].error, "too long");
    EXPECT_TRUE(jobs[0]->cancelled());
    jobs[0]->on_done(Finish::kCancelled);
    EXPECT_EQ(c.n_calls, 1);
}

TEST(Choices, ACancelledOneLeavesNoAnswer) {
    Request r = completion();
    r.n = 2;
    Collected c;
    const auto jobs = make_jobs(r, bytes_codec(), c);
    jobs[0]->on_done(Finish::kCancelled);
    jobs[1]->on_done(Finish::kLength);
    EXPECT_EQ(c.n_calls, 0);
}

TEST(Choices, CallsHaveIdsOfTheirOwn) {
    Request r = chat();
    r.n = 2;
    r.index = 3;
    Collected c;
    const auto jobs = make_jobs(r, bytes_codec(), c);
    for (const auto& job : jobs) {
        say(*job, "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>");
        job->on_done(Finish::kStop);
    }
    const Json body = body_of(c);
    EXPECT_EQ(body["choices"][0]["message"]["tool_calls"][0]["id"], "call_3_0");
    EXPECT_EQ(body["choices"][1]["message"]["tool_calls"][0]["id"], "call_3_1_0");
}

// ---- log-probabilities

TEST(AnswerLogprobs, OfACompletionWithoutItsEnd) {
    Request r = completion();
    r.sampling.n_logprobs = 2;
    Collected c;
    const auto jobs = make_jobs(r, bytes_codec(), c);
    say(*jobs[0],
        "\xc3\xa4"
        "b<|return|>",
        2);
    jobs[0]->on_done(Finish::kStop);
    const Json choice = body_of(c)["choices"][0];
    EXPECT_EQ(choice["text"], "\u00e4b");
    EXPECT_EQ(choice["logprobs"], Json::parse(R"({"tokens": ["\ufffd", "\ufffd", "b"],
        "token_logprobs": [-0.5, -0.5, -0.5],
        "top_logprobs": [{"x": -1.0, "y": -2.0}, {"x": -1.0, "y": -2.0}, {"x": -1.0, "y": -2.0}],
        "text_offset": [0, 1, 1]})"));
}

TEST(AnswerLogprobs, AreCutWhereAStopStringCuts) {
    Request r = completion();
    r.sampling.n_logprobs = 0;
    r.stop_texts = {"ND"};
    Collected c;
    const auto jobs = make_jobs(r, bytes_codec(), c);
    say(*jobs[0], "aENDb");
    jobs[0]->on_done(Finish::kStop);
    const Json choice = body_of(c)["choices"][0];
    EXPECT_EQ(choice["text"], "aE");
    EXPECT_EQ(choice["logprobs"]["tokens"], Json::parse(R"(["a", "E"])"));
    EXPECT_EQ(choice["logprobs"]["top_logprobs"], nullptr) << "none was asked for";
}

TEST(AnswerLogprobs, EchoHasThePromptsToo) {
    Request r = completion();
    r.prompt = {'a', 'b', 'c'};
    r.echo = true;
    r.max_new_tokens = 0;
    r.sampling.n_logprobs = 1;
    Collected c;
    const auto jobs = make_jobs(r, bytes_codec(), c);
    EXPECT_TRUE(jobs[0]->want_logits);
    std::vector<float> logits(kByteVocab, -INFINITY);
    logits['b'] = logits['x'] = 0;
    jobs[0]->on_logits(0, logits.data());
    logits['c'] = logits['y'] = 0;
    jobs[0]->on_logits(1, logits.data());
    jobs[0]->on_logits(2, logits.data());
    jobs[0]->on_done(Finish::kLength);
    const Json choice = body_of(c)["choices"][0];
    EXPECT_EQ(choice["text"], "abc");
    EXPECT_EQ(choice["finish_reason"], "length");
    const Json& logprobs = choice["logprobs"];
    EXPECT_EQ(logprobs["tokens"], Json::parse(R"(["a", "b", "c"])"));
    EXPECT_EQ(logprobs["text_offset"], Json::parse("[0, 1, 2]"));
    EXPECT_EQ(logprobs["token_logprobs"][0], nullptr);
    EXPECT_NEAR(double(logprobs["token_logprobs"][1]), std::log(0.5), 1e-12);
    EXPECT_NEAR(double(logprobs["token_logprobs"][2]), std::log(0.25), 1e-12);
    EXPECT_EQ(logprobs["top_logprobs"][0], nullptr);
    EXPECT_TRUE(logprobs["top_logprobs"][1].contains("b"));
}

TEST(AnswerLogprobs, EchoStandsBeforeWhatIsGenerated) {
    Request r = completion();
    r.echo = true;
    r.stop_texts = {"b"};
    Collected c;
    const auto jobs = make_jobs(r, bytes_codec(), c);
    EXPECT_FALSE(jobs[0]->want_logits);
    say(*jobs[0], "cb");
    jobs[0]->on_done(Finish::kStop);
    EXPECT_EQ(c.answers[0].content, "abc") << "the prompt is not searched";
}

TEST(AnswerLogprobs, OfAChatAreItsContents) {
    Request r = chat();
    r.sampling.n_logprobs = 1;
    Collected c;
    const std::string text =
        "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>ab"
        "<|return|>";
    for (const bool reasoning : {false, true}) {
        r.reasoning_logprobs = reasoning;
        const auto jobs = make_jobs(r, bytes_codec(), c);
        say(*jobs[0], text, 1);
        jobs[0]->on_done(Finish::kStop);
        const Json logprobs = body_of(c)["choices"][0]["logprobs"];
        ASSERT_EQ(logprobs["content"].size(), 2u);
        EXPECT_EQ(logprobs["content"][0], Json::parse(R"({"token": "a", "logprob": -0.5, "bytes": [97],
            "top_logprobs": [{"token": "x", "logprob": -1.0, "bytes": [120]}]})"));
        EXPECT_EQ(logprobs["refusal"], nullptr);
        EXPECT_EQ(logprobs.contains("reasoning_logprobs"), reasoning);
        if (!reasoning) continue;
        EXPECT_EQ(logprobs["reasoning_logprobs"].size(), 2u);
    }
}

TEST(AnswerLogprobs, AreTheEventsToo) {
    struct Recorder : AnswerEvents {
        explicit Recorder(std::string& all) : log(all) {}
        void on_logprobs(const TokenChoice& token, bool is_reasoning) override {
            log += (is_reasoning ? "r" : "c") + token.drawn.bytes;
        }
        void on_content(std::string_view text, bool) override { log += "[" + std::string(text) + "]"; }
        std::string& log;
    };
    std::string log;
    const auto run = [&](Request r, const std::string& text) {
        log.clear();
        r.sampling.n_logprobs = 0;
        const auto job = make_job(std::move(r), bytes_codec(), std::make_unique<Recorder>(log));
        say(*job, text);
        job->on_done(Finish::kStop);
        return log;
    };
    EXPECT_EQ(run(chat(),
                  "<|channel|>analysis<|message|>H<|end|><|start|>assistant<|channel|>final<|message|>ab"
                  "<|return|>"),
              "rHca[a]cb[b]");
    Request r = completion();
    r.stop_texts = {"ND"};
    EXPECT_EQ(run(r, "aENDb"), "ca[a]cE[E]") << "none of tokens that a stop string cuts";
    EXPECT_EQ(run(r, "aN|"), "ca[a]cNc|[N|]") << "held back with their text";
    EXPECT_EQ(run(r, "aN<|return|>"), "ca[a]cN[N]");
    r.include_stop = true;
    EXPECT_EQ(run(r, "aND"), "ca[a]cNcD[ND]");
}

// ---- heads

TEST(AnswerHeads, ReasoningByEitherNameAndWhatTheRunSays) {
    Request r = chat();
    Collected c;
    const auto jobs = make_jobs(r, bytes_codec(), c);
    jobs[0]->on_reused(1);
    say(*jobs[0], "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>ab<|return|>");
    jobs[0]->on_done(Finish::kStop);
    AnswerHead head;
    const auto message = [&](bool reasoning, bool reasoning_content) {
        head.reasoning = reasoning;
        head.reasoning_content = reasoning_content;
        return Json::parse(dump(answer_body(head, c.request, c.answers)))["choices"][0]["message"];
    };
    EXPECT_EQ(message(true, true)["reasoning"], "Hm");
    EXPECT_EQ(message(true, true)["reasoning_content"], "Hm");
    EXPECT_FALSE(message(true, false).contains("reasoning_content"));
    EXPECT_FALSE(message(false, true).contains("reasoning"));
    EXPECT_FALSE(message(false, false).contains("tool_calls"));
    head.details = true;
    head.fingerprint = "run-1";
    const Json body = Json::parse(dump(answer_body(head, c.request, c.answers)));
    EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 1);
    EXPECT_EQ(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 2);
    EXPECT_EQ(body["system_fingerprint"], "run-1");
    EXPECT_TRUE(body["timings"]["prompt_ms"].is_number());
    EXPECT_FALSE(body_of(c)["usage"].contains("prompt_tokens_details")) << "getp's do not depend on what else runs";
}

// ---- headers

TEST(StrictJobs, SayWhatMayComeNext) {
    Request r = chat();
    EXPECT_EQ(make_job(r, bytes_codec(), std::make_unique<AnswerEvents>())->allowed(), nullptr);
    r.headers = HeaderRules{{"f"}, true, true};
    const auto job = make_job(r, bytes_codec(), std::make_unique<AnswerEvents>());
    ASSERT_NE(job->allowed(), nullptr);
    EXPECT_EQ(*job->allowed(), (std::vector<int>{' ', byte_special("<|channel|>")}));
    say(*job, "<|channel|>analysis<|message|>");
    EXPECT_EQ(job->allowed(), nullptr) << "text is free";
    EXPECT_FALSE(job->may_end()) << "a call must be";
    say(*job, "Hm.<|end|>");
    EXPECT_EQ(*job->allowed(), ids_of("<|start|>"));
}

TEST(StrictJobs, AnAnswerThatIsOpenAlready) {
    Request r = chat();
    r.opening = ids_of("<|channel|>final<|message|>");
    r.headers = HeaderRules{};
    r.sampling.n_logprobs = 0;
    Collected c;
    const auto jobs = make_jobs(r, bytes_codec(), c);
    EXPECT_EQ(jobs[0]->allowed(), nullptr);
    say(*jobs[0], "Hi<|return|>");
    jobs[0]->on_done(Finish::kStop);
    EXPECT_EQ(c.answers[0].content, "Hi");
    EXPECT_EQ(c.answers[0].reasoning, "");
    EXPECT_EQ(c.answers[0].logprobs.size(), 2u);
}

}  // namespace
