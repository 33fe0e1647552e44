// test_job_queue.cpp: which of the jobs that wait is next.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine/job_queue.h"

namespace {

class PlainJob : public Job {
  public:
    explicit PlainJob(int max_new) {
        prompt = {1, 2, 3};
        max_new_tokens = max_new;
    }
    void on_done(Finish) override {}
    void on_error(const std::string&) override {}
};

TEST(JobQueue, TheLongestComesFirstAndNobodyWaitsForEver) {
    JobQueue queue(4, 1);
    const auto push = [&](int max_new) { queue.push(std::make_unique<PlainJob>(max_new)); };
    const auto take = [&] {
        QueuedJob job;
        EXPECT_EQ(queue.take(0, job), Supply::kJob);
        return job.job->max_new_tokens;
    };
    for (const int max_new : {5, 9, 7, 9}) push(max_new);
    for (const int max_new : {9, 9, 7, 5}) EXPECT_EQ(take(), max_new);
    push(1);
    for (int i = 0; i < 4; i++) {
        push(10 + i);
        EXPECT_EQ(take(), 10 + i);
    }
    push(20);
    EXPECT_EQ(take(), 1) << "four have passed it";
    EXPECT_EQ(take(), 20);
}

TEST(JobQueue, InOrderIfThatIsAskedFor) {
    JobQueue queue(4, 1, /*in_order=*/true);
    for (const int max_new : {5, 9, 7, 9}) queue.push(std::make_unique<PlainJob>(max_new));
    QueuedJob job;
    for (const int max_new : {5, 9, 7, 9}) {
        ASSERT_EQ(queue.take(0, job), Supply::kJob);
        EXPECT_EQ(job.job->max_new_tokens, max_new);
    }
}

// It would wait for room that only other jobs' ends make.
TEST(JobQueue, AJobThatWaitsForRoomCanBeCancelled) {
    struct CancelledJob : PlainJob {
        CancelledJob(std::atomic<bool>& c, std::atomic<bool>& e) : PlainJob(1), cancel(c), ended(e) {}
        bool cancelled() const override { return cancel; }
        void on_done(Finish finish) override { ended = finish == Finish::kCancelled; }
        std::atomic<bool>&cancel, &ended;
    };
    JobQueue queue(1, 1);
    queue.push(std::make_unique<PlainJob>(1));
    std::atomic<bool> cancel{false}, ended{false}, pushed{false};
    std::thread pusher([&] {
        queue.push(std::make_unique<CancelledJob>(cancel, ended));
        pushed = true;
    });
    cancel = true;
    while (!pushed) queue.end_cancelled();
    pusher.join();
    EXPECT_TRUE(ended);
    QueuedJob job;
    EXPECT_EQ(queue.take(0, job), Supply::kJob);
    EXPECT_EQ(queue.take(0, job), Supply::kNothingNow);
}

TEST(JobQueue, FewJobsAreSpreadOverAllReplicas) {
    JobQueue queue(100, 3);
    QueuedJob job;
    for (int i = 0; i < 7; i++) queue.push(std::make_unique<PlainJob>(1));
    const auto takes = [&](int replica) {
        int n = 0;
        while (queue.take(replica, job) == Supply::kJob) n++;
        return n;
    };
    EXPECT_EQ(takes(0), 3) << "a third of seven, rounded up";
    EXPECT_EQ(takes(1), 3);
    EXPECT_EQ(takes(2), 1) << "what is left";
    queue.set_in_flight(1, 0);
    for (int i = 0; i < 2; i++) queue.push(std::make_unique<PlainJob>(1));
    EXPECT_EQ(takes(0), 0) << "it has three of six already";
    EXPECT_EQ(queue.take(0, job), Supply::kNothingNow);
    EXPECT_EQ(takes(2), 1);
    EXPECT_EQ(takes(1), 1);
    queue.close();
    EXPECT_EQ(queue.take(0, job), Supply::kClosed);
}

TEST(JobQueue, AReplicaThatHasFailedHasNoShare) {
    JobQueue queue(100, 2);
    QueuedJob job;
    for (int i = 0; i < 4; i++) queue.push(std::make_unique<PlainJob>(1));
    std::vector<QueuedJob> back;
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(queue.take(0, job), Supply::kJob);
        back.push_back(std::move(job));
    }
    EXPECT_EQ(queue.take(0, job), Supply::kNothingNow);
    queue.put_back(0, std::move(back));
    for (int i = 0; i < 4; i++) EXPECT_EQ(queue.take(1, job), Supply::kJob) << i;
}

}  // namespace
