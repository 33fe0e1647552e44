// test_job_queue.cpp: which of the jobs that wait is next.
#include <gtest/gtest.h>

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
