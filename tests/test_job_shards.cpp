// test_job_shards.cpp: several processes that share a job through a folder, as Slurm starts them on several nodes.
#include "base/checksum.h"
#include "batch.h"
#include "error.h"
#include "job_process.h"
#include "mode_test.h"

namespace fs = std::filesystem;

namespace {

class JobShards : public JobTest, public testing::WithParamInterface<bool> {
  protected:
    static constexpr int kRequests = 100;

    void SetUp() override {
        is_text = GetParam();
        folder.write("requests", is_text ? text_requests(kRequests) : json_requests(kRequests, 30));
        ASSERT_EQ(run("alone", flags).code, 0);
        expected = comparable(folder.read("alone"), is_text);
    }
    std::vector<std::string> shard(int i, int n) const {
        std::vector<std::string> more = flags;
        more.insert(more.end(), {"--shard", std::to_string(i) + "/" + std::to_string(n)});
        return command("answers", more);
    }
    void expect_complete() const {
        EXPECT_EQ(comparable(folder.read("answers"), is_text), expected);
        EXPECT_FALSE(exists("answers.parts"));
        EXPECT_FALSE(exists("answers.tmp"));
        EXPECT_TRUE(exists("answers.job"));
    }
    std::string log() const { return folder.read("log"); }

    const std::vector<std::string> flags = {"-n", "40", "-b", "4", "-T", "1"};
    bool is_text = false;
    std::string expected;
};

TEST_P(JobShards, FourAreAsOne) {
    std::vector<std::unique_ptr<JobProcess>> all;
    for (int i = 0; i < 4; i++) all.push_back(std::make_unique<JobProcess>(shard(i, 4), folder.path("log")));
    for (const auto& process : all) EXPECT_EQ(process->wait(), 0) << log();
    expect_complete();
}

TEST_P(JobShards, OneIsKilledAndOneComesLate) {
    JobProcess first(shard(0, 3), folder.path("log")), killed(shard(1, 3), folder.path("log"));
    ASSERT_TRUE(says("log", "several processes share")) << log();
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    killed.send(SIGKILL);
    killed.wait();
    JobProcess late(shard(2, 3), folder.path("log"));
    EXPECT_EQ(first.wait(), 0) << log();
    EXPECT_EQ(late.wait(), 0) << log();
    expect_complete();
    const ProgramResult later = run_program(shard(1, 3));
    EXPECT_EQ(later.code, 0) << later.err;
    EXPECT_NE(later.err.find("0 are left"), std::string::npos) << later.err;
    EXPECT_EQ(run("answers", flags).code, 0) << "nor is there anything to do for one alone";
    expect_complete();
}

// Its blocks are another's when it wakes, and later its folder is gone: it has nothing to complain of.
TEST_P(JobShards, OneSleepsForTooLong) {
    for (const bool until_all_is_done : {false, true}) {
        SCOPED_TRACE(until_all_is_done);
        std::vector<std::string> sleepy = shard(0, 2), other = shard(1, 2);
        for (auto* command : {&sleepy, &other}) command->insert(command->end(), {"--stale-after", "0.3"});
        JobProcess sleeping(sleepy, folder.path("log"));
        for (int i = 0; i < 6000 && !exists("answers.parts/block-000000.claim"); i++)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        sleeping.send(SIGSTOP);
        JobProcess working(other, folder.path("log"));
        if (until_all_is_done) {
            EXPECT_EQ(working.wait(), 0) << log();
            sleeping.send(SIGCONT);
        } else {
            for (int i = 0; i < 6000 && !exists("answers.parts/block-000000.done"); i++)
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
            sleeping.send(SIGCONT);
            EXPECT_EQ(working.wait(), 0) << log();
        }
        EXPECT_EQ(sleeping.wait(), 0) << log();
        expect_complete();
        for (const char* name : {"answers", "answers.job", "log"}) fs::remove(folder.path(name));
    }
}

TEST_P(JobShards, ExitCodesCountTheFailed) {
    folder.write("requests", is_text ? "3\none\n\nthree\n" : json_requests(2, 3) + "{\"prompt\": 5}\n");
    JobProcess process(shard(0, 2), folder.path("log"));
    EXPECT_EQ(process.wait(), kExitRequestFailed) << log();
    EXPECT_EQ(run_program({built("run"), "merge", folder.path("answers")}).code, kExitRequestFailed);
    EXPECT_EQ(run_program(shard(1, 2)).code, kExitRequestFailed) << "of a job that is complete";
    for (const char* name : {"answers", "answers.job"}) fs::remove(folder.path(name));
    EXPECT_EQ(run("answers", flags).code, kExitRequestFailed);
    EXPECT_EQ(run_program(shard(1, 2)).code, kExitRequestFailed) << "which one process alone made";
}

TEST_P(JobShards, OneAloneGoesOnWithWhatSeveralBegan) {
    {
        JobProcess killed(shard(0, 2), folder.path("log"));
        for (int i = 0; i < 6000 && !exists("answers.parts/block-000000.done"); i++)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        killed.send(SIGTERM);
        EXPECT_EQ(killed.wait(), kExitPartial) << log();
        EXPECT_NE(log().find("blocks in " + folder.path("answers.parts") + " are done"), std::string::npos) << log();
    }
    for (const auto& entry : fs::directory_iterator(folder.path("answers.parts")))
        EXPECT_NE(entry.path().extension(), ".claim") << "what a stopped process had is free at once";
    EXPECT_EQ(run_program({built("run"), "merge", folder.path("answers")}).code, kExitPartial);
    EXPECT_FALSE(exists("answers"));
    const ProgramResult r = run("answers", flags);
    EXPECT_EQ(r.code, 0) << r.err;
    expect_complete();
}

TEST_P(JobShards, SlurmSaysSoInTheEnvironment) {
    const std::vector<std::vector<std::string>> environments = {
        {"SLURM_PROCID=1", "SLURM_NTASKS=4"},
        {"SLURM_ARRAY_TASK_ID=3", "SLURM_ARRAY_TASK_COUNT=8"},
        {"JOB_COMPLETION_INDEX=0"},
    };
    for (const auto& environment : environments) {
        JobProcess process(command("answers", flags), folder.path("log"), environment);
        EXPECT_EQ(process.wait(), 0) << log();
        EXPECT_NE(log().find("several processes share"), std::string::npos) << log();
        expect_complete();
        for (const char* name : {"answers", "answers.job", "log"}) fs::remove(folder.path(name));
    }
    JobProcess alone(command("answers", {"--shard", "none"}), folder.path("log"), {"SLURM_PROCID=1", "SLURM_NTASKS=4"});
    EXPECT_EQ(alone.wait(), 0);
    EXPECT_EQ(log().find("several processes share"), std::string::npos) << log();
}

// What `run merge` makes of parts in which an answer is missing, or stands twice.
TEST_P(JobShards, MergeReportsGapsAndWhatStandsTwice) {
    JobProcess process(shard(0, 2), folder.path("log"));
    for (int i = 0; i < 6000 && !exists("answers.parts/block-000001.done"); i++)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    process.send(SIGKILL);
    process.wait();
    const std::string block = "answers.parts/block-000001.done", whole = folder.read(block);
    const std::string first = whole.substr(0, whole.find('\n') + 1);
    folder.write(block, whole.substr(first.size()));
    ProgramResult r = run_program({built("run"), "merge", folder.path("answers")});
    EXPECT_EQ(r.code, kExitPartial);
    EXPECT_NE(r.err.find("block-000001: 1 of requests 8 to 15 have no answer"), std::string::npos) << r.err;

    folder.write(block, whole + first);
    r = run("answers", flags);
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_NE(r.err.find("1 answers appear twice"), std::string::npos) << r.err;
    expect_complete();
    EXPECT_EQ(run_program({built("run"), "merge", folder.path("answers")}).code, 0) << "it is complete";
    EXPECT_EQ(run_program({built("run"), "merge", folder.path("nothing")}).code, 2);
}

TEST_P(JobShards, WhatIsForOneAloneIsRefused) {
    const auto refused = [&](std::vector<std::string> args, const std::string& word) {
        const ProgramResult r = run_program(args);
        EXPECT_EQ(r.code, 2) << word;
        EXPECT_NE(r.err.find(word), std::string::npos) << r.err;
    };
    for (const char* bad : {"2/2", "-1/2", "1", "x/2", "1/2x"})
        refused(command("answers", {"--shard", bad}), "--shard");
    for (const char* flag : {"--overwrite", "--retry-failed"}) {
        auto args = shard(0, 2);
        args.push_back(flag);
        refused(args, flag);
    }
    refused({built("run"), made->path("model"), "-m", "getp", "-i", input, "-o", "-", "--shard", "0/2"}, "--output");
    folder.write("answers", "last night's\n");
    refused(shard(0, 2), "--shard none");
    EXPECT_EQ(folder.read("answers"), "last night's\n");
    EXPECT_FALSE(exists("answers.parts"));
}

// One of the processes, without an engine: the test itself takes requests and answers them.
class OneShard : public ModeTest {
  protected:
    static constexpr int kBlock = 8;  // so many requests has a block of a small job

