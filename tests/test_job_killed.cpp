// test_job_killed.cpp: jobs that are killed go on, and what comes of all pieces is what one undisturbed run writes.
// JOB_KILLS=200 kills so many processes of each format instead of 20.
#include <cstdlib>
#include <random>

#include "error.h"
#include "job_process.h"

namespace {

class JobKilled : public JobTest, public testing::WithParamInterface<bool> {};

TEST_P(JobKilled, AtAnyMomentAndGoesOnToTheSameOutput) {
    const bool is_text = GetParam();
    const char* const asked = std::getenv("JOB_KILLS");
    const int n_kills = asked ? std::atoi(asked) : 20;
    const std::vector<std::string> flags = {"-n", "60", "-b", "8", "-T", "1"};
    folder.write("requests", is_text ? text_requests(80) : json_requests(80, 50));
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(run("undisturbed", flags).code, 0);
    const auto whole = std::chrono::steady_clock::now() - start;
    const std::string expected = comparable(folder.read("undisturbed"), is_text);
    EXPECT_EQ(n_lines(expected), 80);

    std::minstd_rand random(1);  // each moment of a run is as likely as another
    std::uniform_real_distribution<double> share(0, 1.1);
    int n_finished = 0;
    for (int kills = 0; kills < n_kills;) {
        JobProcess job(command("answers", flags), folder.path("log"));
        std::this_thread::sleep_for(whole * share(random));
        job.send(SIGKILL);
        const int code = job.wait();
        if (code == -SIGKILL) {
            kills++;
            continue;
        }
        ASSERT_EQ(code, 0) << folder.read("log");
        ASSERT_EQ(comparable(folder.read("answers"), is_text), expected) << "after " << kills << " kills";
        n_finished++;
        std::filesystem::remove(folder.path("answers"));
        std::filesystem::remove(folder.path("answers.job"));
    }
    const ProgramResult last = run("answers", flags);
    EXPECT_EQ(last.code, 0) << last.err;
    EXPECT_EQ(comparable(folder.read("answers"), is_text), expected) << n_finished;
    EXPECT_FALSE(exists("answers.part"));
    EXPECT_FALSE(exists("answers.tmp"));
}

INSTANTIATE_TEST_SUITE_P(Formats, JobKilled, testing::Bool(),
                         [](const auto& format) { return format.param ? "Text" : "JsonLines"; });

using JobGoesOn = JobTest;

// Nothing that an earlier process has answered is computed again.
TEST_F(JobGoesOn, WhereItWas) {
    folder.write("requests",
                 json_requests(20, 5) + R"({"prompt": [1], "max_tokens": 4000, "ignore_eos": true})" + "\n");
    {
        JobProcess job(command("answers"), folder.path("log"));
        ASSERT_TRUE(has_lines("answers", 20)) << folder.read("log");
        job.send(SIGKILL);
        job.wait();
    }
    const std::string before = folder.read("answers");
    const ProgramResult r = run("answers");
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_NE(r.err.find("20 requests are answered, 0 of them failed; 1 are left"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("requests: 1 ok, 0 failed"), std::string::npos) << r.err;
    const std::string after = folder.read("answers");
    EXPECT_EQ(after.substr(0, before.size()), before);
    EXPECT_EQ(n_lines(after), 21);
}

TEST_F(JobGoesOn, OneLongTextHoldsNoOtherBack) {
    std::string requests = "101\n";
    for (int i = 0; i < 100; i++) requests += std::string(1900, 'a') + "\n";
    requests.insert(4, "1\n");  // this model's answer to it does not end before its room of 2,000 tokens does
    folder.write("requests", requests);
    const std::vector<std::string> flags = {"-n", "2000", "-b", "4"};
    JobProcess job(command("answers", flags), folder.path("log"));
    EXPECT_TRUE(has_lines("answers.part", 1)) << folder.read("log");
    EXPECT_NE(folder.read("answers.part").substr(0, 2), "0 ") << "the long one's is not the first";
    job.send(SIGKILL);
    job.wait();
    EXPECT_FALSE(exists("answers")) << "only a complete output gets the name";
}

}  // namespace
