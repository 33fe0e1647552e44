// test_engine.cpp: jobs from their maker to their end: waiting, cancelled, put back, with prefixes in common.
#include <gtest/gtest.h>

#include <thread>

#include "engine_fakes.h"

namespace {

TEST(Engine, AnyNumberOfReplicasAnswersAll) {
    for (const int n : {1, 2, 3})
        for (const int chain : {0, 1, 2, 3}) {
            Engine engine(fake_config(), replicas(std::vector<FakeReplica::BeforeStep>(size_t(n)), chain));
            for (const int n_jobs : {0, 1, 40}) {
                std::vector<Fate> fates(static_cast<size_t>(n_jobs));
                run_all(engine, fates);
                expect_all_answered(fates, std::to_string(n) + " replicas of " + std::to_string(chain));
            }
        }
}

TEST(Engine, FewJobsAreSpreadOverAllReplicas) {
    constexpr int kReplicas = 4;
    Gate all_run;
    std::atomic<int> n_run{0};
    const auto wait_for_the_others = [&](int step, const Batch&) {
        if (step == 0 && ++n_run == kReplicas) all_run.open();
        if (step == 0) all_run.wait();
    };
    Engine engine(fake_config(), replicas(std::vector<FakeReplica::BeforeStep>(kReplicas, wait_for_the_others)));
    std::vector<Fate> fates(kReplicas);
    run_all(engine, fates);
    expect_all_answered(fates, "each replica has room for all of them");
    for (const DeviceStats& device : engine.stats_by_device()) EXPECT_GT(device.stats.new_tokens, 0);
}

TEST(Engine, CountsWhatDevicesDidBetweenTheirFirstStepAndTheirLast) {
    Engine engine(fake_config(), replicas({{}}));
    for (int run = 1; run <= 2; run++) {
        Fate fate;
        bool given = false;
        engine.run([&]() -> std::unique_ptr<Job> {
            if (std::exchange(given, true)) return nullptr;
            return std::make_unique<FakeJob>(fate, 5, 9);
        });
        EXPECT_EQ(engine.stats().device_s, 9.0 * run);
        EXPECT_EQ(engine.stats().device_idle_s, 0.5 * 8 * run) << "before the first step there was nothing to do";
    }
}

// The last jobs are on the replica that fails, while the other has nothing to do any more and the source is closed.
TEST(Engine, ASourceThatWaitsHoldsUpNobody) {
    Gate answered;
    Engine engine(fake_config(), replicas({{}}));
    Fate first, second;
    class OpeningJob : public FakeJob {
      public:
        OpeningJob(Fate& fate, Gate& gate) : FakeJob(fate, 5, 9), gate_(gate) {}
        void on_done(Finish finish) override {
            FakeJob::on_done(finish);
            gate_.open();
        }

      private:
        Gate& gate_;
    };
    int n = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (++n == 1) return std::make_unique<OpeningJob>(first, answered);
        if (n == 3) return nullptr;
        answered.wait();  // a pipe whose next line comes only when the first answer is there
        return std::make_unique<FakeJob>(second, 4, 2);
    });
    EXPECT_EQ(first.tokens, expected_tokens(5, 9));
    EXPECT_EQ(second.tokens, expected_tokens(4, 2));
}

TEST(Engine, TheSourceIsNotReadFarAhead) {
    Gate gate;
    std::atomic<int> n_made{0};
    Engine engine(fake_config(), replicas({[&](int step, const Batch&) {
                      if (step == 0) gate.wait();
                  }}));
    std::vector<Fate> fates(100);
    std::thread later([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        EXPECT_LE(n_made.load(), 4 + 4 + 1) << "what runs, what waits, and the next one";
        gate.open();
    });
    engine.run([&]() -> std::unique_ptr<Job> {
        const int i = n_made;
        if (i == 100) return nullptr;
        n_made++;
        return std::make_unique<FakeJob>(fates[size_t(i)], 3, 3);
    });
    later.join();
    for (const Fate& fate : fates) EXPECT_EQ(fate.tokens.size(), 3u);
}

TEST(Engine, AnErrorOfTheSourceComesOutWhenWhatItGaveIsDone) {
    Engine engine(fake_config(), replicas({{}, {}}));
    std::vector<Fate> fates(10);
    int n = 0;
    const auto next = [&]() -> std::unique_ptr<Job> {
        if (n == 10) fail("line 11 cannot be read");
        auto job = std::make_unique<FakeJob>(fates[size_t(n)], prompt_length(n), answer_length(n));
        n++;
        return job;
    };
    EXPECT_THROW(engine.run(next), Error);
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(fates[size_t(i)].tokens, expected_tokens(prompt_length(i), answer_length(i)));
}

