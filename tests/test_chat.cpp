// test_chat.cpp: a conversation as people and scripts have it: line ends, Ctrl-C, more turns than the context holds.
#include <gtest/gtest.h>

#include <algorithm>

#include "subprocess.h"
#include "temp_folder.h"
#include "terminal.h"

namespace {

const std::vector<std::string> kChat = {"run", "demo", "-m", "chat", "--no-reasoning", "--device", "cpu"};

std::vector<std::string> chat_command(const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = kChat;
    args[0] = built("run");
    args.insert(args.end(), more.begin(), more.end());
    return args;
}

int count(const std::string& text, const std::string& what) {
    int n = 0;
    for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) n++;
    return n;
}

// Each prompt holds all earlier turns, which are found in the KV cache but for the last block of 32 tokens.
TEST(Chat, ATurnReadsOnlyWhatIsNew) {
    const ProgramResult r = run_program(chat_command(),
                                        "Reverse the word garden.\nReverse the word garden.\n"
                                        "Reverse the word garden.\nReverse the word garden.\n");
    std::vector<int> computed;
    const std::string word = "prefill: ";
    for (size_t at = r.err.find(word); at != std::string::npos; at = r.err.find(word, at + 1))
        computed.push_back(std::stoi(r.err.substr(at + word.size())));
    ASSERT_EQ(computed.size(), 4u) << r.err;
    EXPECT_EQ(count(r.err, " reused, "), 3) << r.err;
    for (size_t turn = 1; turn < computed.size(); turn++) EXPECT_LT(computed[turn], computed[0]) << r.err;
}

TEST(Chat, LinesMayEndAsOnWindows) {
    const ProgramResult r =
        run_program(chat_command(), "Reverse the word garden.\r\n\r\n/new\r\n/quit\r\nReverse the word table.\r\n");
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(r.out, "nedrag\n");
}

TEST(Chat, TheLastLineNeedsNoEnd) {
    EXPECT_EQ(run_program(chat_command(), "Reverse the word garden.").out, "nedrag\n");
    EXPECT_EQ(run_program(chat_command({"-i", "-"}), "Reverse the word garden.").out, "nedrag\n");
    EXPECT_EQ(run_program(chat_command({"-i", "Reverse the word garden."})).out, "nedrag\n");
}

TEST(Chat, ALineTooLongForAnyContextFailsAlone) {
    const ProgramResult r = run_program(chat_command(), std::string(17 << 20, 'a') + "\nReverse the word garden.\n");
    EXPECT_EQ(r.code, 1);
    EXPECT_EQ(r.out, "nedrag\n");
    EXPECT_NE(r.err.find("at most 16 MB"), std::string::npos) << r.err;
}

TEST(Chat, WithoutStdinItSaysSo) {
    std::vector<std::string> args = {"bash", "-c", "exec \"$@\" <&-", "bash"};
    for (const std::string& arg : chat_command()) args.push_back(arg);
    const ProgramResult r = run_program(args);
    EXPECT_EQ(r.code, 2);
    EXPECT_NE(r.err.find("stdin: cannot read"), std::string::npos) << r.err;
}

TEST(Chat, TheContextIsTheLimitUnlessStepsSaysOtherwise) {
    std::string instructions;
    for (int i = 0; i < 180; i++) instructions += "You are a helpful assistant. ";
    const ProgramResult r = run_program(chat_command({"-y", instructions}), "Reverse the word garden.\n");
    EXPECT_EQ(r.code, 0) << "1341 tokens, and 4096 are enough: " << r.err;
    EXPECT_EQ(r.out, "nedrag\n");
    const ProgramResult fewer = run_program(chat_command({"-y", instructions, "-n", "1024"}), "Reverse it.\n");
    EXPECT_EQ(fewer.code, 1);
    EXPECT_NE(fewer.err.find("1024 (--steps)"), std::string::npos) << fewer.err;
}

// Ctrl-C is typed until it has an effect: before the prompt begins to be read it would be lost, and a test cannot see
// when that is.
TEST(Chat, CtrlCStopsAnAnswerWhosePromptIsBeingRead) {
    Terminal terminal(chat_command({"--reference"}));
    ASSERT_TRUE(terminal.prompts("> ")) << terminal.output();
    std::string words;
    for (int i = 0; i < 1500; i++) words += "word ";
    terminal.type(words + "\r");
    while (!terminal.shows_within("(stopped)", 200)) terminal.type("\x03");
    EXPECT_TRUE(terminal.shows("decode: 0 tokens")) << terminal.output();
}

