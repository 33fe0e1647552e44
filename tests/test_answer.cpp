// test_answer.cpp: which parts of an answer generate and chat show, and where.
#include <gtest/gtest.h>

#include "app/answer.h"
#include "base/output_file.h"
#include "harmony_checks.h"

namespace {

struct Shown {
    std::string out, err;
};

Shown show(const std::string& stream, bool show_reasoning = true) {
    static const Tokenizer tokenizer = byte_tokenizer();
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    AnswerText text{KeptFiles()};
    HarmonyAnswer answer(text, tokenizer, show_reasoning);
    for (const int id : ids_of(stream)) answer.token(id);
    answer.finish();
    return {testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(HarmonyAnswer, ShowsTheReaderWhatIsNotAnalysisAndCallsNothing) {
    const struct {
        const char* why;
        const char* stream;
        const char* out;
        const char* err;
    } cases[] = {
        {"final alone", "<|channel|>final<|message|>933<|return|>", "933\n", ""},
        {"thought, then final",
         "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>933<|return|>", "933\n",
         "Hm.\n"},
        {"no channel", "<|message|>The answer is 933.<|return|>", "The answer is 933.\n", ""},
        {"a channel in capitals", "<|channel|>Final<|message|>933<|return|>", "933\n", ""},
        {"plain text", "Hello there", "Hello there\n", ""},
        {"a preamble, then final",
         "<|channel|>commentary<|message|>Let me see.<|end|><|start|>assistant<|channel|>final<|message|>933<|return|>",
         "Let me see.\n933\n", ""},
        {"a preamble, then a call",
         "<|channel|>commentary<|message|>Let me see.<|end|>"
         "<|start|>assistant<|channel|>commentary to=functions.add<|constrain|>json<|message|>{}<|call|>",
         "Let me see.\n", "{}\n"},
        {"thought alone", "<|channel|>analysis<|message|>Hm.", "", "Hm.\n"},
        {"two thoughts",
         "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>analysis<|message|>B<|end|>", "",
         "A\nB\n"},
        {"nothing", "<|return|>", "", ""},
    };
    for (const auto& c : cases) {
        const Shown all = show(c.stream);
        EXPECT_EQ(all.out, c.out) << c.why;
        EXPECT_EQ(all.err, c.err) << c.why;
        const Shown quiet = show(c.stream, /*show_reasoning=*/false);
        EXPECT_EQ(quiet.out, c.out) << c.why;
        EXPECT_EQ(quiet.err, "") << c.why;
    }
}

TEST(HarmonyAnswer, ThoughtsCannotDriveTheTerminal) {
    EXPECT_EQ(show("<|channel|>analysis<|message|>a\x1b[2Jb\nc").err, "a\\x1b[2Jb\nc\n");
}

}  // namespace
