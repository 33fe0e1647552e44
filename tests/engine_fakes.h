// engine_fakes.h: replicas and jobs for tests of the engine. Tokens are a hash of all that a sequence holds, so that a
// job that goes on elsewhere must be fed right.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>

#include "paged_memory.h"
#include "replica.h"

constexpr int kVocab = 1000, kWindow = 40, kChunk = 8;

inline Config fake_config() {
    Config c;
    c.vocab_size = kVocab;
    c.max_context = 500;
    c.sliding_window = kWindow;
    c.layer_kind = {LayerKind::kSliding, LayerKind::kFull};
    return c;
}

inline int next_token(const std::vector<int>& ids) {
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
          memory_(fake_config(), capacity_) {}
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

inline std::vector<int> expected_tokens(int prompt_length, int n) {
    std::vector<int> ids, tokens;
    for (int i = 0; i < prompt_length; i++) ids.push_back((prompt_length + i) % kVocab);
    for (int i = 0; i < n; i++) {
        tokens.push_back(next_token(ids));
        ids.push_back(tokens.back());
    }
    return tokens;
}

inline std::vector<std::unique_ptr<Replica>> replicas(std::vector<FakeReplica::BeforeStep> before_steps,
                                                      int chain = 0) {
    std::vector<std::unique_ptr<Replica>> all;
    for (FakeReplica::BeforeStep& f : before_steps) all.push_back(std::make_unique<FakeReplica>(std::move(f), chain));
    return all;
}

inline FakeReplica::BeforeStep fail_at(int n) {
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

inline int prompt_length(int i) {
    return 1 + i * 7 % 30;
}
inline int answer_length(int i) {
    return 1 + i * 5 % 13;
}

// Runs a job for each fate, every fifth with logits wanted too.
inline void run_all(Engine& engine, std::vector<Fate>& fates) {
    int n = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (n == int(fates.size())) return nullptr;
        auto job = std::make_unique<FakeJob>(fates[size_t(n)], prompt_length(n), answer_length(n));
        job->want_logits = n % 5 == 0;
        n++;
        return job;
    });
}

inline void expect_all_answered(const std::vector<Fate>& fates, const std::string& when) {
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
