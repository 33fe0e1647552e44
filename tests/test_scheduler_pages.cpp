// test_scheduler_pages.cpp: pages of the KV cache as sequences grow: who waits for them, and who is put back.
#include "scheduler_checks.h"

namespace {

TEST(Scheduler, WaitsForPagesAndKeepsTheOrder) {
    // Each needs 7 of 13 pages: one at a time.
    std::vector<Log> logs(3);
    std::vector<std::unique_ptr<Job>> jobs;
    for (Log& log : logs) jobs.push_back(std::make_unique<LoggingJob>(log, 100, 20));
    Device device(small_config(), small_capacity(4, 13));
    device.run(std::move(jobs));
    EXPECT_EQ(device.most_sequences, 1);
    for (const Log& log : logs) EXPECT_EQ(log.done, 1);
}

TEST(Scheduler, RefusesWhatCanNeverRun) {
    struct {
        int prompt, max_new, n_pages;
        const char* says;
    } cases[] = {{0, 5, 100, "empty"}, {1001, 5, 100, "context"}, {100, 100, 6, "KV cache"}};
    for (const auto& c : cases) {
        Log bad, good;
        std::vector<std::unique_ptr<Job>> jobs;
        jobs.push_back(std::make_unique<LoggingJob>(bad, c.prompt, c.max_new));
        jobs.push_back(std::make_unique<LoggingJob>(good, 5, 3));
        Device(small_config(), small_capacity(4, c.n_pages)).run(std::move(jobs));
        EXPECT_NE(bad.error.find(c.says), std::string::npos) << bad.error;
        EXPECT_EQ(bad.done, 0);
        EXPECT_EQ(good.done, 1) << "the others go on";
    }
}

TEST(Scheduler, AnswerEndsWhereTheKvCacheEnds) {
    Log log;
    Device(small_config(), small_capacity(4, 6)).run(one(std::make_unique<LoggingJob>(log, 50, 500)));
    EXPECT_EQ(log.tokens.size(), 3u * kPagePositions - 50);
    EXPECT_EQ(log.finish, Finish::kLength);
    EXPECT_EQ(log.error, "");
}

TEST(Scheduler, SlidingPagesHoldTheWindowWhateverTheSizes) {
    for (const int window : {1, 2, 31, 32, 33, 127, 128, 129})
        for (const int n : {1, 2, 32, 64, 256}) {
            // Keys [first - window + 1, first + n - 1] for the worst alignment of `first`.
            int worst = 0;
            for (int first = window; first < window + kPagePositions; first++)
                worst = std::max(worst, (first + n - 1) / kPagePositions - (first - window + 1) / kPagePositions + 1);
            EXPECT_EQ(sliding_pages_needed(window, n), worst) << window << " " << n;
        }
}

// Requests whose answers are of unknown length: each is longer than those before it.
std::vector<std::unique_ptr<Job>> unknown_lengths(std::vector<Log>& logs) {
    std::vector<std::unique_ptr<Job>> jobs;
    for (size_t i = 0; i < logs.size(); i++) {
        auto job = std::make_unique<LoggingJob>(logs[i], 1 + int(i) * 37 % 150, 900);
        job->stop_ids = {99};
        job->stop_after = 1 + int(i) * 4;
        job->want_logits = i % 5 == 0;
        jobs.push_back(std::move(job));
    }
    return jobs;
}

void expect_unknown_lengths(const std::vector<Log>& logs) {
    for (int i = 0; i < int(logs.size()); i++) {
        const Log& log = logs[size_t(i)];
        const int length = 1 + i * 37 % 150, answer = 1 + i * 4;
        ASSERT_EQ(log.done, 1) << i;
        ASSERT_EQ(int(log.tokens.size()), answer) << i;
        for (int t = 0; t < answer; t++) ASSERT_EQ(log.tokens[size_t(t)], (length - 1 + t) % 90) << i;
        ASSERT_EQ(int(log.logit_positions.size()), i % 5 == 0 ? length : 0) << i;
        for (int p = 0; p < int(log.logit_positions.size()); p++) ASSERT_EQ(log.logit_positions[size_t(p)], p) << i;
    }
}

TEST(Scheduler, APoolThatIsFarTooSmallAnswersAll) {
    for (const Depth& depth : kDepths)
        for (const int n_pages : {16, 17, 23, 40}) {
            SCOPED_TRACE(fmt::format("{} steps in flight, {} pages", depth.steps_in_flight, n_pages));
            std::vector<Log> logs(60);
            Device device(small_config(), small_capacity(16, n_pages, depth));
            device.run(unknown_lengths(logs));
            EXPECT_GT(device.n_put_back(), 0);
            EXPECT_GT(device.most_sequences, 1);
            expect_unknown_lengths(logs);
        }
}

TEST(Scheduler, PagesAreTakenAsAnswersGrow) {
    // At their longest each would take 33 of 64 pages.
    std::vector<Log> logs(8);
    std::vector<std::unique_ptr<Job>> jobs;
    for (Log& log : logs) {
        auto job = std::make_unique<LoggingJob>(log, 20, 900);
        job->stop_ids = {99};
        job->stop_after = 60;
        jobs.push_back(std::move(job));
    }
    Device device(small_config(), small_capacity(8, 64));
    device.run(std::move(jobs));
    EXPECT_EQ(device.most_sequences, 8);
    EXPECT_EQ(device.n_put_back(), 0);
}

TEST(Scheduler, WhereLengthsAreKnownNobodyIsPutBack) {
    std::vector<Log> logs(40);
    std::vector<std::unique_ptr<Job>> jobs;
    for (size_t i = 0; i < logs.size(); i++)
        jobs.push_back(std::make_unique<LoggingJob>(logs[i], 1 + int(i) * 7 % 50, 1 + int(i) * 31 % 150));
    Device device(small_config(), small_capacity(16, 40));
    device.run(std::move(jobs));
    EXPECT_EQ(device.n_put_back(), 0);
    EXPECT_GT(device.most_sequences, 3);
    for (const Log& log : logs) EXPECT_EQ(log.done, 1);
}

}  // namespace
