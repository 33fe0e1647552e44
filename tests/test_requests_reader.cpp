// test_requests_reader.cpp: files of requests in both formats, with the byte tokenizer, whose ids are the bytes of the
// text.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "byte_tokenizer.h"
#include "error.h"
#include "requests.h"
#include "requests/line_reader.h"
#include "temp_folder.h"

namespace {

const TextCodec& bytes_codec() {
    static const TextCodec codec(byte_tokenizer());
    return codec;
}

std::vector<int> ids_of(const std::string& text) {
    return {text.begin(), text.end()};  // ASCII only
}

class RequestFile : public testing::Test {
  protected:
    RequestFile() {
        options.steps = 100;
        options.seed = 1;
        config.vocab_size = 300;
        config.max_context = 1000;
        config.stop_ids = {7, 8};
    }

    // All requests of a file with this text.
    std::vector<Request> read(const std::string& text, Purpose purpose = Purpose::kAnswer) {
        options.input = folder.write("requests", text);
        return read_input(purpose);
    }
    std::vector<Request> read_input(Purpose purpose = Purpose::kAnswer) {
        RequestReader reader(options, config, *codec, purpose);
        is_text = reader.is_text();
        total = reader.total();
        max_positions = reader.max_request_positions();
        std::vector<Request> requests;
        while (std::optional<Request> r = reader.next()) requests.push_back(std::move(*r));
        EXPECT_FALSE(reader.next()) << "the end stays the end";
        return requests;
    }
    // Of the one request in a file with this line.
    Request read_line(const std::string& line) {
        std::vector<Request> requests = read(line + "\n");
        EXPECT_EQ(requests.size(), 1u);
        return requests.at(0);
    }
    std::string error_of_file(const std::string& text) {
        try {
            read(text);
        } catch (const Error& e) {
            EXPECT_EQ(std::string(e.what()).find(options.input), 0u) << "names the file: " << e.what();
            return e.what();
        }
        return "";
    }

