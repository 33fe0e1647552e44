// test_requests_reader.cpp: files of requests as JSON lines: defaults, limits, and that one bad line stops no other.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "request_file.h"

namespace {

TEST_F(RequestFile, JsonLinesSkipBlankLines) {
    const std::vector<Request> r = read("\n \t\r\n{\"prompt\": \"a\"}\r\n\n  {\"prompt\": [1, 2]}");
    EXPECT_FALSE(is_text);
    EXPECT_EQ(total, 2);
    EXPECT_EQ(max_positions, 0);
    ASSERT_EQ(r.size(), 2u);
    EXPECT_EQ(r[0].error, "");
    EXPECT_EQ(r[0].line, 3);
    EXPECT_EQ(r[0].prompt, ids_of("a"));
    EXPECT_EQ(r[1].line, 5);
    EXPECT_EQ(r[1].index, 1);
    EXPECT_EQ(r[1].prompt, (std::vector<int>{1, 2}));
    EXPECT_EQ(r[1].kind, AnswerKind::kCompletion);
}

TEST_F(RequestFile, DefaultsComeFromTheFlags) {
    options.temperature = 0.5f;
    options.top_p = 0.25f;
    Request r = read_line(R"({"prompt": "abc"})");
    EXPECT_EQ(r.sampling.temperature, 0.5f);
    EXPECT_EQ(r.sampling.top_p, 0.25f);
    EXPECT_EQ(r.max_new_tokens, 97);
    EXPECT_EQ(r.stop_ids, config.stop_ids);
    r = read_line(R"({"prompt": "abc", "temperature": 1, "top_p": 0.75, "max_tokens": 5, "ignore_eos": true, )"
                  R"("seed": 9, "stop": "x", "return_token_ids": true, "model": "m", "custom_id": "c"})");
    EXPECT_EQ(r.error, "");
    EXPECT_EQ(r.sampling.temperature, 1);
    EXPECT_EQ(r.sampling.top_p, 0.75f);
    EXPECT_EQ(r.sampling.seed, 9u);
    EXPECT_EQ(r.max_new_tokens, 5);
    EXPECT_TRUE(r.stop_ids.empty());
    EXPECT_EQ(r.stop_texts, std::vector<std::string>{"x"});
    EXPECT_TRUE(r.return_token_ids);
    EXPECT_EQ(r.model, "m");
    EXPECT_EQ(r.custom_id, "c");
}

TEST_F(RequestFile, AbsentTemperatureAndTopPAreTheApisInJsonAndTheFamilysInText) {
    const Request json = read_line(R"({"prompt": "abc"})");
    EXPECT_EQ(json.sampling.temperature, 1);
    EXPECT_EQ(json.sampling.top_p, 1);
    EXPECT_EQ(read_line(R"({"prompt": "abc", "top_p": 0.5})").sampling.temperature, 1);
    const Request text = read("1\nabc\n")[0];
    EXPECT_EQ(text.sampling.temperature, 0);
    EXPECT_EQ(text.sampling.top_p, 0.9f);
    options.temperature = 0;
    EXPECT_EQ(read_line(R"({"prompt": "abc"})").sampling.temperature, 0) << "a flag's 0 is given too";
}

TEST_F(RequestFile, TopKAndRepetitionPenalty) {
    EXPECT_EQ(read_line(R"({"prompt": "abc"})").sampling.top_k, 0);
    EXPECT_EQ(read_line(R"({"prompt": "abc"})").sampling.repetition_penalty, 1);
    const Request r = read_line(R"({"prompt": "abc", "top_k": 40, "repetition_penalty": 1.25})");
    EXPECT_EQ(r.error, "");
    EXPECT_EQ(r.sampling.top_k, 40);
    EXPECT_EQ(r.sampling.repetition_penalty, 1.25f);
    EXPECT_EQ(read_line(R"({"prompt": "abc", "top_k": 1})").sampling.temperature, 0);
    options.top_k = 5;
    options.repetition_penalty = 1.5f;
    EXPECT_EQ(read_line(R"({"prompt": "abc"})").sampling.top_k, 5);
    EXPECT_EQ(read_line(R"({"prompt": "abc", "top_k": -1})").sampling.top_k, 0) << "the line wins";
    EXPECT_EQ(read_line(R"({"prompt": "abc", "repetition_penalty": 1})").sampling.repetition_penalty, 1);
    const Request text = read("1\nabc\n")[0];
    EXPECT_EQ(text.sampling.top_k, 5);
    EXPECT_EQ(text.sampling.repetition_penalty, 1.5f);
}

TEST_F(RequestFile, NumTokensLimitsTheAnswerAlone) {
    options.max_new = 7;
    options.steps = 100;
    EXPECT_EQ(read_line(R"({"prompt": "abc"})").max_new_tokens, 7);
    EXPECT_EQ(read_line(R"({"prompt": "abc", "max_tokens": 9})").max_new_tokens, 9) << "the line wins";
    EXPECT_EQ(read("1\nabc\n")[0].max_new_tokens, 7);
    options.steps = 5;
    EXPECT_EQ(read("1\nabc\n")[0].max_new_tokens, 2);
}

TEST_F(RequestFile, ALineOfAnswersIsNoStream) {
    EXPECT_EQ(read_line(R"({"prompt": "abc", "stream": false})").error, "");
    EXPECT_EQ(read_line(R"({"prompt": "abc", "stream": true})").error,
              "stream: expected false, as a line of answers comes whole, found true");
}

TEST_F(RequestFile, StopIdsAndWhatBelongsToThem) {
    const Request r = read_line(R"({"prompt": "abc", "stop_token_ids": [5], "ignore_eos": true, "stop": "x", )"
                                R"("include_stop_str_in_output": true})");
    EXPECT_EQ(r.stop_ids, std::vector<int>{5}) << "ignore_eos is about the model's";
    EXPECT_TRUE(r.include_stop);
    EXPECT_NE(read_line(R"({"prompt": "abc", "stop_token_ids": [300]})").error.find("stop_token_ids"),
              std::string::npos);
}

TEST_F(RequestFile, TheLeastThatAnAnswerHas) {
    const Request r = read_line(R"({"prompt": "abc", "min_tokens": 5, "stop_token_ids": [5, 6, 5], "max_tokens": 5})");
    EXPECT_EQ(r.error, "");
    EXPECT_EQ(r.min_new_tokens, 5);
    EXPECT_EQ(std::count(r.stop_ids.begin(), r.stop_ids.end(), 5), 1);
    EXPECT_EQ(read_line(R"({"prompt": "abc", "min_new_tokens": 4})").min_new_tokens, 4);
    EXPECT_EQ(read_line(R"({"prompt": "abc", "min_tokens": 0, "stop_token_ids": [1,2,3,4,5,6,7,8,9]})").error, "");
    for (const char* bad :
         {R"({"prompt": "abc", "min_tokens": 6, "max_tokens": 5})", R"({"prompt": "abc", "min_tokens": 2000000000})",
          R"({"prompt": "abc", "min_tokens": 1, "stop_token_ids": [1,2,3,4,5,6,7,8,9]})"})
        EXPECT_EQ(read_line(bad).error.find("min_tokens: expected at most"), 0u) << bad << read_line(bad).error;
    const std::string must_call =
        R"({"messages": [{"role": "user", "content": "a"}], "tool_choice": "required", "max_tokens": 5, )"
        R"("tools": [{"type": "function", "function": {"name": "f"}}], "stop_token_ids": )";
    EXPECT_EQ(read_line(must_call + "[1,2,3]}").error, "");
    EXPECT_EQ(read_line(must_call + "[1,2,3,4,5,6,7,8,9]}").error.find("tool_choice: expected at most 8 ids"), 0u);
}

TEST_F(RequestFile, UnknownFieldsAreAWarningOnceOrAnErrorIfStrict) {
    const std::string lines = R"({"prompt": [1], "mood": 1})"
                              "\n"
                              R"({"prompt": [1], "mood": 2, "tone": 3})";
    testing::internal::CaptureStderr();
    for (const Request& r : read(lines)) EXPECT_EQ(r.error, "");
    const std::string warnings = testing::internal::GetCapturedStderr();
    EXPECT_NE(warnings.find(":1: warning: mood: unknown field, ignored"), std::string::npos) << warnings;
    EXPECT_NE(warnings.find(":2: warning: tone: "), std::string::npos) << warnings;
    EXPECT_EQ(warnings.find(":2: warning: mood: "), std::string::npos) << "once is enough: " << warnings;

    options.strict_fields = true;
    for (const Request& r : read(lines)) EXPECT_EQ(r.error.find("mood: expected a field that is known"), 0u) << r.error;
    EXPECT_EQ(read_line(R"({"prompt": [1], "user": "u"})").error, "");
}

TEST_F(RequestFile, MaxTokensIsLimitedByTheContextAndNotBySteps) {
    EXPECT_EQ(read_line(R"({"prompt": "abc", "max_tokens": 500})").max_new_tokens, 500);
    EXPECT_EQ(read_line(R"({"prompt": "abc", "max_tokens": 5000})").max_new_tokens, 997);
    const std::string long_prompt = std::string(200, 'a');
    EXPECT_NE(read_line("{\"prompt\": \"" + long_prompt + "\"}").error.find("--steps"), std::string::npos);
    EXPECT_EQ(read_line("{\"max_tokens\": 3, \"prompt\": \"" + long_prompt + "\"}").max_new_tokens, 3);
}

TEST_F(RequestFile, WithoutStepsJsonHasTheContextAndTextTheFamilysLimit) {
    options.steps.reset();
    config.max_context = 5000;
    const std::string prompt(2000, 'a');
    EXPECT_EQ(read_line("{\"prompt\": \"" + prompt + "\"}").max_new_tokens, 3000);
    EXPECT_EQ(read("1\nabc\n")[0].max_new_tokens, kFamilySteps - 3);
    EXPECT_NE(read("1\n" + prompt + "\n")[0].error.find("1024 (--steps)"), std::string::npos);
}

TEST_F(RequestFile, SeedsDependOnTheRunsSeedAndTheIndexAlone) {
    const std::string line = "{\"prompt\": [1]}\n", own = "{\"prompt\": [1], \"seed\": 5}\n";
    const std::vector<Request> a = read(line + line + own), b = read(own + line);
    EXPECT_NE(a[0].sampling.seed, a[1].sampling.seed);
    EXPECT_EQ(a[1].sampling.seed, b[1].sampling.seed);
    EXPECT_EQ(a[2].sampling.seed, 5u);
    EXPECT_EQ(read("2\nx\ny\n")[1].sampling.seed, a[1].sampling.seed) << "in either format";
    options.seed = 2;
    EXPECT_NE(read(line)[0].sampling.seed, a[0].sampling.seed);
}

TEST_F(RequestFile, BadPromptsInJson) {
    EXPECT_NE(read_line(R"({"prompt": []})").error.find("empty"), std::string::npos);
    EXPECT_NE(read_line(R"({"prompt": ""})").error.find("empty"), std::string::npos);
    EXPECT_EQ(read_line(R"({"prompt": [299]})").error, "");
    const std::string error = read_line(R"({"prompt": [1, 300]})").error;
    EXPECT_NE(error.find("prompt[1]"), std::string::npos) << error;
    EXPECT_NE(error.find("300"), std::string::npos) << error;
}

TEST_F(RequestFile, BadLinesKeepTheirIdAndTheOthersGoOn) {
    const std::vector<Request> r = read(
        "{\"custom_id\": \"a\", \"prompt\": 5}\n"
        "{\"custom_id\": \"b\", \"prompt\": [1]}\n"
        "{ nonsense\n"
        "{\"custom_id\": \"c\", \"prompt\": \"\xff\"}\n"
        "{\"custom_id\": \"d\", \"prompt\": [2]}\n");
    ASSERT_EQ(r.size(), 5u);
    EXPECT_NE(r[0].error, "");
    EXPECT_EQ(r[0].custom_id, "a");
    EXPECT_EQ(r[1].error, "");
    EXPECT_NE(r[2].error.find("expected JSON"), std::string::npos);
    EXPECT_EQ(r[2].custom_id, std::nullopt);
    EXPECT_NE(r[3].error.find("UTF-8"), std::string::npos);
    EXPECT_EQ(r[3].custom_id, "c") << "found in what is no JSON";
    EXPECT_EQ(r[4].error, "");
}

TEST_F(RequestFile, AnIdIsGoodForOneLine) {
    const std::vector<Request> r = read(
        "{\"custom_id\": \"a\", \"prompt\": [1]}\n"
        "{\"custom_id\": \"a\", \"prompt\": [2]}\n"
        "{\"custom_id\": \"bad\"}\n"
        "{\"custom_id\": \"bad\", \"prompt\": [3]}\n"
        "{\"prompt\": [4]}\n{\"prompt\": [5]}\n");
    ASSERT_EQ(r.size(), 6u);
    EXPECT_EQ(r[0].error, "");
    EXPECT_NE(r[1].error.find("\"a\""), std::string::npos) << r[1].error;
    EXPECT_NE(r[3].error.find("earlier line"), std::string::npos) << "its answer would be ambiguous: " << r[3].error;
    EXPECT_EQ(r[4].error, "");
    EXPECT_EQ(r[5].error, "") << "no id is not an id";
}

TEST_F(RequestFile, ChatLines) {
    options.instructions = "From the flag.";
    options.steps = 0;
    const auto prompt_text = [&](const std::string& line) {
        const Request r = read_line(line);
        EXPECT_EQ(r.error, "");
        EXPECT_EQ(r.kind, AnswerKind::kChat);
        return bytes_codec().tokenizer().decode(r.prompt);
    };
    std::string text = prompt_text(R"({"messages": [{"role": "user", "content": "hi"}]})");
    EXPECT_NE(text.find("From the flag."), std::string::npos);
    EXPECT_NE(text.find("Reasoning: medium"), std::string::npos);
    text = prompt_text(R"({"reasoning_effort": "low", "messages": [{"role": "system", "content": "From the line."}, )"
                       R"({"role": "user", "content": "hi"}]})");
    EXPECT_EQ(text.find("From the flag."), std::string::npos);
    EXPECT_NE(text.find("From the line."), std::string::npos);
    EXPECT_NE(text.find("Reasoning: low"), std::string::npos);
}

TEST_F(RequestFile, TokenIdsNeedNoTokenizer) {
    const TextCodec none("there is none");
    codec = &none;
    EXPECT_EQ(read_line(R"({"prompt": [1, 2]})").error, "");
    for (const char* line : {R"({"prompt": "a"})", R"({"prompt": [1], "stop": "x"})",
                             R"({"messages": [{"role": "user", "content": "hi"}]})"}) {
        const std::string error = read_line(line).error;
        EXPECT_NE(error.find("there is none"), std::string::npos) << error;
    }
}

TEST_F(RequestFile, APipeIsReadAsItComes) {
    options.input = folder.path("pipe");
    ASSERT_EQ(mkfifo(options.input.c_str(), 0600), 0);
    const auto feed = [&](const std::string& text) {
        return std::thread([this, text] { folder.write("pipe", text); });
    };
    std::thread writer = feed("{\"prompt\": [1]}\n{\"prompt\": [2]}\n");
    EXPECT_EQ(read_input().size(), 2u);
    EXPECT_EQ(total, -1);
    writer.join();

    writer = feed("3\na\nb\n");
    EXPECT_TRUE(has(error_of([&] { read_input(); }), {"expected 3 lines after it, found 2"}));
    writer.join();
}

TEST_F(RequestFile, AStreamCannotBeALineOfAnswers) {
    EXPECT_NE(read_line(R"({"prompt": "a", "stream": true})").error.find("stream: expected false"), std::string::npos);
    EXPECT_EQ(read_line(R"({"prompt": "a", "stream": false, "stream_options": null})").error, "");
}

}  // namespace