    OneShard() {
        go_on();
        options.shard = "0/2";
        std::string lines = std::to_string(2 * kBlock) + "\n";
        for (int i = 0; i < 2 * kBlock; i++) lines += "prompt " + std::to_string(i) + "\n";
        folder.write("requests", lines);
        testing::internal::CaptureStderr();
        codec.emplace(tiny->model(), options.tokenizer);
        reader.emplace(options, tiny->model().common(), *codec, Purpose::kAnswer);
        job = open_batch_job(options, tiny->model(), *codec, *reader);
    }
    ~OneShard() override {
        job.reset();
        testing::internal::GetCapturedStderr();
    }
    std::vector<Request> take_a_block() {
        std::vector<Request> block;
        while (block.size() < kBlock) block.push_back(job->next().value());
        return block;
    }
    std::string done(int block) const { return "answers.parts/block-00000" + std::to_string(block) + ".done"; }
    bool is_done(int block) const { return fs::exists(folder.path(done(block))); }

    std::optional<TextCodec> codec;
    std::optional<RequestReader> reader;
    std::unique_ptr<BatchJob> job;
};

// So it happens in a block that was lost and taken again, while requests of the first time are still running.
TEST_F(OneShard, ASecondAnswerIsNotCounted) {
    const std::vector<Request> block = take_a_block();
    for (int i = 0; i < kBlock - 1; i++) job->add(block[size_t(i)], false, "1 2 3");
    job->add(block[0], false, "1 2 3");
    EXPECT_FALSE(is_done(0)) << "one has no answer yet";
    job->add(block[kBlock - 1], false, "1 2 3");
    EXPECT_TRUE(is_done(0));
    const std::string answers = folder.read(done(0));
    EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), kBlock);
}

// Another had taken the block from this process, which slept; and a third may be reading what that has written.
TEST_F(OneShard, ABlockThatIsDoneIsNotReplaced) {
    const std::vector<Request> block = take_a_block();
    folder.write(done(0), "the other's\n");
    for (const Request& request : block) job->add(request, false, "1 2 3");
    EXPECT_EQ(folder.read(done(0)), "the other's\n");
    for (const auto& entry : fs::directory_iterator(folder.path("answers.parts")))
        EXPECT_EQ(entry.path().filename().string().find("block-000000.part"), std::string::npos) << entry.path();
    EXPECT_FALSE(job->failed());
    for (const Request& request : take_a_block()) job->add(request, false, "1 2 3");
    EXPECT_TRUE(is_done(1)) << "it goes on with the next";
    EXPECT_TRUE(job->is_complete());
}

INSTANTIATE_TEST_SUITE_P(Formats, JobShards, testing::Bool(),
                         [](const auto& format) { return format.param ? "Text" : "JsonLines"; });

}  // namespace