    TempFolder folder;
    RequestOptions options;
    Config config;
    const TextCodec* codec = &bytes_codec();
    bool is_text = false;
    int64_t total = 0;
    int max_positions = 0;
};

// ---- the text format

TEST_F(RequestFile, TextIsRaw) {
    const std::vector<Request> r = read("3\n  two spaces \n\"quoted\"\t\nlast, without a newline");
    EXPECT_TRUE(is_text);
    EXPECT_EQ(total, 3);
    EXPECT_EQ(max_positions, 100);
    ASSERT_EQ(r.size(), 3u);
    EXPECT_EQ(r[0].prompt, ids_of("  two spaces "));
    EXPECT_EQ(r[1].prompt, ids_of("\"quoted\"\t"));
    EXPECT_EQ(r[2].prompt, ids_of("last, without a newline"));
    for (size_t i = 0; i < r.size(); i++) {
        EXPECT_EQ(r[i].error, "");
        EXPECT_EQ(r[i].index, int64_t(i));
        EXPECT_EQ(r[i].line, int64_t(i) + 2);
        EXPECT_EQ(r[i].kind, AnswerKind::kTokens);
        EXPECT_EQ(r[i].stop_ids, config.stop_ids);
        EXPECT_EQ(r[i].max_new_tokens, 100 - int(r[i].prompt.size()));
    }
}

TEST_F(RequestFile, TextMaySpellSpecialTokens) {
    EXPECT_EQ(read("1\na<|end|>\n")[0].prompt, (std::vector<int>{'a', byte_special("<|end|>")}));
}

TEST_F(RequestFile, CarriageReturnsGoIfTheFirstLineHasOne) {
    std::vector<Request> r = read("2\r\na\r\nb\r\n");
    ASSERT_EQ(r.size(), 2u);
    EXPECT_EQ(r[0].prompt, ids_of("a"));
    EXPECT_EQ(r[1].prompt, ids_of("b"));
    EXPECT_EQ(read("1\na\r\n")[0].prompt, ids_of("a\r")) << "else they are part of the prompt";
    EXPECT_EQ(read("1\r\na\n")[0].prompt, ids_of("a"));
}

TEST_F(RequestFile, CountZeroAndByteOrderMark) {
    EXPECT_TRUE(read("0\n").empty());
    EXPECT_TRUE(read("0").empty());
    const std::vector<Request> r = read(
        "\xef\xbb\xbf"
        "1\na\n");
    ASSERT_EQ(r.size(), 1u);
    EXPECT_EQ(r[0].prompt, ids_of("a"));
}

TEST_F(RequestFile, OneBadPromptDoesNotStopTheOthers) {
    options.steps = 10;
    const std::vector<Request> r = read("5\nfirst\n\n1234567890\nx\xff\nlast\n");
    ASSERT_EQ(r.size(), 5u);
    EXPECT_EQ(r[0].error, "");
    EXPECT_NE(r[1].error.find("empty"), std::string::npos) << r[1].error;
    EXPECT_NE(r[2].error.find("10 tokens"), std::string::npos) << r[2].error;
    EXPECT_NE(r[2].error.find("--steps"), std::string::npos) << r[2].error;
    EXPECT_NE(r[3].error.find("UTF-8 at byte 2"), std::string::npos) << r[3].error;
    EXPECT_EQ(r[4].error, "");
    EXPECT_EQ(r[4].line, 6);
}

TEST_F(RequestFile, StepsZeroIsTheContext) {
    options.steps = 0;
    EXPECT_EQ(read("1\nabc\n")[0].max_new_tokens, 997);
    EXPECT_NE(read("1\n" + std::string(1000, 'a') + "\n")[0].error.find("context"), std::string::npos);
    EXPECT_EQ(read("1\n" + std::string(999, 'a') + "\n")[0].max_new_tokens, 1);
}

TEST_F(RequestFile, TextThatCannotFitIsRefusedBeforeItIsCut) {
    // The longest of the byte tokenizer's tokens is a special one; text may spell those.
    options.steps = 0;
    size_t longest = 0;
    for (int id = 0; id < bytes_codec().tokenizer().id_limit(); id++)
        longest = std::max(longest, bytes_codec().tokenizer().bytes(id).size());
    const std::string most(longest * 1000, 'a');
    const auto json = [](const std::string& text) { return "{\"prompt\": \"" + text + "\"}"; };
    EXPECT_NE(read_line(json(most)).error.find(fmt::format("{} tokens", most.size())), std::string::npos);
    Request r = read_line(json(most + "a"));
    EXPECT_NE(r.error.find(fmt::format("{} bytes of text", most.size() + 1)), std::string::npos) << r.error;
    EXPECT_EQ(r.error_code, "context_length_exceeded");
    EXPECT_NE(read("1\n" + most + "a\n")[0].error.find("bytes of text"), std::string::npos);
    r = read_line("{\"messages\": [{\"role\": \"user\", \"content\": \"" + most + "a\"}]}");
    EXPECT_NE(r.error.find("bytes of text"), std::string::npos) << r.error;
    r = read_line(
        R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning": ")" +
        most + R"(a"}, {"role": "user", "content": "c"}]})");
    EXPECT_EQ(r.error, "") << "old reasoning is dropped";
}

TEST_F(RequestFile, AVeryLongBlankLineIsARequestInBothCounts) {
    const std::vector<Request> r = read("{\"prompt\": [1]}\n" + std::string((1 << 20) + 1, ' ') + "\n" +
                                        std::string(1 << 20, ' ') + "\n{\"prompt\": [1]}\n");
    EXPECT_EQ(r.size(), 3u);
    EXPECT_EQ(total, 3);
    EXPECT_NE(r[1].error, "");
}

TEST_F(RequestFile, ScoredPromptsMayFillTheContext) {
    EXPECT_EQ(read("1\n" + std::string(1000, 'a') + "\n", Purpose::kScore)[0].error, "");
    EXPECT_EQ(max_positions, 0);
    EXPECT_NE(read("1\n" + std::string(1001, 'a') + "\n", Purpose::kScore)[0].error, "");
}

