// test_requests_text.cpp: files of requests in the text format.
#include <gtest/gtest.h>

#include "request_file.h"

namespace {

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

}  // namespace
