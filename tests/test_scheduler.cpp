// test_scheduler.cpp: which tokens run in which step, and how answers end.
#include "scheduler_checks.h"

namespace {

TEST(Scheduler, OneRequestFromPromptToEnd) {
    Log log;
    Device device(small_config(), small_capacity());
    device.run(one(std::make_unique<LoggingJob>(log, 10, 5)));
    EXPECT_EQ(log.tokens, (std::vector<int>{9, 10, 11, 12, 13}));
    EXPECT_EQ(log.done, 1);
    EXPECT_EQ(log.finish, Finish::kLength);
    EXPECT_EQ(device.batch_sizes, (std::vector<int>{10, 1, 1, 1, 1}));
}

TEST(Scheduler, StopIdEndsAndBelongsToTheAnswer) {
    Log log;
    auto job = std::make_unique<LoggingJob>(log, 10, 50);
    job->stop_ids = {99, 12};
    Device(small_config(), small_capacity()).run(one(std::move(job)));
    EXPECT_EQ(log.tokens, (std::vector<int>{9, 10, 11, 12}));
    EXPECT_EQ(log.finish, Finish::kStop);
}

TEST(Scheduler, StopIdsAreRuledOutUntilTheLeastHasCome) {
    for (const Depth& depth : kDepths) {
        Log log;
        std::vector<std::unique_ptr<Job>> jobs;
        auto job = std::make_unique<LoggingJob>(log, 10, 8);
        job->stop_ids = {95, 96};
        job->min_new_tokens = 3;
        jobs.push_back(std::move(job));
        Device device(small_config(), small_capacity(4, 200, depth));
        device.run(std::move(jobs));
        EXPECT_EQ(device.ruled_out, (std::vector<int>{2, 2, 2, 0, 0, 0, 0, 0}));
    }
}

// A row with a repetition penalty has all tokens up to it, so it waits for the last one; others run ahead as ever.
TEST(Scheduler, APenaltyComesWithTheTextSoFar) {
    for (const Depth& depth : kDepths) {
        Log log, other;
        std::vector<std::unique_ptr<Job>> jobs;
        jobs.push_back(std::make_unique<LoggingJob>(log, 10, 4));
        jobs.back()->sampling.repetition_penalty = 1.5f;
        jobs.push_back(std::make_unique<LoggingJob>(other, 70, 30));
        Device device(small_config(), small_capacity(4, 200, depth));
        device.run(std::move(jobs));
        std::vector<int> text = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
        ASSERT_EQ(device.contexts.size(), 4u);
        for (int i = 0; i < 4; i++) {
            EXPECT_EQ(device.contexts[size_t(i)], text) << i;
            text.push_back(9 + i);
        }
        EXPECT_EQ(log.tokens.size(), 4u);
        EXPECT_EQ(other.tokens.size(), 30u);
        if (depth.steps_apart > 1) continue;  // two sequences may be too few to run ahead over a chain
        EXPECT_EQ(device.n_run_ahead > 0, depth.steps_in_flight > 1);
    }
}

// After a multiple of 5, only 91 may come; after 91, only 92.
class ConstrainedJob : public LoggingJob {
  public:
    using LoggingJob::LoggingJob;
    bool on_token(int id) override {
        last_ = id;
        return LoggingJob::on_token(id);
    }
    std::shared_ptr<const std::vector<int>> allowed() const override {
        if (last_ == 91) return std::make_shared<const std::vector<int>>(std::vector<int>{92});
        if (last_ % 5 == 0) return std::make_shared<const std::vector<int>>(std::vector<int>{91});
        return nullptr;
    }