TEST_F(RequestFile, OnlyTheFirstSoMany) {
    options.max_requests = 1;
    EXPECT_EQ(read("2\na\nb\n").size(), 1u);
    EXPECT_EQ(total, 1);
    EXPECT_EQ(read("{\"prompt\":[1]}\n{\"prompt\":[2]}\n").size(), 1u);
    EXPECT_EQ(total, 1);
    options.max_requests = 5;
    EXPECT_EQ(read("2\na\nb\n").size(), 2u);
    EXPECT_EQ(total, 2);
    options.max_requests = 0;
    EXPECT_TRUE(read("2\na\nb\n").empty());
    EXPECT_TRUE(read("{\"prompt\":[1]}\n").empty());
}

TEST_F(RequestFile, FilesThatAreNeitherFormat) {
    EXPECT_NE(error_of_file("").find("empty"), std::string::npos);
    for (const char* text : {"\n", "hello\n", "2 prompts\na\nb\n", "-1\n", "1.5\na\n", "99999999999999999999\n",
                             "[1]\n", "\n2\na\nb\n", "\xff\xff\n"}) {
        const std::string error = error_of_file(text);
        EXPECT_NE(error.find("line 1: expected the number of requests"), std::string::npos) << text << ": " << error;
    }
}

TEST_F(RequestFile, FewerLinesThanTheCountIsAnErrorBeforeAnythingRuns) {
    EXPECT_NE(error_of_file("3\na\nb\n").find("expected 3 lines after it, found 2"), std::string::npos);
    EXPECT_NE(error_of_file("1\n").find("found 0"), std::string::npos);
    EXPECT_NE(error_of_file("9223372036854775807\na\n").find("found 1"), std::string::npos);
}

TEST_F(RequestFile, MoreLinesThanTheCountIsAWarning) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(read("1\na\nb\nc\n").size(), 1u);
    const std::string warning = testing::internal::GetCapturedStderr();
    EXPECT_NE(warning.find("warning"), std::string::npos) << warning;
    EXPECT_NE(warning.find("2 lines"), std::string::npos) << warning;

    testing::internal::CaptureStderr();
    read("1\na\n\n\n");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "blank lines at the end say nothing";
}

TEST_F(RequestFile, ChatWrapsEachLineAsAUserMessage) {
    options.chat_template = true;
    options.instructions = "Be brief.";
    options.effort = Effort::kHigh;
    options.steps = 0;
    const Request r = read("1\nhi<|end|>\n")[0];
    const std::string text = bytes_codec().tokenizer().decode(r.prompt);
    EXPECT_NE(text.find("Reasoning: high"), std::string::npos);
    EXPECT_NE(text.find("# Instructions\n\nBe brief."), std::string::npos);
    const std::string end = "<|start|>user<|message|>hi<|end|><|end|><|start|>assistant";
    EXPECT_EQ(text.substr(text.size() - end.size()), end);
    EXPECT_EQ(std::count(r.prompt.begin(), r.prompt.end(), byte_special("<|end|>")), 3)
        << "system, developer, user; the one in the text is text";
    EXPECT_NE(std::find(r.stop_ids.begin(), r.stop_ids.end(), byte_special("<|return|>")), r.stop_ids.end());
    EXPECT_NE(std::find(r.stop_ids.begin(), r.stop_ids.end(), 7), r.stop_ids.end());
}

TEST_F(RequestFile, TextWithoutATokenizerCannotRun) {
    const TextCodec none("there is none");
    codec = &none;
    options.input = folder.write("requests", "1\na\n");
    EXPECT_THROW(read_input(), Error);
}

// ---- JSON lines

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

TEST_F(RequestFile, TopKIsGoodWhereItChangesNothing) {
    EXPECT_EQ(read_line(R"({"prompt": "abc", "top_k": 300})").error, "") << "the whole vocabulary";
    EXPECT_EQ(read_line(R"({"prompt": "abc", "top_k": 40, "temperature": 0})").error, "");
    EXPECT_EQ(read_line(R"({"prompt": "abc", "top_k": 1})").sampling.temperature, 0);
    EXPECT_NE(read_line(R"({"prompt": "abc", "top_k": 299})").error.find("top_k"), std::string::npos);
    options.temperature = 0;
    EXPECT_EQ(read_line(R"({"prompt": "abc", "top_k": 40})").error, "");
}

