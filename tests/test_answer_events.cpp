// test_answer_events.cpp: what a running request tells: the right pieces in the right order, together the Answer.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "request_file.h"
#include "requests/answer_events.h"

namespace {

// Writes down every call, and puts the texts together.
struct Log {
    std::vector<std::string> calls;
    std::string content, reasoning;
    std::vector<ToolCall> tool_calls;
    std::optional<Answer> answer;
    bool cancelled = false, stop = false;
};

class Recorder : public AnswerEvents {
  public:
    explicit Recorder(Log& log) : log_(log) {}
    bool cancelled(bool) const override { return log_.stop; }
    void on_begin(int n_reused) override { note("begin {}", n_reused); }
    void on_reasoning(std::string_view text) override { log_.reasoning += note("reasoning {}", text); }
    void on_content(std::string_view text, bool is_preamble) override {
        log_.content += note(is_preamble ? "preamble {}" : "content {}", text);
    }
    void on_call_begin(int index, const std::string& name) override {
        EXPECT_EQ(index, int(log_.tool_calls.size()));
        log_.tool_calls.push_back({name, ""});
        note("call {}", name);
    }
    void on_call_arguments(int index, std::string_view text) override {
        log_.tool_calls.at(size_t(index)).arguments += note("arguments {}", text);
    }
    void on_call_end(int index) override { note("end of call {}", index); }
    void on_done(Answer answer) override {
        note("done{}", answer.error);
        log_.answer = std::move(answer);
    }
    void on_cancelled() override { log_.cancelled = true; }

