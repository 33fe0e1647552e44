// test_engine.cpp: jobs from their maker to their end: waiting, cancelled, handed on by a replica that fails. The
// replicas are fakes, whose tokens are a hash of all that a sequence holds, so that a job that goes on elsewhere must
// be fed right.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "paged_memory.h"
#include "replica.h"

namespace {

constexpr int kVocab = 1000, kWindow = 40, kChunk = 8;

Config small_config() {
    Config c;
    c.vocab_size = kVocab;
    c.max_context = 500;
    c.sliding_window = kWindow;
    c.layer_kind = {LayerKind::kSliding, LayerKind::kFull};
    return c;
}

int next_token(const std::vector<int>& ids) {
    uint32_t hash = 7;
    for (const int id : ids) hash = hash * 31 + uint32_t(id) + 1;
    return int(hash % kVocab);
}

// chain: how many devices it plays; 0: a CPU. Every step is announced to `before_step`, with its number from 0; what
// that throws, the step throws.
class FakeReplica : public Replica {
  public:
    using BeforeStep = std::function<void(int step, const Batch& batch)>;
    explicit FakeReplica(BeforeStep before_step = {}, int chain = 0, int max_sequences = 4, int n_pages = 200)
        : before_step_(std::move(before_step)),
          capacity_(make_capacity(chain, max_sequences, n_pages)),
          memory_(small_config(), capacity_) {}
    const Capacity& capacity() const override { return capacity_; }
    std::string describe() const override { return "fake"; }

    void submit(const Batch& batch) override {
        Submitted step{&batch, {}};
        for (const Batch::Seq& seq : batch.seqs) step.pages.push_back(*seq.pages);
        steps_.push_back(std::move(step));
        EXPECT_LE(int(steps_.size()), capacity_.steps_in_flight);
    }
    void collect(StepResult& result) override {
        const Submitted oldest = std::move(steps_.front());
        steps_.pop_front();
        step(oldest, result.sampled);
        result.busy_s = 1;
        result.idle_s = 0.5;
    }

  private:
    struct Submitted {
        const Batch* batch;
        std::vector<PageTable> pages;  // of its sequences, as they were
    };

    static Capacity make_capacity(int chain, int max_sequences, int n_pages) {
        Capacity c;
        c.steps_in_flight = chain + 1;
        c.steps_apart = std::max(chain, 1);
        c.max_sequences = max_sequences;
        c.prefill_chunk = kChunk;
        c.max_batch_tokens = max_sequences + 60;
        c.n_pages = n_pages;
        c.max_prefill_tokens_beside_decode = kChunk;
        return c;
    }

    void step(const Submitted& submitted, std::vector<int>& sampled) {
        const Batch& batch = *submitted.batch;
        const bool early = n_steps_ % 2 == 0;  // fail before anything is done, or after rows have been handed out
        if (early) announce(batch);
        sampled.assign(batch.rows.size(), -1);
        const std::vector<float> logits(kVocab, 0.5f);
        size_t row = 0;
        for (size_t t = 0; t < batch.tokens.size(); t++) {
            const Batch::Token& token = batch.tokens[t];
            const PageTable& pages = submitted.pages[size_t(token.seq)];
            int& last_sampled = last_sampled_[batch.seqs[size_t(token.seq)].slot];
            memory_.write(pages, token.pos, token.id == kOwnSample ? last_sampled : token.id);
            if (row == batch.rows.size() || batch.rows[row].token != int(t)) continue;
            if (batch.rows[row].want_logits) batch.on_logits(int(row), logits.data());
            if (batch.rows[row].sample) sampled[row] = last_sampled = next_token(memory_.read(pages, token.pos));
            row++;
        }
        if (!early) announce(batch);
    }

    void announce(const Batch& batch) {
        const int step = n_steps_++;
        if (before_step_) before_step_(step, batch);
    }
    const BeforeStep before_step_;
    const Capacity capacity_;
    PagedMemory memory_;
    std::deque<Submitted> steps_;
    std::map<int, int> last_sampled_;  // of slots
    int n_steps_ = 0;
};

// What became of a job.
struct Fate {
    std::vector<int> tokens, logit_positions;
    int n_ends = 0;
    Finish finish = Finish::kStop;
    std::string error;
    std::atomic<bool> cancel{false};
};

class FakeJob : public Job {
  public:
    FakeJob(Fate& fate, int prompt_length, int max_new) : fate_(fate) {
        for (int i = 0; i < prompt_length; i++) prompt.push_back((prompt_length + i) % kVocab);
        max_new_tokens = max_new;
    }
    bool on_token(int id) override {
        fate_.tokens.push_back(id);
        return true;
    }
    void on_logits(int pos, const float*) override { fate_.logit_positions.push_back(pos); }
    bool cancelled() const override { return fate_.cancel; }
    void on_done(Finish finish) override {
        fate_.n_ends++;
        fate_.finish = finish;
    }
    void on_error(const std::string& why) override {
        fate_.n_ends++;
        fate_.error = why;
    }