  private:
    int last_ = 1;
};

// Some answers must not end before they have said something, whenever that is.
TEST(Scheduler, StopIdsAreRuledOutWhereTheJobMayNotEnd) {
    class GoingOn : public ConstrainedJob {
      public:
        using ConstrainedJob::ConstrainedJob;
        bool on_token(int id) override {
            has_said_ |= id == 92;
            return ConstrainedJob::on_token(id);
        }
        bool may_end() const override { return has_said_ || allowed(); }

      private:
        bool has_said_ = false;
    };
    for (const Depth& depth : kDepths) {
        Log log;
        std::vector<std::unique_ptr<Job>> jobs;
        jobs.push_back(std::make_unique<GoingOn>(log, 8, 20));
        jobs.back()->stop_ids = {8, 13};
        Device device(small_config(), small_capacity(4, 200, depth));
        device.run(std::move(jobs));
        EXPECT_EQ(log.tokens, (std::vector<int>{7, Device::kOther, 9, 10, 91, 92, 13}));
        EXPECT_EQ(log.finish, Finish::kStop);
    }
}

// What comes next may depend on a token that a step in flight draws: then the steps after it do not count.
TEST(Scheduler, WhatIsAllowedHoldsHoweverFarStepsRunAhead) {
    for (const Depth& depth : kDepths) {
        SCOPED_TRACE(depth.steps_in_flight);
        std::vector<Log> logs(6);
        std::vector<std::unique_ptr<Job>> jobs;
        for (int i = 0; i < 6; i++) {
            if (i % 2 == 0)
                jobs.push_back(std::make_unique<ConstrainedJob>(logs[size_t(i)], 30 + 7 * i, 100));
            else
                jobs.push_back(std::make_unique<LoggingJob>(logs[size_t(i)], 30 + 7 * i, 100));
        }
        Device device(small_config(), small_capacity(6, 200, depth));
        device.run(std::move(jobs));
        for (int i = 0; i < 6; i++) {
            ASSERT_EQ(logs[size_t(i)].tokens.size(), 100u);
            int last = 1;
            for (int t = 0; t < 100; t++) {
                const bool is_free = i % 2 == 1 || (last != 91 && last % 5 != 0);
                const int want = is_free ? (30 + 7 * i + t - 1) % 90 : last == 91 ? 92 : 91;
                ASSERT_EQ(logs[size_t(i)].tokens[size_t(t)], want) << i << ", " << t;
                last = want;
            }
        }
        EXPECT_EQ(device.n_run_ahead > 0, depth.steps_in_flight > 1);
        EXPECT_EQ(device.n_again > 0, depth.steps_in_flight > 1);
    }
}

TEST(Scheduler, ConstrainedRequestsArePutBackLikeOthers) {
    for (const Depth& depth : kDepths) {
        std::vector<Log> logs(4);
        std::vector<std::unique_ptr<Job>> jobs;
        for (Log& log : logs) {
            jobs.push_back(std::make_unique<ConstrainedJob>(log, 10, 300));
            jobs.back()->stop_ids = {99};
        }
        Device device(small_config(), small_capacity(4, 26, depth));
        device.run(std::move(jobs));
        EXPECT_GT(device.n_put_back(), 0);
        for (const Log& log : logs) EXPECT_EQ(log.tokens, logs[0].tokens);
        EXPECT_EQ(logs[0].tokens.size(), 300u);
    }
}

TEST(Scheduler, NoMoreRowsTakeLogitsThanThereIsRoomFor) {
    for (const Depth& depth : kDepths) {
        std::vector<Log> logs(6);
        std::vector<std::unique_ptr<Job>> jobs;
        for (int i = 0; i < 6; i++) {
            jobs.push_back(std::make_unique<LoggingJob>(logs[size_t(i)], 10, 20));
            if (i < 4) jobs.back()->sampling.min_p = 0.5f;
        }
        Capacity capacity = small_capacity(6, 200, depth);
        capacity.max_logit_rows = 2;
        Device device(small_config(), capacity);
        device.run(std::move(jobs));
        EXPECT_LE(device.most_logit_rows, 2);
        EXPECT_GT(device.most_logit_rows, 0);
        for (const Log& log : logs) EXPECT_EQ(log.tokens, logs[0].tokens);
        EXPECT_EQ(logs[0].tokens.size(), 20u);
    }
}

TEST(Scheduler, TheJobMayEndItself) {
    Log log;
    auto job = std::make_unique<LoggingJob>(log, 3, 50);
    job->stop_after = 2;
    Device(small_config(), small_capacity()).run(one(std::move(job)));
    EXPECT_EQ(log.tokens.size(), 2u);
    EXPECT_EQ(log.finish, Finish::kStop);
}

TEST(Scheduler, LongPromptsAreCutAtFixedPositions) {
    Log log;
    Device device(small_config(), small_capacity());
    device.run(one(std::make_unique<LoggingJob>(log, 150, 2)));
    EXPECT_EQ(device.batch_sizes, (std::vector<int>{64, 64, 22, 1}));
}

TEST(Scheduler, PromptThatEndsOnAChunk) {
    Log log;
    Device device(small_config(), small_capacity());
    device.run(one(std::make_unique<LoggingJob>(log, 128, 1)));
    EXPECT_EQ(device.batch_sizes, (std::vector<int>{64, 64}));
    EXPECT_EQ(log.tokens, (std::vector<int>{127 % 90}));
}

TEST(Scheduler, ManyRequestsOfManyLengthsAllFinish) {
    const int n = 200;
    for (const Depth& depth : kDepths) {
        SCOPED_TRACE(depth.steps_in_flight);
        std::vector<Log> logs(n);
        std::vector<std::unique_ptr<Job>> jobs;
        for (int i = 0; i < n; i++) {
            auto job = std::make_unique<LoggingJob>(logs[size_t(i)], 1 + i * 37 % 300, 1 + i * 11 % 60);
            if (i % 4 == 1) job->stop_after = 1 + i % 13;
            if (i % 7 == 2) job->want_logits = true;
            jobs.push_back(std::move(job));
        }
        Device device(small_config(), small_capacity(4, 200, depth));
        device.run(std::move(jobs));
        EXPECT_EQ(device.most_sequences, 4) << "where few decode in a step, prompts fill it";
        EXPECT_EQ(device.n_run_ahead > 0, depth.steps_in_flight > 1);
        for (int i = 0; i < n; i++) {
            const int length = 1 + i * 37 % 300, answer = std::min(1 + i * 11 % 60, i % 4 == 1 ? 1 + i % 13 : 60);
            EXPECT_EQ(logs[size_t(i)].done, 1) << i;
            ASSERT_EQ(int(logs[size_t(i)].tokens.size()), answer) << i;
            for (int t = 0; t < answer; t++) ASSERT_EQ(logs[size_t(i)].tokens[size_t(t)], (length - 1 + t) % 90) << i;
            ASSERT_EQ(int(logs[size_t(i)].logit_positions.size()), i % 7 == 2 ? length : 0) << i;
        }
    }
}

// A scheduler with jobs of 3 tokens' prompt each.
class Planned {
  public:
    Planned(std::vector<Log>& logs, int max_new, const Depth& depth)
        : config(small_config()), scheduler(config, small_capacity(int(logs.size()), 100, depth)) {
        size_t next = 0;
        scheduler.admit([&](QueuedJob& queued) {
            if (next == logs.size()) return false;
            queued.job = std::make_unique<LoggingJob>(logs[next++], 3, max_new);
            queued.job->stop_ids = {99};
            return true;
        });
    }
    const Config config;
    Scheduler scheduler;
};

TEST(Scheduler, StepsArePlannedBeforeTheLastOnesTokenIsKnown) {
    std::vector<Log> logs(1);
    Planned p(logs, 4, {2, 1});
    ASSERT_EQ(p.scheduler.plan()->tokens.size(), 3u);
    const Batch* const second = p.scheduler.plan();
    ASSERT_EQ(second->tokens.size(), 1u);
    EXPECT_EQ(second->tokens[0].id, kOwnSample);
    EXPECT_EQ(second->tokens[0].pos, 3);
    p.scheduler.apply({7});
    EXPECT_EQ(logs[0].tokens, std::vector<int>{7});
    EXPECT_EQ(p.scheduler.plan()->tokens[0].pos, 4);
    EXPECT_EQ(p.scheduler.plan()->tokens[0].pos, 5) << "its last token";
    EXPECT_EQ(p.scheduler.plan(), nullptr) << "where an answer ends by its length, nothing is computed too much";
    for (const int token : {8, 9, 10}) p.scheduler.apply({token});
    EXPECT_EQ(logs[0].tokens, (std::vector<int>{7, 8, 9, 10}));
    EXPECT_TRUE(p.scheduler.idle());
}

TEST(Scheduler, WhatWasComputedTooMuchIsThrownAway) {
    for (const int last : {99, kNotFinite}) {
        std::vector<Log> logs(2);
        Planned p(logs, 50, {2, 1});
        p.scheduler.plan();
        p.scheduler.plan();
        p.scheduler.apply({last, 7});
        EXPECT_EQ(logs[0].done, last == 99);
        EXPECT_EQ(logs[0].error.empty(), last == 99);
        ASSERT_EQ(p.scheduler.plan()->seqs.size(), 1u) << "it takes part no more";
        Log third;
        const auto admit_third = [&] {
            bool taken = false;
            p.scheduler.admit([&](QueuedJob& queued) {
                if (taken) return false;
                queued.job = std::make_unique<LoggingJob>(third, 3, 5);
                return taken = true;
            });
            return taken;
        };
        EXPECT_FALSE(admit_third()) << "a step in flight may still write what it had";
        p.scheduler.apply({50, 8});
        EXPECT_TRUE(admit_third());
        EXPECT_EQ(logs[0].tokens, last == 99 ? std::vector<int>{99} : std::vector<int>{});
        EXPECT_EQ(logs[0].done, last == 99) << "once";
        EXPECT_EQ(logs[1].tokens, (std::vector<int>{7, 8}));
    }
}

TEST(Scheduler, OverAChainSequencesTakeTurns) {
    std::vector<Log> logs(5);
    Planned p(logs, 50, {3, 2});
    EXPECT_EQ(p.scheduler.plan()->seqs.size(), 5u) << "the prompts";
    EXPECT_EQ(p.scheduler.plan(), nullptr) << "their tokens are too near";
    p.scheduler.apply({1, 2, 3, 4, 5});
    std::vector<std::set<int>> slots;
    for (int i = 0; i < 20; i++) {
        if (p.scheduler.steps_in_flight() == 3) p.scheduler.apply({i, i, i});
        const Batch* const batch = p.scheduler.plan();
        ASSERT_NE(batch, nullptr);
        slots.emplace_back();
        for (const Batch::Seq& s : batch->seqs) slots.back().insert(s.slot);
        EXPECT_EQ(slots.back().size(), i % 2 ? 2u : 3u);
        EXPECT_EQ(slots[size_t(i)], slots[size_t(i % 2)]);
    }
    EXPECT_NE(slots[0], slots[1]);
}

TEST(Scheduler, RefusesIdsOutsideTheVocabulary) {
    for (const int id : {-1, 100}) {
        Log log;
        auto job = std::make_unique<LoggingJob>(log, 3, 5);
        job->prompt[1] = id;
        Device(small_config(), small_capacity()).run(one(std::move(job)));
        EXPECT_NE(log.error.find(std::to_string(id)), std::string::npos) << log.error;
    }
}

TEST(Scheduler, AnswerEndsAtTheContext) {
    Log log;
    Device(small_config(), small_capacity()).run(one(std::make_unique<LoggingJob>(log, 990, 500)));
    EXPECT_EQ(log.tokens.size(), 10u);
    EXPECT_EQ(log.finish, Finish::kLength);
}

TEST(Scheduler, NothingToGenerateIsDoneAtOnce) {
    Log log;
    Device device(small_config(), small_capacity());
    device.run(one(std::make_unique<LoggingJob>(log, 10, 0)));
    EXPECT_EQ(log.done, 1);
    EXPECT_EQ(device.n_steps, 0);
}

TEST(Scheduler, ScoringSeesEveryPositionOnceAndInOrder) {
    Log log;
    auto job = std::make_unique<LoggingJob>(log, 150, 0);
    job->want_logits = true;
    Device(small_config(), small_capacity()).run(one(std::move(job)));
    ASSERT_EQ(log.logit_positions.size(), 150u);
    for (int i = 0; i < 150; i++) EXPECT_EQ(log.logit_positions[size_t(i)], i);
    EXPECT_TRUE(log.tokens.empty());
    EXPECT_EQ(log.done, 1);
}

TEST(Scheduler, LogitsThatAreNotFiniteFailTheirRequest) {
    struct {
        const char* name;
        int prompt, max_new, not_finite_at, n_tokens;
        bool want_logits;
    } cases[] = {{"greedy, the first token", 10, 5, 9, 0, false},    {"while decoding", 10, 5, 11, 2, false},
                 {"score, in the first chunk", 150, 0, 3, 0, true},  {"score, in a later one", 150, 0, 140, 0, true},
                 {"score, the last position", 150, 0, 149, 0, true}, {"both", 10, 5, 4, 0, true}};
    for (const auto& c : cases) {
        Log log, next;
        auto job = std::make_unique<LoggingJob>(log, c.prompt, c.max_new);
        job->want_logits = c.want_logits;
        Device device(small_config(), small_capacity(1));
        device.not_finite_at = c.not_finite_at;
        std::vector<std::unique_ptr<Job>> jobs = one(std::move(job));
        jobs.push_back(std::make_unique<LoggingJob>(next, 2, 1));
        device.run(std::move(jobs));
        EXPECT_EQ(log.done, 0) << c.name;
        EXPECT_EQ(log.error.find(fmt::format("position {}: ", c.not_finite_at)), 0u) << c.name << ": " << log.error;
        EXPECT_EQ(int(log.tokens.size()), c.n_tokens) << c.name;
        EXPECT_EQ(int(log.logit_positions.size()), c.want_logits ? c.not_finite_at : 0) << c.name;
        EXPECT_EQ(next.done, 1) << c.name << ": the next one gets its place";
    }
}

TEST(Scheduler, LongPromptsTakeTurnsWithDecoding) {
    Log reader, prompts[3];
    std::vector<std::unique_ptr<Job>> jobs = one(std::make_unique<LoggingJob>(reader, 1, 10));
    for (Log& log : prompts) jobs.push_back(std::make_unique<LoggingJob>(log, 640, 1));
    Capacity capacity = small_capacity();
    capacity.max_batch_tokens = 256;
    capacity.max_prefill_tokens_beside_decode = 64;
    Device device(small_config(), capacity);
    device.run(std::move(jobs));
    EXPECT_EQ(device.batch_sizes[0], 1 + 3 * 64);
    for (int step = 1; step < 10; step++) EXPECT_EQ(device.batch_sizes[size_t(step)], 65) << "a chunk, and the reader";
    EXPECT_EQ(device.batch_sizes[10], 2 * 64) << "nobody waits any more";
}

TEST(Scheduler, APartOfAPromptFillsTheStep) {
    Log reader, prompts[2];
    std::vector<std::unique_ptr<Job>> jobs = one(std::make_unique<LoggingJob>(reader, 1, 10));
    for (Log& log : prompts) jobs.push_back(std::make_unique<LoggingJob>(log, 200, 1));
    Capacity capacity = small_capacity();
    capacity.max_batch_tokens = 256;
    capacity.max_prefill_tokens_beside_decode = 100;
    Device device(small_config(), capacity);
    device.run(std::move(jobs));
    EXPECT_EQ(device.batch_sizes[0], 1 + 2 * 64);
    EXPECT_EQ(device.batch_sizes[1], 1 + 64 + 32) << "room for 36: up to a quarter of a chunk";
    EXPECT_EQ(device.batch_sizes[2], 1 + 64 + 32) << "up to the chunk's end";
}

}  // namespace
