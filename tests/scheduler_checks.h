// scheduler_checks.h: a "device" for the scheduler: it checks every batch (pages are never shared, lost or too few) and
// answers with a token derived from the sequence and position.
#pragma once
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <map>
#include <set>

#include "engine/scheduler.h"
#include "paged_memory.h"
#include "sampler.h"

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

inline Config small_config() {
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

inline Capacity small_capacity(int max_sequences = 4, int n_pages = 200, const Depth& depth = {1, 1}) {
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

    static constexpr int kOther = 94;  // drawn in place of what is ruled out

    int64_t n_put_back() const { return scheduler_.n_put_back(); }

    int not_finite_at = -1;  // the position, while that many sequences run
    size_t not_finite_among = 1;
    int n_again = 0;      // positions that ran again
    int n_run_ahead = 0;  // tokens whose ids were not known yet
    int n_steps = 0, most_tokens = 0, most_sequences = 0, most_logit_rows = 0;
    std::vector<int> batch_sizes;
    std::vector<int> ruled_out;  // how many tokens, for each that was sampled
    std::vector<std::vector<int>> contexts;

  private:
    std::vector<int> step(const Batch& batch) {
        std::vector<int> sampled;
        int n_logit_rows = 0;
        for (size_t row = 0; row < batch.rows.size(); row++) {
            const Batch::Row& r = batch.rows[row];
            const int pos = batch.tokens[size_t(r.token)].pos;
            const bool bad = pos == not_finite_at && batch.seqs.size() == not_finite_among;
            const std::vector<float> logits(100, bad ? NAN : 1.0f);
            if (r.want_logits) batch.on_logits(int(row), logits.data());
            if (r.sample) ruled_out.push_back(r.sampling.n_ruled_out);
            if (r.text.ids) contexts.emplace_back(r.text.ids, r.text.ids + pos + 1);
            n_logit_rows += r.takes_logits();
            const int* const out_end = r.sampling.ruled_out + r.sampling.n_ruled_out;
            const bool is_out = std::find(&r.sampling.ruled_out[0], out_end, pos % 90) != out_end;
            const int drawn = r.sampling.allowed ? r.sampling.allowed->front() : is_out ? kOther : pos % 90;
            sampled.push_back(!r.sample ? -1 : bad ? kNotFinite : drawn);
        }
        most_logit_rows = std::max(most_logit_rows, n_logit_rows);
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
            // Positions follow one another; a slot's first token is at 0 or where the last step ended. Steps may have
            // run ahead in vain, and then their positions run again, with ids that are known.
            if (i > 0 && batch.tokens[i - 1].seq == t.seq) {
                ASSERT_EQ(t.pos, batch.tokens[i - 1].pos + 1);
            } else {
                ASSERT_EQ(s.begins, t.pos == 0);
                const int next = next_pos_[s.slot];
                const bool again = t.id != kOwnSample && t.pos < next && t.pos > next - capacity_.steps_in_flight;
                ASSERT_TRUE(s.begins || t.pos == next || again);
                n_again += !s.begins && again;
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

inline std::vector<std::unique_ptr<Job>> one(std::unique_ptr<Job> job) {
    std::vector<std::unique_ptr<Job>> jobs;
    jobs.push_back(std::move(job));
    return jobs;
}
