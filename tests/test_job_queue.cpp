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
        EXPECT_EQ(queue.take(job), Supply::kJob);
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

}  // namespace