// Cancelled at the start of step n: no later step holds any of the job's tokens.
TEST(Engine, CancellationTakesEffectWithinAStep) {
    // Prompt of 100, in 13 chunks; then one token a step.
    for (const int cancel_step : {0, 1, 5, 12, 13, 20}) {
        Fate cancelled, other;
        int last_step_with_it = -1;
        Engine engine(fake_config(), replicas({[&](int step, const Batch& batch) {
                          if (step == cancel_step) cancelled.cancel = true;
                          for (const Batch::Token& token : batch.tokens)
                              if (token.pos < 100 && token.id == 100 + token.pos) last_step_with_it = step;
                      }}));
        int n = 0;
        engine.run([&]() -> std::unique_ptr<Job> {
            n++;
            if (n == 1) return std::make_unique<FakeJob>(cancelled, 100, 50);
            return n == 2 ? std::make_unique<FakeJob>(other, 20, 30) : nullptr;
        });
        EXPECT_EQ(cancelled.n_ends, 1);
        EXPECT_EQ(cancelled.finish, Finish::kCancelled);
        EXPECT_LE(int(cancelled.tokens.size()), std::max(0, cancel_step - 11)) << cancel_step;
        EXPECT_EQ(last_step_with_it, std::min(cancel_step, 12));
        EXPECT_EQ(other.tokens, expected_tokens(20, 30)) << "the neighbour goes on";
    }
}

TEST(Engine, CancellationReachesJobsThatWait) {
    // Four run; the fifth and sixth wait, and end although none of the four does.
    std::vector<Fate> fates(6);
    Gate cancelled;
    Engine engine(fake_config(), replicas({[&](int step, const Batch&) {
                      if (step == 0) cancelled.wait();
                      if (step == 3) {
                          EXPECT_EQ(fates[4].finish, Finish::kCancelled);
                          EXPECT_EQ(fates[5].finish, Finish::kCancelled);
                          EXPECT_EQ(fates[0].n_ends, 0);
                      }
                  }}));
    int n = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (n == 6) {
            fates[4].cancel = fates[5].cancel = true;
            cancelled.open();
            return nullptr;
        }
        return std::make_unique<FakeJob>(fates[size_t(n++)], 5, 10);
    });
    for (const Fate& fate : fates) EXPECT_EQ(fate.n_ends, 1);
    EXPECT_TRUE(fates[5].tokens.empty());
    EXPECT_EQ(fates[3].tokens, expected_tokens(5, 10));
}

TEST(Engine, AStepOfCancelledJobsMayEndEarly) {
    Fate a, b;
    Engine engine(fake_config(), replicas({[&](int step, const Batch& batch) {
                      EXPECT_FALSE(batch.unwanted());
                      if (step != 1) return;
                      a.cancel = true;
                      EXPECT_FALSE(batch.unwanted()) << "one of two";
                      b.cancel = true;
                      EXPECT_TRUE(batch.unwanted());
                  }}));
    int n = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        n++;
        return n <= 2 ? std::make_unique<FakeJob>(n == 1 ? a : b, 5, 10) : nullptr;
    });
    EXPECT_EQ(a.finish, Finish::kCancelled);
    EXPECT_EQ(b.finish, Finish::kCancelled);
}

// A job of unknown length: the model ends it by saying one of many stop ids.
class OpenJob : public FakeJob {
  public:
    OpenJob(Fate& fate, int prompt_length) : FakeJob(fate, prompt_length, kVocab) {
        for (int id = 1; id < kVocab; id += 500) stop_ids.push_back(id);
    }
};

TEST(Engine, ManyRequestsOfUnknownLengthInAPoolThatIsTooSmall) {
    for (const int chain : {0, 1, 2}) {
        std::vector<std::unique_ptr<Replica>> two;
        for (int i = 0; i < 2; i++)
            two.push_back(std::make_unique<FakeReplica>(FakeReplica::BeforeStep(), chain, 64, /*n_pages=*/50));
        Engine engine(fake_config(), std::move(two));
        std::vector<Fate> fates(chain == 0 ? 10000 : 2000);
        size_t n = 0;
        engine.run([&]() -> std::unique_ptr<Job> {
            if (n == fates.size()) return nullptr;
            auto job = std::make_unique<OpenJob>(fates[n], prompt_length(int(n)));
            job->want_logits = n % 5 == 0;
            n++;
            return job;
        });
        EXPECT_GT(engine.stats().put_back, 0);
        for (size_t i = 0; i < fates.size(); i++) {
            ASSERT_EQ(fates[i].n_ends, 1) << i;
            const int n_tokens = int(fates[i].tokens.size());
            const bool stopped = fates[i].tokens.back() % 500 == 1;
            ASSERT_TRUE(stopped || prompt_length(int(i)) + n_tokens == fake_config().max_context) << i;
            ASSERT_EQ(fates[i].tokens, expected_tokens(prompt_length(int(i)), n_tokens)) << i;
            ASSERT_EQ(int(fates[i].logit_positions.size()), i % 5 == 0 ? prompt_length(int(i)) : 0) << i;
        }
    }
}