TEST(Chat, OldTurnsAreForgottenWhereTheLimitIsNear) {
    const std::string name = "My name is Ada.\n", ask = "What is my name?\n";
    std::string turns;
    for (int i = 0; i < 8; i++) turns += "Reverse the word garden.\n";
    const ProgramResult long_ago = run_program(chat_command({"-n", "300"}), name + turns + ask);
    EXPECT_EQ(long_ago.code, 0) << long_ago.err;
    EXPECT_EQ(count(long_ago.err, "achieved tok/s"), 10) << "no turn is refused";
    EXPECT_NE(long_ago.err.find("oldest turn is forgotten"), std::string::npos) << long_ago.err;
    EXPECT_NE(long_ago.err.find("300 tokens, the limit of --steps"), std::string::npos) << long_ago.err;
    const std::string last = long_ago.out.substr(long_ago.out.rfind('\n', long_ago.out.size() - 2) + 1);
    EXPECT_EQ(last.find("Ada"), std::string::npos) << last;

    const ProgramResult just_now = run_program(chat_command({"-n", "300"}), turns + name + ask);
    EXPECT_NE(just_now.out.rfind("Ada"), std::string::npos) << just_now.out;
}

TEST(Chat, CtrlCAtThePromptClearsTheLineAndTwiceLeaves) {
    Terminal terminal(chat_command());
    ASSERT_TRUE(terminal.prompts("> ")) << terminal.output();
    terminal.type("Reverse the word garden.");
    ASSERT_TRUE(terminal.shows("garden.")) << terminal.output();
    terminal.type("\x03");
    ASSERT_TRUE(terminal.prompts("> ")) << terminal.output();
    terminal.type("Reverse the word table.\r");
    ASSERT_TRUE(terminal.shows("elbat")) << terminal.output();
    EXPECT_EQ(terminal.output().find("nedrag"), std::string::npos);
    ASSERT_TRUE(terminal.shows("achieved tok/s") && terminal.prompts("> ")) << terminal.output();

    terminal.type("\x03");
    ASSERT_TRUE(terminal.shows("(Ctrl-C again") && terminal.prompts("> ")) << terminal.output();
    terminal.type("x\x03");  // a line with text is cleared, however often
    ASSERT_TRUE(terminal.prompts("> ")) << terminal.output();
    terminal.type("\x03");
    ASSERT_TRUE(terminal.shows("(Ctrl-C again") && terminal.prompts("> ")) << terminal.output();
    terminal.type("\x03");
    EXPECT_EQ(terminal.wait(), 0) << terminal.output();
}

TEST(Chat, CtrlDAndQuitLeaveATerminal) {
    for (const char* keys : {"\x04", "/quit\r"}) {
        Terminal terminal(chat_command());
        ASSERT_TRUE(terminal.prompts("> ")) << terminal.output();
        terminal.type(keys);
        EXPECT_EQ(terminal.wait(), 0) << terminal.output();
    }
}

TEST(Chat, WhatIsTypedMayBeAnyLetters) {
    for (const char* locale : {"LC_ALL=C", "LC_ALL=C.UTF-8", "LC_ALL=no_SUCH"}) {
        std::vector<std::string> args = {"env", locale};
        for (const std::string& arg : chat_command()) args.push_back(arg);
        Terminal terminal(args);
        ASSERT_TRUE(terminal.prompts("> ")) << terminal.output();
        terminal.type("Gr\u00fc\u00dfe aus K\u00f6ln\r");
        EXPECT_TRUE(terminal.shows("achieved tok/s") && terminal.prompts("> ")) << terminal.output();
        EXPECT_EQ(terminal.output().find("UTF-8"), std::string::npos) << locale << terminal.output();
        terminal.type("\x04");
        EXPECT_EQ(terminal.wait(), 0) << terminal.output();
    }
}

// Ctrl-C on the terminal of a program whose stdin is a file.
TEST(Chat, CtrlCEndsAChatOverAPipe) {
    const TempFolder folder;
    std::string turns;
    for (int i = 0; i < 300; i++) turns += "Write a haiku about rain.\n";
    std::vector<std::string> args = {"bash", "-c", "exec \"$@\" < " + folder.write("turns", turns), "bash"};
    for (const std::string& arg : chat_command()) args.push_back(arg);
    Terminal terminal(args);
    ASSERT_TRUE(terminal.shows("achieved tok/s")) << terminal.output();
    terminal.type("\x03");
    EXPECT_EQ(terminal.wait(), -SIGINT);
    EXPECT_LT(count(terminal.output(), "achieved tok/s"), 300);
}

TEST(Generate, CtrlCEndsItAndLeavesTheTerminalPlain) {
    Terminal terminal({built("run"), "demo", "-i", "What is 347 + 586?", "--reasoning", "high", "--reference"});
    ASSERT_TRUE(terminal.shows("\x1b[2m")) << terminal.output();
    terminal.type("\x03");
    EXPECT_EQ(terminal.wait(), -SIGINT) << terminal.output();
    EXPECT_TRUE(terminal.shows("\x1b[0m") && terminal.shows("(stopped)")) << terminal.output();
}

}  // namespace