  private:
    Fate& fate_;
};

std::vector<int> expected_tokens(int prompt_length, int n) {
    std::vector<int> ids, tokens;
    for (int i = 0; i < prompt_length; i++) ids.push_back((prompt_length + i) % kVocab);
    for (int i = 0; i < n; i++) {
        tokens.push_back(next_token(ids));
        ids.push_back(tokens.back());
    }
    return tokens;
}

std::vector<std::unique_ptr<Replica>> replicas(std::vector<FakeReplica::BeforeStep> before_steps, int chain = 0) {
    std::vector<std::unique_ptr<Replica>> all;
    for (FakeReplica::BeforeStep& f : before_steps) all.push_back(std::make_unique<FakeReplica>(std::move(f), chain));
    return all;
}

FakeReplica::BeforeStep fail_at(int n) {
    return [n](int step, const Batch&) {
        if (step == n) throw std::runtime_error("device error");
    };
}

// A door that opens once.
class Gate {
  public:
    void open() {
        const std::lock_guard<std::mutex> lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    void wait() {
        std::unique_lock<std::mutex> lock(mutex_);
        ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return open_; })) << "waited in vain";
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

int prompt_length(int i) {
    return 1 + i * 7 % 30;
}
int answer_length(int i) {
    return 1 + i * 5 % 13;
}

// Runs a job for each fate, every fifth with logits wanted too.
void run_all(Engine& engine, std::vector<Fate>& fates) {
    int n = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (n == int(fates.size())) return nullptr;
        auto job = std::make_unique<FakeJob>(fates[size_t(n)], prompt_length(n), answer_length(n));
        job->want_logits = n % 5 == 0;
        n++;
        return job;
    });
}

void expect_all_answered(const std::vector<Fate>& fates, const std::string& when) {
    for (int i = 0; i < int(fates.size()); i++) {
        const Fate& fate = fates[size_t(i)];
        ASSERT_EQ(fate.n_ends, 1) << when << ", job " << i;
        EXPECT_EQ(fate.error, "") << when << ", job " << i;
        EXPECT_EQ(fate.tokens, expected_tokens(prompt_length(i), answer_length(i))) << when << ", job " << i;
        if (i % 5 != 0) continue;
        std::vector<int> positions;
        for (int pos = 0; pos < prompt_length(i); pos++) positions.push_back(pos);
        EXPECT_EQ(fate.logit_positions, positions) << when << ", job " << i;
    }
}

TEST(Engine, AnyNumberOfReplicasAnswersAll) {
    for (const int n : {1, 2, 3})
        for (const int chain : {0, 1, 2, 3}) {
            Engine engine(small_config(), replicas(std::vector<FakeReplica::BeforeStep>(size_t(n)), chain));
            for (const int n_jobs : {0, 1, 40}) {
                std::vector<Fate> fates(static_cast<size_t>(n_jobs));
                run_all(engine, fates);
                expect_all_answered(fates, std::to_string(n) + " replicas of " + std::to_string(chain));
            }
        }
}