std::vector<int> expected_after(std::vector<int> ids, int n) {
    std::vector<int> tokens;
    for (int i = 0; i < n; i++) {
        tokens.push_back(next_token(ids));
        ids.push_back(tokens.back());
    }
    return tokens;
}

// n requests of `common` ids and some of their own, 10 tokens each: all right. Returns tokens of prompts computed.
int64_t computed_prompts(Engine& engine, const std::vector<int>& common, int n, int n_own, bool want_logits = false) {
    std::vector<Fate> fates(static_cast<size_t>(n));
    std::vector<std::vector<int>> prompts;
    for (int i = 0; i < n; i++) {
        prompts.push_back(common);
        for (int t = 0; t < n_own; t++) prompts.back().push_back((17 * i + t) % kVocab);
    }
    const EngineStats before = engine.stats();
    int next = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (next == n) return nullptr;
        auto job = std::make_unique<FakeJob>(fates[size_t(next)], 1, 10);
        job->prompt = prompts[size_t(next++)];
        job->want_logits = want_logits;
        return job;
    });
    EngineStats stats = engine.stats();
    stats -= before;
    for (int i = 0; i < n; i++) {
        EXPECT_EQ(fates[size_t(i)].tokens, expected_after(prompts[size_t(i)], 10)) << i;
        EXPECT_EQ(fates[size_t(i)].logit_positions.size(), want_logits ? prompts[size_t(i)].size() : 0u) << i;
    }
    if (stats.put_back == 0) {
        EXPECT_EQ(stats.prompt_tokens + stats.reused_tokens, n * int64_t(prompts[0].size()));
    }
    return stats.prompt_tokens;
}

std::vector<int> some_ids(int n) {
    std::vector<int> ids;
    for (int i = 0; i < n; i++) ids.push_back(i * i % kVocab);
    return ids;
}

std::vector<std::unique_ptr<Replica>> one_fake(int chain, int max_sequences, int n_pages) {
    std::vector<std::unique_ptr<Replica>> fakes;
    fakes.push_back(std::make_unique<FakeReplica>(FakeReplica::BeforeStep(), chain, max_sequences, n_pages));
    return fakes;
}

TEST(Engine, APrefixInCommonIsComputedOnce) {
    for (const int chain : {0, 1, 2, 3}) {
        Engine engine(fake_config(), one_fake(chain, 16, 400));
        EXPECT_LE(computed_prompts(engine, some_ids(300), 40, 5), 300 + 40 * (5 + 31)) << "all start at once";
        EXPECT_LE(computed_prompts(engine, some_ids(300), 10, 7), 10 * (7 + 31)) << "and later ones find it";
    }
}

TEST(Engine, WhatFollowsAPromptIsAllThatIsComputed) {
    Engine engine(fake_config(), one_fake(1, 4, 400));
    std::vector<int> history = some_ids(5);
    for (int turn = 0; turn < 10; turn++) {
        const auto computed = computed_prompts(engine, history, 1, 0);
        EXPECT_LE(computed, turn == 0 ? 5 : 40 + 32) << turn;
        for (int t = 0; t < 40; t++) history.push_back((turn * 7 + t * 3) % kVocab);
    }
}

TEST(Engine, APrefixInAPoolThatIsTooSmallIsLeftAndComputedAgain) {
    for (const int chain : {0, 1, 2})
        for (const int n_pages : {26, 31, 45}) {
            Engine engine(fake_config(), one_fake(chain, 8, n_pages));
            for (const int seed : {0, 1, 2, 0}) {
                std::vector<int> common = some_ids(200 + seed);
                common[0] = seed;
                computed_prompts(engine, common, 10, 30);
            }
        }
}

TEST(Engine, WhereLogitsAreWantedAllIsComputed) {
    Engine engine(fake_config(), one_fake(1, 8, 400));
    for (int round = 0; round < 2; round++) EXPECT_EQ(computed_prompts(engine, some_ids(200), 5, 9, true), 5 * 209);
}

}  // namespace
