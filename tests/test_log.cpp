// test_log.cpp: where the log fails, what cannot be written is lost and nothing else; and how it shows strangers' text.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "base/visible.h"
#include "log.h"
#include "subprocess.h"
#include "temp_folder.h"
#include "terminal.h"
#include "text_checks.h"

namespace {

// What `write` puts on stderr, a file here.
template <class F>
std::string logged(const F& write) {
    testing::internal::CaptureStderr();
    write();
    return testing::internal::GetCapturedStderr();
}

// `fd` as stderr, -1 for none, while this lives; SIGPIPE is off as in the program.
class StderrIs {
  public:
    explicit StderrIs(int fd) : saved_(dup(STDERR_FILENO)) {
        std::signal(SIGPIPE, SIG_IGN);
        fd < 0 ? close(STDERR_FILENO) : dup2(fd, STDERR_FILENO);
    }
    ~StderrIs() {
        dup2(saved_, STDERR_FILENO);
        close(saved_);
        std::signal(SIGPIPE, SIG_DFL);
    }
    StderrIs(const StderrIs&) = delete;
    StderrIs& operator=(const StderrIs&) = delete;

  private:
    const int saved_;
};

TEST(Visible, SpellsWhatATerminalWouldObey) {
    const struct {
        const char* why;
        std::string text, one_line, many_lines;
    } cases[] = {
        {"nothing", "", "", ""},
        {"plain", "a b", "a b", "a b"},
        {"letters and signs of all kinds", "é 日本 \U0001f600", "é 日本 \U0001f600", "é 日本 \U0001f600"},
        {"line break", "a\nb", "a\\nb", "a\nb"},
        {"tab", "a\tb", "a\\tb", "a\tb"},
        {"carriage return, which overwrites the line", "a\rb", "a\\rb", "a\\rb"},
        {"escape sequence", "\x1b[2J", "\\x1b[2J", "\\x1b[2J"},
        {"bell, backspace, delete", "\a\b\x7f", "\\x07\\x08\\x7f", "\\x07\\x08\\x7f"},
        {"NUL", std::string("a\0b", 3), "a\\x00b", "a\\x00b"},
        {"C1: CSI as one character", "\u009b2J", "\\x9b2J", "\\x9b2J"},
        {"C1 as a byte, not UTF-8", "\x9b", "\\x9b", "\\x9b"},
        {"a character cut short", "a\xe6\x97", "a\\xe6\\x97", "a\\xe6\\x97"},
        {"right-to-left override", "\u202etxt", "\\u202etxt", "\\u202etxt"},
        {"isolate", "\u2066", "\\u2066", "\\u2066"},
        {"line separator", "\u2028", "\\u2028", "\\u2028"},
        {"neighbours of the ranges", " ~\u00a0\u2027\u202f\u2065", " ~\u00a0\u2027\u202f\u2065",
         " ~\u00a0\u2027\u202f\u2065"},
    };
    for (const auto& c : cases) {
        EXPECT_EQ(visible(c.text, LineBreaks::kEscape), c.one_line) << c.why;
        EXPECT_EQ(visible(c.text, LineBreaks::kKeep), c.many_lines) << c.why;
    }
}

TEST(Log, ALineStaysOneLine) {
    EXPECT_EQ(logged([] { log_line("{} of {}", 3, "a\nrequests: 9 ok"); }), "3 of a\\nrequests: 9 ok\n");
    const std::string text = logged([] { log_line("{}", std::string(5000000, 'x')); });
    EXPECT_EQ(n_lines(text), 1);
    EXPECT_LT(text.size(), 2000u);
    EXPECT_NE(text.find("5000000 bytes"), std::string::npos) << text;
    const std::string wide = logged([] { log_line("{}", "a" + std::string(4000, '\1') + "b"); });
    EXPECT_LT(wide.size(), 2000u) << "spelled out, it is four times as long";
    std::string cut;
    for (int i = 0; i < 1000; i++) cut += "\u65e5";
    const std::string kept = logged([&] { log_line("x{}", cut); });
    EXPECT_EQ(visible(kept, LineBreaks::kKeep), kept) << "no character is cut in two";
}

TEST(Log, LinesOfAKindAreCountedFromThe21st) {
    const std::string text = logged([] {
        log_counts();  // of other tests
        for (int i = 0; i < 25; i++) log_repeated("bad apples", "apple {}", i);
        for (int i = 0; i < 20; i++) log_repeated("bad pears", "pear {}", i);
        log_counts();
        log_counts();
    });
    EXPECT_EQ(n_lines(text), 41) << text;
    EXPECT_NE(text.find("apple 19\n"), std::string::npos);
    EXPECT_EQ(text.find("apple 20\n"), std::string::npos);
    EXPECT_NE(text.find("bad apples: 5 more"), std::string::npos) << text;
    EXPECT_EQ(text.find("bad pears: "), std::string::npos) << text;
}

TEST(Log, WithoutATerminalThereIsNoProgressAndNoColor) {
    EXPECT_EQ(logged([] {
                  log_status("{} %", 50);
                  log_line("between");
                  log_status("{} %", 51);
                  log_clear_status();
                  log_stream("think\n");
                  log_stream("ing");
                  log_line("after");
                  log_stream("more");
                  log_stream_end();
                  log_stream_end();
              }),
              "between\nthink\ning\nafter\nmore\n");
}

// The calls need only return.
TEST(Log, WhatCannotBeWrittenIsLost) {
    const auto write_all = [] {
        log_line("a line");
        log_repeated("things", "a line");
        log_status("status");
        log_stream("a stream");
        log_stream_end();
        log_counts();
    };
    const int full = open("/dev/full", O_WRONLY), not_for_writing = open("/dev/null", O_RDONLY);
    int broken[2];
    ASSERT_EQ(pipe(broken), 0);
    close(broken[0]);
    for (const int fd : {-1, full, not_for_writing, broken[1]}) {
        const StderrIs now(fd);
        write_all();
    }
    for (const int fd : {full, not_for_writing, broken[1]}) close(fd);
}

TEST(Log, AReaderThatSleepsHoldsUpNobody) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    {
        const StderrIs now(ends[1]);
        for (int i = 0; i < 20000; i++) log_line("line {}", i);  // more than a pipe holds
    }
    EXPECT_EQ(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0) << "the stream is shared with others, and stays as it was";
    char buffer[4096];
    ASSERT_GT(read(ends[0], buffer, sizeof buffer), 0);
    {
        const StderrIs now(ends[1]);
        log_line("awake again");
    }
    close(ends[1]);
    std::string rest;
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) rest.append(buffer, size_t(n));
    close(ends[0]);
    EXPECT_NE(rest.find("\nawake again\n"), std::string::npos) << "lines are whole, and come again";
}

