// test_job_faults.cpp: jobs on disks that fail or are full: what was answered stays, the exit code says that the job is
// not done, and the same command goes on. And how soon an answer is durable.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "batch.h"
#include "batch/syncer.h"
#include "error.h"
#include "mode_test.h"
#include "support/io_faults.h"

namespace fs = std::filesystem;

namespace {

class JobFaults : public ModeTest {
  protected:
    JobFaults() {
        go_on();
        options.steps = 16;
        options.temperature = 0;
        options.max_in_flight = 2;
    }
    void TearDown() override { io_faults().stop(); }

    static constexpr int kRequests = 12;
    static std::string requests(bool is_text) {
        std::string text = is_text ? std::to_string(kRequests) + "\n" : "";
        for (int i = 0; i < kRequests; i++)
            text += is_text ? "prompt " + std::to_string(i) + "\n"
                            : "{\"prompt\":[" + std::to_string(i + 65) + "],\"max_tokens\":4}\n";
        return text;
    }
    // The answers, sorted if they may be in any order, without the time of the job's start.
    std::string answers(bool is_text) const {
        std::vector<std::string> all;
        std::istringstream stream(folder.read("answers"));
        for (std::string line; std::getline(stream, line);) {
            const size_t created = line.find("\"created\":");
            if (created != std::string::npos) line.erase(created, line.find(',', created) - created);
            all.push_back(line + "\n");
        }
        if (!is_text) std::sort(all.begin(), all.end());
        std::string text;
        for (const std::string& line : all) text += line;
        return text;
    }
    void start_anew() const {
        for (const char* name : {"answers", "answers.job", "answers.part", "answers.tmp"})
            fs::remove(folder.path(name));
    }
};

TEST_F(JobFaults, WhatPassesCostsNothing) {
    for (const bool is_text : {false, true}) {
        ASSERT_EQ(run_mode(getp, requests(is_text)), kExitOk) << error;
        const std::string expected = answers(is_text);
        for (const Fault passing : {Fault::kShort, Fault::kInterrupted, Fault::kBusy}) {
            start_anew();
            folder.write("requests", requests(is_text));
            testing::internal::CaptureStderr();
            io_faults().start(passing, "answers" + std::string(is_text ? ".part" : ""));
            EXPECT_EQ(getp(options, tiny->model()), kExitOk);
            io_faults().stop();
            testing::internal::GetCapturedStderr();
            EXPECT_EQ(answers(is_text), expected) << int(passing);
        }
        start_anew();
    }
}

TEST_F(JobFaults, ADiskThatFailsStopsTheJobAndLosesNothing) {
    for (const bool is_text : {false, true}) {
        ASSERT_EQ(run_mode(getp, requests(is_text)), kExitOk) << error;
        const std::string expected = answers(is_text);
        for (const Fault deadly : {Fault::kBroken, Fault::kFull, Fault::kNothing, Fault::kLostAtSync}) {
            SCOPED_TRACE(int(deadly));
            start_anew();
            folder.write("requests", requests(is_text));
            const std::string journal = is_text ? "answers.part" : "answers";
            testing::internal::CaptureStderr();
            io_faults().start(deadly, "/" + journal);
            const std::string failure = error_of([&] { EXPECT_EQ(getp(options, tiny->model()), kExitPartial); });
            io_faults().stop();
            const std::string said = testing::internal::GetCapturedStderr();
            EXPECT_EQ(failure, "") << said;
            EXPECT_NE(said.find(journal + ": cannot write: "), std::string::npos) << said;
            EXPECT_NE(said.find("the same command goes on"), std::string::npos) << said;
            const std::string left = folder.read(journal);
            EXPECT_TRUE(left.empty() || left.back() == '\n') << "whole lines alone";
            EXPECT_EQ(run_mode(getp, requests(is_text)), kExitOk) << error << report;
            EXPECT_EQ(answers(is_text), expected);
        }
        start_anew();
    }
}

// The journal is whole, and there is no room for the output that is made of it.
TEST_F(JobFaults, NoRoomForTheTextAtTheEnd) {
    ASSERT_EQ(run_mode(getp, requests(true)), kExitOk) << error;
    const std::string expected = answers(true);
    for (const Fault deadly : {Fault::kFull, Fault::kLostAtSync, Fault::kLostAtClose}) {
        start_anew();
        testing::internal::CaptureStderr();
        io_faults().start(deadly, "answers.tmp", 1);
        const std::string failure = error_of([&] { EXPECT_EQ(getp(options, tiny->model()), kExitPartial); });
        io_faults().stop();
        const std::string said = testing::internal::GetCapturedStderr();
        EXPECT_EQ(failure, "") << said;
        EXPECT_NE(said.find("answers.tmp: cannot write: "), std::string::npos) << said;
        EXPECT_FALSE(fs::exists(options.output));
        EXPECT_EQ(run_mode(getp, requests(true)), kExitOk) << error;
        EXPECT_NE(report.find("0 are left"), std::string::npos) << report;
        EXPECT_EQ(answers(true), expected);
    }
}

// It jumps by years and by an hour, in both directions.
TEST_F(JobFaults, TheClockMayJump) {
    const std::string input = requests(false);
    ASSERT_EQ(run_mode(getp, input), kExitOk) << error;
    const std::string whole = folder.read("answers");
    for (const long offset_s : {-1000000000L, -3600L, 3600L, 1000000000L}) {
        folder.write("answers", whole.substr(0, whole.find('\n') + 1));
        io_faults().clock_offset_s = offset_s;
        EXPECT_EQ(run_mode(getp, input), kExitOk) << error;
        io_faults().clock_offset_s = 0;
        std::string text = folder.read("answers");
        std::vector<std::string> a, b;
        std::istringstream one(whole), other(text);
        for (std::string line; std::getline(one, line);) a.push_back(line);
        for (std::string line; std::getline(other, line);) b.push_back(line);
        std::sort(a.begin(), a.end());
        std::sort(b.begin(), b.end());
        EXPECT_EQ(a, b) << "with the time of the first start in every line";
    }
}

TEST_F(JobFaults, TheJobsFileIsADirectory) {
    folder.write("requests", requests(false));
    testing::internal::CaptureStderr();
    const std::string failure = error_of([&] {
        fs::create_directory(folder.path("answers.job"));
        getp(options, tiny->model());
    });
    testing::internal::GetCapturedStderr();
    EXPECT_NE(failure.find("answers.job"), std::string::npos) << failure;
    EXPECT_FALSE(fs::exists(options.output));
}

// One of several tries must keep within the bound: a machine that is busy may be late.
TEST(SyncerThread, SyncsWithinTheBoundAndOnceForMany) {
    bool in_time = false;
    for (int i = 0; i < 10 && !in_time; i++) {
        std::atomic<int> n_syncs{0};
        Syncer syncer([&] { n_syncs++; });
        const auto start = std::chrono::steady_clock::now();
        for (int n = 0; n < 1000; n++) syncer.wrote();
        while (n_syncs == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        in_time = std::chrono::steady_clock::now() - start < std::chrono::milliseconds(kSyncWithinMs);
        EXPECT_EQ(n_syncs, 1);
    }
    EXPECT_TRUE(in_time);
}

TEST(SyncerThread, NothingWrittenIsNotSynced) {
    int n_syncs = 0;
    {
        const Syncer syncer([&] { n_syncs++; });
    }
    EXPECT_EQ(n_syncs, 0);
}

}  // namespace