  private:
    template <class T>
    T note(const char* form, T value) {
        log_.calls.push_back(fmt::format(fmt::runtime(form), value));
        return value;
    }
    Log& log_;
};

Request chat_request(std::vector<std::string> stops = {}) {
    Request r;
    r.kind = AnswerKind::kChat;
    r.stop_ids = ids_of("<|return|><|call|>");
    r.stop_texts = std::move(stops);
    r.prompt = {1};
    return r;
}

// Runs a job as the engine does.
Log run(Request request, const std::vector<int>& ids) {
    Log log;
    request.prompt = {1, 2, 3};
    const std::unique_ptr<Job> job = make_job(std::move(request), bytes_codec(), std::make_unique<Recorder>(log));
    for (const int id : ids) {
        const bool more = job->on_token(id);
        if (more && !std::count(job->stop_ids.begin(), job->stop_ids.end(), id)) continue;
        job->on_done(Finish::kStop);
        return log;
    }
    job->on_done(Finish::kLength);
    return log;
}

// Calls with neighbours of one kind put together: "content H", "content i" become "content Hi".
std::vector<std::string> joined(const Log& log) {
    std::vector<std::string> result;
    std::string last;
    for (const std::string& call : log.calls) {
        const std::string kind = call.substr(0, call.find(' ') + 1);
        const bool is_text = kind == "content " || kind == "preamble " || kind == "reasoning " || kind == "arguments ";
        if (is_text && kind == last)
            result.back() += call.substr(kind.size());
        else
            result.push_back(call);
        last = kind;
    }
    return result;
}

using Calls = std::vector<std::string>;
const std::string kNext = "<|end|><|start|>assistant<|channel|>";

TEST(AnswerEvents, InTheOrderOfTheAnswer) {
    EXPECT_EQ(joined(run(chat_request(), ids_of("<|channel|>analysis<|message|>Hm." + kNext +
                                                "commentary<|message|>One moment." + kNext +
                                                "commentary to=functions.find <|constrain|>json<|message|>{\"q\":1}"
                                                "<|call|>"))),
              (Calls{"begin 0", "reasoning Hm.", "preamble One moment.", "call find", "arguments {\"q\":1}",
                     "end of call 0", "done"}));
    EXPECT_EQ(joined(run(chat_request(), ids_of("<|channel|>final<|message|>Hi<|return|>"))),
              (Calls{"begin 0", "content Hi", "done"}));
    EXPECT_EQ(joined(run(chat_request(), {})), (Calls{"done"}));
}

TEST(AnswerEvents, TextComesWithTheTokenThatSaysIt) {
    Log log;
    const auto job = make_job(chat_request(), bytes_codec(), std::make_unique<Recorder>(log));
    for (const int id : ids_of("<|channel|>final<|message|>a")) job->on_token(id);
    EXPECT_EQ(log.calls.back(), "content a");
    job->on_token('b');
    EXPECT_EQ(log.calls.back(), "content b");
}

TEST(AnswerEvents, CallsAreCountedAndEndBeforeTheNextBegins) {
    const std::string call = "<|channel|>commentary to=functions.f<|message|>{}<|end|>";
    EXPECT_EQ(joined(run(chat_request(), ids_of(call + "<|start|>assistant" + call))),
              (Calls{"begin 0", "call f", "arguments {}", "end of call 0", "call f", "arguments {}", "end of call 1",
                     "done"}));
    EXPECT_EQ(joined(run(chat_request(), ids_of("<|channel|>commentary to=functions.f<|message|>{\"q\":"))),
              (Calls{"begin 0", "call f", "arguments {\"q\":", "end of call 0", "done"}))
        << "cut by the limit";
    EXPECT_EQ(joined(run(chat_request(), ids_of("<|channel|>commentary to=functions.f<|message|><|call|>"))),
              (Calls{"begin 0", "call f", "end of call 0", "done"}));
}

TEST(AnswerEvents, AFurtherMessageBeginsOnANewLine) {
    const Log log =
        run(chat_request(), ids_of("<|channel|>commentary<|message|>One." + kNext + "analysis<|message|>a" + kNext +
                                   "analysis<|message|>b" + kNext + "final<|message|>Two.<|return|>"));
    EXPECT_EQ(joined(log), (Calls{"begin 0", "preamble One.", "reasoning a\nb", "content \nTwo.", "done"}));
    EXPECT_EQ(log.answer->content, "One.\nTwo.");
}

TEST(AnswerEvents, WhatMayBecomeAStopStringIsHeldBack) {
    Log log;
    const auto job = make_job(chat_request({"END", "!?"}), bytes_codec(), std::make_unique<Recorder>(log));
    for (const int id : ids_of("<|channel|>final<|message|>a EN")) job->on_token(id);
    EXPECT_EQ(log.content, "a ");
    job->on_token('E');
    EXPECT_EQ(log.content, "a EN") << "the new E may begin another";
    job->on_token('x');
    EXPECT_EQ(log.content, "a ENEx");
    job->on_token('!');
    EXPECT_EQ(log.content, "a ENEx");
    EXPECT_FALSE(job->on_token('?'));
    job->on_done(Finish::kStop);
    EXPECT_EQ(log.content, "a ENEx");
    EXPECT_EQ(log.answer->content, "a ENEx");
}

TEST(AnswerEvents, WhatWasHeldBackComesAtTheEnd) {
    const Log log = run(chat_request({"END"}), ids_of("<|channel|>final<|message|>a EN<|return|>"));
    EXPECT_EQ(log.content, "a EN");
    Request including = chat_request({"END"});
    including.include_stop = true;
    EXPECT_EQ(run(including, ids_of("<|channel|>final<|message|>a END b")).content, "a END");
}

TEST(AnswerEvents, AStopStringAcrossTwoMessages) {
    const std::vector<int> ids = ids_of("<|channel|>commentary<|message|>xa" + kNext + "final<|message|>bc<|return|>");
    EXPECT_EQ(joined(run(chat_request({"a\nb"}), ids)), (Calls{"begin 0", "preamble x", "done"}));
    EXPECT_EQ(joined(run(chat_request({"a\nc"}), ids)), (Calls{"begin 0", "preamble xa", "content \nbc", "done"}))
        << "held back, and told as part of its own message";
}

TEST(AnswerEvents, WhatWasHeldBackComesBeforeWhatIsNoText) {
    const std::string preamble = "<|channel|>commentary<|message|>xa" + kNext, text = "final<|message|>b<|return|>";
    const std::string call = "commentary to=functions.f<|message|>{}" + kNext;
    EXPECT_EQ(joined(run(chat_request({"a\nb"}), ids_of(preamble + call + text))),
              (Calls{"begin 0", "preamble xa", "call f", "arguments {}", "end of call 0", "content \nb", "done"}))
        << "no stop string reaches across a call";
    EXPECT_EQ(joined(run(chat_request({"a\nb"}), ids_of(preamble + "analysis<|message|>Hm" + kNext + text))),
              (Calls{"begin 0", "preamble xa", "reasoning Hm", "content \nb", "done"}));
    EXPECT_EQ(joined(run(chat_request({"\nb"}), ids_of(preamble + call + text))),
              (Calls{"begin 0", "preamble xa", "call f", "arguments {}", "end of call 0", "done"}))
        << "one that begins after it counts";
}

TEST(AnswerEvents, WholeCharactersOnly) {
    const Log log = run(chat_request(), ids_of("<|channel|>analysis<|message|>\u00e4" + kNext +
                                               "final<|message|>\u20ac\u00e4<|return|>"));
    EXPECT_EQ(log.calls, (Calls{"begin 0", "reasoning \u00e4", "content \u20ac", "content \u00e4", "done"}));
}

TEST(AnswerEvents, ReusedTokensAreKnownAtTheBeginning) {
    Log log;
    const auto job = make_job(chat_request(), bytes_codec(), std::make_unique<Recorder>(log));
    job->on_reused(7);
    job->on_token('a');
    EXPECT_EQ(log.calls.front(), "begin 7");
    job->on_done(Finish::kLength);
    EXPECT_EQ(log.answer->n_reused, 7);
}

TEST(AnswerEvents, EndsThatAreNoAnswer) {
    Log failed;
    make_job(chat_request(), bytes_codec(), std::make_unique<Recorder>(failed))->on_error(": too long");
    EXPECT_EQ(failed.calls, (Calls{"done: too long"}));
    Log left;
    const auto job = make_job(chat_request(), bytes_codec(), std::make_unique<Recorder>(left));
    EXPECT_FALSE(job->cancelled());
    left.stop = true;
    EXPECT_TRUE(job->cancelled());
    job->on_done(Finish::kCancelled);
    EXPECT_TRUE(left.cancelled);
    EXPECT_FALSE(left.answer);
}

TEST(AnswerEvents, CompletionsAreContentAlone) {
    Request request = chat_request({"lo w"});
    request.kind = AnswerKind::kCompletion;
    EXPECT_EQ(joined(run(request, ids_of("Hello world"))), (Calls{"begin 0", "content Hel", "done"}));
    request.kind = AnswerKind::kTokens;
    EXPECT_EQ(joined(run(request, ids_of("ab"))), (Calls{"begin 0", "done"}));
}

// Whatever a model writes, the pieces are the Answer.
TEST(AnswerEvents, PiecesTogetherAreTheAnswer) {
    const std::vector<std::string> words = {"<|start|>",
                                            "<|channel|>",
                                            "<|message|>",
                                            "<|end|>",
                                            "<|constrain|>",
                                            "assistant",
                                            "analysis",
                                            "commentary",
                                            "final",
                                            " to=functions.f",
                                            "json",
                                            "{\"a\":",
                                            "hello END",
                                            "EN",
                                            "D",
                                            "\n",
                                            "\u20ac",
                                            "\xe2\x82",
                                            "<|channel|>final<|message|>",
                                            "<|channel|>analysis<|message|>",
                                            "<|end|><|start|>assistant<|channel|>commentary to=functions.g<|message|>",
                                            " "};
    std::mt19937 random(1);
    int n_content = 0, n_calls = 0, n_reasoning = 0, n_stopped = 0;
    for (int round = 0; round < 3000; round++) {
        std::vector<int> ids;
        for (size_t n = random() % 12; n > 0; n--)
            for (const int id : ids_of(words[random() % words.size()])) ids.push_back(id);
        Request request = chat_request(round % 2 ? Calls{"END", "o\nh"} : Calls{});
        request.min_new_tokens = round % 5 == 0 ? 20 : 0;
        request.include_stop = round % 3 == 0;
        request.tool_names = {"f"};
        const Log log = run(request, ids);
        ASSERT_TRUE(log.answer);
        const Answer& answer = *log.answer;
        ASSERT_EQ(log.content, answer.content) << round;
        ASSERT_EQ(log.reasoning, answer.reasoning) << round;
        ASSERT_EQ(log.tool_calls.size(), answer.tool_calls.size()) << round;
        for (size_t i = 0; i < log.tool_calls.size(); i++) {
            ASSERT_EQ(log.tool_calls[i].name, answer.tool_calls[i].name) << round;
            ASSERT_EQ(log.tool_calls[i].arguments, answer.tool_calls[i].arguments) << round;
        }
        const auto begun = std::count_if(log.calls.begin(), log.calls.end(),
                                         [](const std::string& call) { return call.rfind("end of call", 0) == 0; });
        ASSERT_EQ(size_t(begun), log.tool_calls.size()) << round;
        n_content += !answer.content.empty();
        n_calls += !answer.tool_calls.empty();
        n_reasoning += !answer.reasoning.empty();
        n_stopped += answer.ids.size() < ids.size();
    }
    EXPECT_GT(std::min({n_content, n_calls, n_reasoning, n_stopped}), 50) << "all of it was tried";
}

}  // namespace