// The program, with streams as a careless caller leaves them.
class LogOfTheProgram : public testing::Test {
  public:
    static constexpr int kRequests = 40;

    void SetUp() override {
        std::string lines;
        for (int i = 0; i < kRequests; i++)
            lines += fmt::format(R"({{"custom_id":"{}","body":{{"prompt":[{}],"max_tokens":30,"ignore_eos":true}}}})",
                                 i, i + 1) +
                     "\n";
        folder.write("requests.jsonl", lines + "{\"prompt\":\"x\\ud800\\n\"}\n");
    }

    std::vector<std::string> getp() const {
        return {
            built("run"),           "demo",       "-m", "getp", "-b", "4", "-i", folder.path("requests.jsonl"), "-o",
            folder.path("answers"), "--overwrite"};
    }

    // A stream without a reader.
    static std::string broken(const std::string& fd) {
        return "exec 9> >(exec true); wait $!; exec " + fd + ">&9 9>&-";
    }

    // The command with redirections, by the shell.
    static ProgramResult shell(const std::vector<std::string>& args, const std::string& redirections,
                               const std::string& input = "") {
        std::vector<std::string> command = {"bash", "-c", redirections + "; exec \"$@\"", "bash"};
        command.insert(command.end(), args.begin(), args.end());
        return run_program(command, input);
    }