TEST(Engine, CountsWhatDevicesDidBetweenTheirFirstStepAndTheirLast) {
    Engine engine(small_config(), replicas({{}}));
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

TEST(Engine, AReplicaThatFailsLeavesItsJobsToTheOthers) {
    for (const int n_replicas : {2, 3})
        for (int step = 0; step < 24; step++) {
            std::vector<FakeReplica::BeforeStep> steps(static_cast<size_t>(n_replicas));
            steps[0] = fail_at(step);
            Engine engine(small_config(), replicas(steps, step % 4));
            std::vector<Fate> fates(40);
            testing::internal::CaptureStderr();
            run_all(engine, fates);
            testing::internal::GetCapturedStderr();
            expect_all_answered(fates, "step " + std::to_string(step));
        }
}

TEST(Engine, ManyFailuresOneAfterTheOther) {
    std::vector<FakeReplica::BeforeStep> steps;
    for (int i = 0; i < 7; i++) steps.push_back(fail_at(i));
    steps.emplace_back();
    Engine engine(small_config(), replicas(std::move(steps)));
    std::vector<Fate> fates(200);
    testing::internal::CaptureStderr();
    run_all(engine, fates);
    testing::internal::GetCapturedStderr();
    expect_all_answered(fates, "7 of 8 failed or were never asked");
}

// The last jobs are on the replica that fails, while the other has nothing to do any more and the source is closed.
TEST(Engine, AnIdleReplicaWaitsForWhatMayComeBack) {
    Gate other_is_idle;
    std::atomic<int> n_other_steps{0};
    Engine engine(small_config(), replicas({[&](int step, const Batch&) {
                                                if (step > 0) return;
                                                other_is_idle.wait();
                                                throw std::runtime_error("device error");
                                            },
                                            [&](int, const Batch&) { n_other_steps++; }}));
    std::vector<Fate> fates(1);
    // Whichever replica takes the one job: if it is the first, it fails when the other has long seen the closed source.
    std::thread later([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        other_is_idle.open();
    });
    testing::internal::CaptureStderr();
    run_all(engine, fates);
    testing::internal::GetCapturedStderr();
    later.join();
    expect_all_answered(fates, "closed");
}

TEST(Engine, WithoutAnyReplicaLeftThereIsOneError) {
    Engine engine(small_config(), replicas({fail_at(18), fail_at(15)}));
    std::vector<Fate> fates(40);
    testing::internal::CaptureStderr();
    try {
        run_all(engine, fates);
        FAIL() << "no error";
    } catch (const EngineFailure& e) {
        EXPECT_STREQ(e.what(), "device error");
    }
    testing::internal::GetCapturedStderr();
    int n_answered = 0, n_cancelled = 0;
    for (const Fate& fate : fates) {
        EXPECT_LE(fate.n_ends, 1);
        n_answered += fate.n_ends && fate.finish != Finish::kCancelled;
        n_cancelled += fate.n_ends && fate.finish == Finish::kCancelled;
    }
    EXPECT_GT(n_answered, 0) << "before it happened";
    EXPECT_GT(n_cancelled, 0);
    EXPECT_THROW(run_all(engine, fates), EngineFailure) << "nor does it come back";
}

TEST(Engine, FailureInterruptsASourceThatWaits) {
    Gate interrupted;
    Engine engine(small_config(), replicas({fail_at(0)}));
    Fate fate;
    int n = 0;
    const auto next = [&]() -> std::unique_ptr<Job> {
        if (n++ == 0) return std::make_unique<FakeJob>(fate, 3, 3);
        interrupted.wait();
        return nullptr;
    };
    EXPECT_THROW(engine.run(next, [&] { interrupted.open(); }), EngineFailure);
    EXPECT_EQ(fate.finish, Finish::kCancelled);
}

TEST(Engine, ASourceThatWaitsHoldsUpNobody) {
    Gate answered;
    Engine engine(small_config(), replicas({{}}));
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
    Engine engine(small_config(), replicas({[&](int step, const Batch&) {
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
    Engine engine(small_config(), replicas({{}, {}}));
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
        Engine engine(small_config(), replicas({[&](int step, const Batch& batch) {
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
    Engine engine(small_config(), replicas({[&](int step, const Batch&) {
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
    Engine engine(small_config(), replicas({[&](int step, const Batch& batch) {
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

// Ends where the model says so, nobody knows when: at one id of 125 that it says.
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
        Engine engine(small_config(), std::move(two));
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
            ASSERT_TRUE(stopped || prompt_length(int(i)) + n_tokens == small_config().max_context) << i;
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
        Engine engine(small_config(), one_fake(chain, 16, 400));
        EXPECT_LE(computed_prompts(engine, some_ids(300), 40, 5), 300 + 40 * (5 + 31)) << "all start at once";
        EXPECT_LE(computed_prompts(engine, some_ids(300), 10, 7), 10 * (7 + 31)) << "and later ones find it";
    }
}

TEST(Engine, WhatFollowsAPromptIsAllThatIsComputed) {
    Engine engine(small_config(), one_fake(1, 4, 400));
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
            Engine engine(small_config(), one_fake(chain, 8, n_pages));
            for (const int seed : {0, 1, 2, 0}) {
                std::vector<int> common = some_ids(200 + seed);
                common[0] = seed;
                computed_prompts(engine, common, 10, 30);
            }
        }
}

TEST(Engine, WhereLogitsAreWantedAllIsComputed) {
    Engine engine(small_config(), one_fake(1, 8, 400));
    for (int round = 0; round < 2; round++) EXPECT_EQ(computed_prompts(engine, some_ids(200), 5, 9, true), 5 * 209);
}

}  // namespace