TEST_F(RequestFile, StopIdsAndWhatBelongsToThem) {
    const Request r = read_line(
        R"({"prompt": "abc", "stop_token_ids": [5], "ignore_eos": true, "stop": "x", "include_stop_str_in_output": true})");
    EXPECT_EQ(r.stop_ids, std::vector<int>{5}) << "ignore_eos is about the model's";
    EXPECT_TRUE(r.include_stop);
    EXPECT_NE(read_line(R"({"prompt": "abc", "stop_token_ids": [300]})").error.find("stop_token_ids"),
              std::string::npos);
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

// ---- pipes, and lines as such

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
    try {
        read_input();
        ADD_FAILURE() << "two lines instead of three";
    } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find("expected 3 lines after it, found 2"), std::string::npos) << e.what();
    }
    writer.join();
}

TEST(LineReader, TooLongALineIsCutAndTheNextOnesGoOn) {
    const TempFolder folder;
    const std::string three_blocks(size_t(3) << 20, 'x'), at_limit(100, 'y');
    const std::vector<std::string> lines = {"first", three_blocks, "", std::string(101, 'z'), at_limit, three_blocks};
    for (const char* end : {"", "\n"}) {
        std::string text;
        for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
        LineReader reader(folder.write("lines", text + end), 100);
        std::string_view line;
        for (size_t i = 0; i < lines.size(); i++) {
            for (int again = 0; again < 2; again++) {
                ASSERT_TRUE(reader.next(line)) << i;
                EXPECT_EQ(reader.too_long(), lines[i].size() > 100) << i;
                EXPECT_EQ(line, lines[i].substr(0, 100)) << i;
                EXPECT_EQ(reader.line_number(), int64_t(i) + 1);
                if (again == 0) reader.again();
            }
        }
        EXPECT_FALSE(reader.next(line));
    }
}

TEST(LineReader, AnInterruptEndsTheWaitForAPipe) {
    const TempFolder folder;
    const std::string path = folder.path("pipe");
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    const int writer = open(path.c_str(), O_RDWR);  // stays open: the pipe never ends
    ASSERT_GE(writer, 0);
    ASSERT_EQ(write(writer, "whole\nbegun", 11), 11);
    LineReader reader(path);
    std::string_view line;
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(line, "whole");
    std::thread other([&] { reader.interrupt(); });
    EXPECT_FALSE(reader.next(line)) << line;
    EXPECT_FALSE(reader.next(line)) << line;
    other.join();
    close(writer);
}

TEST(LineReader, LinesAcrossBlocks) {
    const TempFolder folder;
    // Blocks are 1 MiB: lines that end just before, at and after that, and one that is longer than two.
    std::vector<std::string> expected;
    for (const size_t size : {size_t(0), size_t(1 << 20) - 3, size_t(1), size_t(0), size_t(5) << 19, size_t(3)})
        expected.push_back(std::string(size, char('a' + expected.size())));
    for (const bool newline_at_end : {false, true}) {
        std::string text;
        for (const std::string& line : expected) text += (text.empty() && &line == &expected[0] ? "" : "\n") + line;
        LineReader reader(folder.write("lines", newline_at_end ? text + "\n" : text));
        std::string_view line;
        for (const std::string& e : expected) {
            ASSERT_TRUE(reader.next(line));
            ASSERT_TRUE(line == e) << line.size() << " bytes, expected " << e.size();
        }
        EXPECT_EQ(reader.line_number(), int64_t(expected.size()));
        EXPECT_FALSE(reader.next(line));
        EXPECT_FALSE(reader.next(line));
    }
    EXPECT_THROW(LineReader(folder.path("nowhere")), Error);
}

}  // namespace