    TempFolder folder;
};

TEST_F(LogOfTheProgram, NoStateOfStderrCostsAnAnswer) {
    const std::string good = "exec 2> " + folder.path("log");
    for (const std::string& redirection : {good, std::string("exec 2> /dev/full"), std::string("exec 2>&-"),
                                           std::string("exec 2< /dev/null"), broken("2")}) {
        SCOPED_TRACE(redirection);
        const ProgramResult r = shell(getp(), redirection);
        EXPECT_EQ(r.code, 1) << "one request is bad";
        EXPECT_EQ(n_lines(folder.read("answers")), kRequests + 1);
        EXPECT_EQ(folder.read("answers").find("requests:"), std::string::npos) << "the log is among the answers";
        std::filesystem::remove(folder.path("answers"));
    }
}

TEST_F(LogOfTheProgram, AllStreamsClosedStillWritesTheFile) {
    EXPECT_EQ(shell(getp(), "exec <&- >&- 2>&-").code, 1);
    EXPECT_EQ(n_lines(folder.read("answers")), kRequests + 1);
    EXPECT_EQ(folder.read("answers").find("tok/s"), std::string::npos);
}

TEST_F(LogOfTheProgram, ATerminalThatGoesCostsNoAnswer) {
    for (const char* ignoring : {"", "trap '' HUP; "}) {  // as nohup does
        std::vector<std::string> args = {"bash", "-c", ignoring + std::string("exec \"$@\""), "bash"};
        for (const std::string& arg : getp()) args.push_back(arg);
        Terminal terminal(args);
        ASSERT_TRUE(terminal.shows("KV")) << terminal.output();  // the engine's line: the work begins
        terminal.hang_up();
        EXPECT_EQ(terminal.wait(), 1) << ignoring;
        EXPECT_EQ(n_lines(folder.read("answers")), kRequests + 1) << ignoring;
    }
}

TEST_F(LogOfTheProgram, AnAnswerThatCannotBeWrittenIsAnError) {
    const std::vector<std::string> args = {built("run"), "demo", "-i", "What is 3 + 4?", "--no-reasoning"};
    const std::vector<std::string> chat = {built("run"), "demo", "-m", "chat", "--no-reasoning"};
    for (const std::string& redirection : {std::string("exec > /dev/full"), std::string("exec >&-"), broken("1")}) {
        SCOPED_TRACE(redirection);
        const ProgramResult one = shell(args, redirection);
        EXPECT_EQ(one.code, 2);
        EXPECT_NE(one.err.find("stdout: cannot write"), std::string::npos) << one.err;
        const ProgramResult turns = shell(chat, redirection, "What is 3 + 4?\nWhat is 4 + 5?\n");
        EXPECT_EQ(turns.code, 2);
        EXPECT_NE(turns.err.find("stdout: cannot write"), std::string::npos) << turns.err;
    }
    EXPECT_EQ(shell({built("run"), "--help"}, "exec > /dev/full").code, 2);
}

TEST_F(LogOfTheProgram, ColorIsForTerminalsThatWantIt) {
    const std::string ask = built("run") + " demo -i 'What is 3 + 4?'";
    const auto output = [](const std::string& command, const char* term) {
        Terminal terminal({"bash", "-c", command}, term);
        EXPECT_EQ(terminal.wait(), 0) << terminal.output();
        return terminal.output();
    };
    EXPECT_NE(output(ask, "xterm").find("\x1b[2m"), std::string::npos);
    EXPECT_EQ(output("NO_COLOR=1 " + ask, "xterm").find("\x1b[2m"), std::string::npos);
    EXPECT_NE(output("NO_COLOR= " + ask, "xterm").find("\x1b[2m"), std::string::npos) << "empty is not set";
    EXPECT_EQ(output(ask, "dumb").find('\x1b'), std::string::npos);
    EXPECT_EQ(output(ask + " 2> /dev/null", "xterm").find('\x1b'), std::string::npos);
}

}  // namespace
