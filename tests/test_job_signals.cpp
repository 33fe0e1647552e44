// test_job_signals.cpp: jobs that are asked to stop, at once or soon, or to say where they stand.
#include "error.h"
#include "job_process.h"

namespace {

class JobSignals : public JobTest {
  protected:
    // One request that runs for minutes, after `n` short ones.
    void write_requests(int n) {
        folder.write("requests",
                     json_requests(n, 3) + R"({"prompt": [1], "max_tokens": 100000, "ignore_eos": true})" + "\n");
    }
    std::string log() const { return folder.read("log"); }
};

TEST_F(JobSignals, AStopLeavesWhatHasBegunItsTime) {
    folder.write("requests", json_requests(200, 300));
    ASSERT_EQ(run("undisturbed", {"-b", "4"}).code, 0);
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
        SCOPED_TRACE(signal);
        JobProcess job(command("answers", {"-b", "4", "--grace", "60"}), folder.path("log"));
        ASSERT_TRUE(has_lines("answers", 5)) << log();
        job.send(signal);
        EXPECT_EQ(job.wait(), kExitPartial) << log();
        const int64_t n = n_lines(folder.read("answers"));
        EXPECT_LT(n, 200);
        EXPECT_NE(log().find(fmt::format("stopped by a signal: {} of 200 requests are answered in ", n)),
                  std::string::npos)
            << log();
        EXPECT_NE(log().find("the same command goes on"), std::string::npos);
        EXPECT_EQ(run("answers", {"-b", "4"}).code, 0);
        EXPECT_EQ(comparable(folder.read("answers"), false), comparable(folder.read("undisturbed"), false));
        for (const char* name : {"answers", "answers.job", "log"}) std::filesystem::remove(folder.path(name));
    }
}

TEST_F(JobSignals, TheGraceEnds) {
    write_requests(3);
    JobProcess job(command("answers", {"--grace", "0.2"}), folder.path("log"));
    ASSERT_TRUE(has_lines("answers", 3)) << log();
    job.send(SIGTERM);
    EXPECT_EQ(job.wait(), kExitPartial) << "SIGALRM, if the long request went on: " << log();
    EXPECT_EQ(n_lines(folder.read("answers")), 3);
}

TEST_F(JobSignals, ASecondOneStopsAtOnce) {
    write_requests(3);
    JobProcess job(command("answers", {"--grace", "1000"}), folder.path("log"));
    ASSERT_TRUE(has_lines("answers", 3)) << log();
    job.send(SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_FALSE(job.has_ended());
    job.send(SIGTERM);
    EXPECT_EQ(job.wait(), kExitPartial) << log();
    EXPECT_NE(log().find("stopped at once by a signal: 3 of 4 requests are answered in "), std::string::npos) << log();
}

TEST_F(JobSignals, OneIsEnoughWhileItWaitsForAPipe) {
    const std::string script = fmt::format(
        "mkfifo {0}; exec 7<> {0}; echo '{{\"prompt\": [65], \"max_tokens\": 2}}' >&7; exec {1} {2} -m getp "
        "-i {0} -o {3}",
        folder.path("pipe"), built("run"), made->path("model"), folder.path("answers"));
    JobProcess job({"bash", "-c", script}, folder.path("log"));
    ASSERT_TRUE(has_lines("answers", 1)) << log();
    job.send(SIGTERM);
    EXPECT_EQ(job.wait(), kExitPartial) << log();
    EXPECT_NE(log().find("1 requests are answered in "), std::string::npos) << log();
    EXPECT_NE(log().find("the input is a pipe"), std::string::npos) << log();
    EXPECT_NE(log().find("the same command begins with the first request"), std::string::npos) << log();
}

// The input is read through before anything runs, which may take a while.
TEST_F(JobSignals, OneBeforeTheFirstRequestIsEnough) {
    std::string requests = json_requests(200000, 3);
    folder.write("requests", requests);
    for (int i = 0; i < 20; i++) {
        JobProcess job(command("answers"), folder.path("log"));
        std::this_thread::sleep_for(std::chrono::milliseconds(20 + 10 * i));  // at the latest moments, handlers stand
        job.send(SIGTERM);
        const int code = job.wait();
        EXPECT_TRUE(code == kExitPartial || code == -SIGTERM) << code << log();
        if (code == kExitPartial) break;
        ASSERT_LT(i, 19) << "no handler";
    }
    EXPECT_NE(log().find("the same command"), std::string::npos) << log();
}

TEST_F(JobSignals, SomeEndNothing) {
    write_requests(3);
    JobProcess job(command("answers"), folder.path("log"));
    ASSERT_TRUE(has_lines("answers", 3)) << log();
    job.send(SIGHUP);
    job.send(SIGUSR2);
    EXPECT_TRUE(says("log", "3/4 requests, ")) << log();
    EXPECT_FALSE(job.has_ended());
}

TEST_F(JobSignals, IgnoredOnesStayIgnored) {
    write_requests(3);
    std::vector<std::string> args = {"bash", "-c", "trap '' INT; exec \"$@\"", "bash"};
    for (const std::string& arg : command("answers")) args.push_back(arg);
    JobProcess job(args, folder.path("log"));
    ASSERT_TRUE(has_lines("answers", 3)) << log();
    job.send(SIGINT);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_FALSE(job.has_ended()) << log();
}

TEST_F(JobSignals, TwoProcessesOnOneOutput) {
    write_requests(3);
    JobProcess job(command("answers"), folder.path("log"));
    ASSERT_TRUE(has_lines("answers", 3)) << log();
    const std::string before = folder.read("answers");
    for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{{}, {"--overwrite"}}) {
        const ProgramResult r = run("answers", more);
        EXPECT_EQ(r.code, 2) << r.err;
        EXPECT_NE(r.err.find("another run"), std::string::npos) << r.err;
    }
    EXPECT_EQ(folder.read("answers"), before);
}

}  // namespace
