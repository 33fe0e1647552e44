// test_scheduler.cpp: what runs when, and that pages are never shared, lost or too few. The "device" here is a few
// lines that check every batch and answer with a token derived from the sequence and position.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <map>
#include <set>

#include "engine/scheduler.h"
#include "paged_memory.h"
#include "sampler.h"

namespace {

struct Log {
    std::vector<int> tokens;
    std::vector<int> logit_positions;
    int done = 0;
    Finish finish = Finish::kStop;
    std::string error;
};

class LoggingJob : public Job {
  public:
    LoggingJob(Log& log, int prompt_length, int max_new) : log_(log) {
        for (int i = 0; i < prompt_length; i++) prompt.push_back(i % 50);
        max_new_tokens = max_new;
    }
    bool on_token(int id) override {
        log_.tokens.push_back(id);
        return int(log_.tokens.size()) != stop_after;
    }
    void on_logits(int pos, const float*) override { log_.logit_positions.push_back(pos); }
    void on_done(Finish finish) override {
        log_.done++;
        log_.finish = finish;
    }
    void on_error(const std::string& why) override { log_.error = why; }
    int stop_after = -1;

  private:
    Log& log_;
};

Config small_config() {
    Config c;
    c.vocab_size = 100;
    c.max_context = 1000;
    c.sliding_window = 40;
    c.layer_kind = {LayerKind::kSliding, LayerKind::kFull};
    return c;
}

// How a replica takes steps: on the CPU, on one GPU, over chains of two and three.
struct Depth {
    int steps_in_flight, steps_apart;
};
constexpr Depth kDepths[] = {{1, 1}, {2, 1}, {3, 2}, {4, 3}};

Capacity small_capacity(int max_sequences = 4, int n_pages = 200, const Depth& depth = {1, 1}) {
    Capacity c;
    c.steps_in_flight = depth.steps_in_flight;
    c.steps_apart = depth.steps_apart;
    c.max_sequences = max_sequences;
    c.prefill_chunk = 64;
    c.max_batch_tokens = 128;
    c.n_pages = n_pages;
    c.max_prefill_tokens_beside_decode = c.max_batch_tokens;
    c.keeps_pages = false;
    return c;
}

// Runs jobs to the end on a scheduler, checking every batch.
class Device {
  public:
    Device(const Config& config, const Capacity& capacity)
        : config_(config), capacity_(capacity), scheduler_(config_, capacity_), memory_(config, capacity) {}

    void run(std::vector<std::unique_ptr<Job>> jobs) {
        size_t next = 0;
        std::deque<std::vector<int>> results;
        for (;;) {
            while (scheduler_.steps_in_flight() < capacity_.steps_in_flight) {
                scheduler_.admit([&](QueuedJob& queued) {
                    if (next == jobs.size()) return false;
                    queued.job = std::move(jobs[next++]);
                    return true;
                });
                const Batch* const batch = scheduler_.plan();
                if (!batch) break;
                check(*batch);
                results.push_back(step(*batch));
                n_steps++;
            }
            if (scheduler_.idle()) break;
            ASSERT_FALSE(results.empty()) << "nothing runs, and nothing can";
            scheduler_.apply(results.front());
            results.pop_front();
        }
    }

    int64_t n_put_back() const { return scheduler_.n_put_back(); }

    int not_finite_at = -1;  // the position, while that many sequences run
    size_t not_finite_among = 1;
    int n_run_ahead = 0;  // tokens whose ids were not known yet
    int n_steps = 0, most_tokens = 0, most_sequences = 0;
    std::vector<int> batch_sizes;

  private:
    std::vector<int> step(const Batch& batch) const {
        std::vector<int> sampled;
        for (size_t row = 0; row < batch.rows.size(); row++) {
            const Batch::Row& r = batch.rows[row];
            const int pos = batch.tokens[size_t(r.token)].pos;
            const bool bad = pos == not_finite_at && batch.seqs.size() == not_finite_among;
            const std::vector<float> logits(100, bad ? NAN : 1.0f);
            if (r.want_logits) batch.on_logits(int(row), logits.data());
            sampled.push_back(!r.sample ? -1 : bad ? kNotFinite : pos % 90);
        }
        return sampled;
    }

    void check(const Batch& batch) {
        ASSERT_FALSE(batch.tokens.empty());
        ASSERT_LE(int(batch.tokens.size()), capacity_.max_batch_tokens);
        ASSERT_LE(int(batch.seqs.size()), capacity_.max_sequences);
        most_tokens = std::max(most_tokens, int(batch.tokens.size()));
        most_sequences = std::max(most_sequences, int(batch.seqs.size()));
        batch_sizes.push_back(int(batch.tokens.size()));
        std::set<int> slots, pages;
        for (const Batch::Seq& s : batch.seqs) {
            ASSERT_TRUE(slots.insert(s.slot).second) << "a slot twice";
            for (const auto* of_kind : {&s.pages->full, &s.pages->sliding})
                for (const int p : *of_kind)
                    ASSERT_TRUE(pages.insert(p).second && p >= 0 && p < capacity_.n_pages) << "a page twice";
        }
        for (size_t i = 0; i < batch.tokens.size(); i++) {
            const Batch::Token& t = batch.tokens[i];
            const Batch::Seq& s = batch.seqs[size_t(t.seq)];
            // Positions follow one another; a slot's first token is at 0 or where the last step ended.
            if (i > 0 && batch.tokens[i - 1].seq == t.seq) {
                ASSERT_EQ(t.pos, batch.tokens[i - 1].pos + 1);
            } else {
                ASSERT_EQ(s.begins, t.pos == 0);
                ASSERT_TRUE(s.begins || t.pos == next_pos_[s.slot]);
            }
            next_pos_[s.slot] = t.pos + 1;
            if (t.id == kOwnSample) {
                n_run_ahead++;
                ASSERT_GE(n_steps - last_sample_[s.slot], capacity_.steps_apart);
            }
            memory_.write(*s.pages, t.pos, t.pos);
            const std::vector<int> ids = memory_.read(*s.pages, t.pos);
            for (int p = 0; p <= t.pos; p++) ASSERT_EQ(ids[size_t(p)], p);
        }
        for (const Batch::Row& r : batch.rows)
            if (r.sample) last_sample_[batch.seqs[size_t(batch.tokens[size_t(r.token)].seq)].slot] = n_steps;
    }

    const Config config_;
    const Capacity capacity_;
    Scheduler scheduler_;
    PagedMemory memory_;
    std::map<int, int> next_pos_, last_sample_;  // of slots
};

std::vector<std::unique_ptr<Job>> one(std::unique_ptr<Job> job) {
    std::vector<std::unique_ptr<Job>> jobs;
    jobs.push_back(std::move(job));
    return jobs;
}

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
        EXPECT_EQ(device.most_sequences, depth.steps_apart == 1 ? 4 : 3);
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

TEST(Scheduler, AnswerEndsWhereTheKvCacheEnds) {
    Log log;
    Device(small_config(), small_capacity(4, 6)).run(one(std::make_unique<LoggingJob>(log, 50, 500)));
    EXPECT_EQ(log.tokens.size(), 3u * kPagePositions - 50);
    EXPECT_EQ(log.finish, Finish::kLength);
    EXPECT_EQ(log.error, "");
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

// Requests of which nobody knows how long their answers will be: each is longer than those before it.
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

}  // namespace
