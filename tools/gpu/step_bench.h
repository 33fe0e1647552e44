// step_bench.h: times whole steps of a replica, as the scheduler would ask for them, and says what they take at least.
// For bench_step.cpp and its test.
#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "engine/gpus.h"

struct StepTime {
    double seconds = 0;          // with as many in flight as the replica takes
    double idle = 0;             // share of the device's time, between steps
    double bytes = 0, flop = 0;  // of weights and KV cache; of products
    int n_tokens = 0;
};

class StepBench {
  public:
    // For up to max_sequences of max_context positions each.
    StepBench(const Model& model, int max_sequences, int max_context) : config_(model.gpt_oss().config) {
        EngineOptions options;
        options.precision = Precision::kBF16;
        options.gpu = true;
        options.n_gpus = 1;
        options.max_sequences = max_sequences;
        options.max_request_positions = max_context;
        replica_ = std::move(make_gpu_replicas(model, options)[0]);
        const Capacity& has = replica_->capacity();
        const int full_each = pages_for(max_context);
        const int sliding_each = std::min(full_each, sliding_pages_needed(config_.sliding_window, has.prefill_chunk));
        const int each = full_each + sliding_each;
        const int n = std::min(has.max_sequences, has.n_pages / each);
        for (int s = 0; s < n; s++) {
            PageTable table;  // a page that the window has passed is used again
            for (int p = 0; p < full_each; p++) {
                table.full.push_back(s * each + p);
                table.sliding.push_back(s * each + full_each + p % sliding_each);
            }
            pages_.push_back(table);
        }
    }

    int max_sequences() const { return int(pages_.size()); }

    // One token each of n_seq sequences that have context - 1 before it, of which no more than the first was computed:
    // what keys say takes no time.
    StepTime decode(int n_seq, int context, int n_rounds) {
        Batch first = batch(n_seq, 0, 1, true);
        for (Batch::Seq& seq : first.seqs) seq.begins = true;  // tells the replica which pages are whose
        run(first);
        const Batch step = batch(n_seq, context - 1, 1, true);
        for (int i = 0; i < 3; i++) run(step);  // loads kernels, records, replays
        return timed(n_rounds, {&step});
    }

    // n_prompts prompts of n_positions, all of them in step with each other.
    StepTime prefill(int n_prompts, int n_positions, int n_rounds) {
        const Capacity& has = replica_->capacity();
        std::vector<Batch> steps;
        const int chunk = std::min(has.prefill_chunk, has.max_batch_tokens / n_prompts);
        for (int pos = 0; pos < n_positions; pos += chunk) {
            const int n = std::min(chunk, n_positions - pos);
            steps.push_back(batch(n_prompts, pos, n, pos + n == n_positions));
        }
        std::vector<const Batch*> all;
        for (const Batch& step : steps) {
            run(step);
            all.push_back(&step);
        }
        return timed(n_rounds, all);
    }

  private:
    // Positions [pos, pos + n) of the first n_seq sequences.
    Batch batch(int n_seq, int pos, int n, bool samples) const {
        Batch b;
        for (int s = 0; s < n_seq; s++) {
            b.seqs.push_back({s, &pages_[size_t(s)]});
            for (int i = 0; i < n; i++)
                b.tokens.push_back({(97 * s + 31 * (pos + i)) % config_.vocab_size, pos + i, s});
            if (samples) b.rows.push_back({int(b.tokens.size()) - 1, true, false, {}});
        }
        return b;
    }

    void run(const Batch& b) {
        replica_->submit(b);
        replica_->collect(result_);
    }

    // Collects until no more than `most` steps are in flight; adds up what the device did.
    void collect_to(int most, StepTime& time) {
        for (; in_flight_ > most; in_flight_--) {
            replica_->collect(result_);
            busy_s_ += result_.busy_s;
            time.idle += result_.idle_s;
        }
    }

    StepTime timed(int n_rounds, const std::vector<const Batch*>& steps) {
        using Clock = std::chrono::steady_clock;
        StepTime time;
        run(*steps[0]);  // from its end on the device is busy, or idle
        busy_s_ = 0;
        const Clock::time_point begin = Clock::now();
        for (int i = 0; i < n_rounds; i++)
            for (const Batch* step : steps) {
                collect_to(replica_->capacity().steps_in_flight - 1, time);
                replica_->submit(*step);
                in_flight_++;
            }
        collect_to(0, time);
        time.seconds = std::chrono::duration<double>(Clock::now() - begin).count() / n_rounds;
        time.idle /= std::max(time.idle + busy_s_, 1e-9);
        for (const Batch* step : steps) add_work(time, *step);
        return time;
    }

    // Weights once a step, of experts as many as its tokens meet if each chooses at random; keys and values once a
    // sequence.
    void add_work(StepTime& time, const Batch& b) const {
        const Config& c = config_;
        const double d = c.hidden_dim, f = c.intermediate_dim, heads = double(c.n_attn_heads) * c.head_dim;
        const double kv = double(c.n_kv_heads) * c.head_dim, t = double(b.tokens.size()), rows = double(b.rows.size());
        const double dense = d * (heads + 2 * kv) + heads * d + c.n_experts * d, expert = 3 * d * f;
        const double chosen = c.n_experts * (1 - std::pow(1 - double(c.experts_per_token) / c.n_experts, t));
        constexpr double kMxfp4Bytes = 0.5 + 1.0 / 32;
        const double logits = rows > 0 ? d * c.vocab_size : 0;
        time.n_tokens += int(t);
        time.bytes += c.n_layers * (2 * dense + kMxfp4Bytes * chosen * expert) + 2 * logits;
        time.flop += 2 * t * c.n_layers * (dense + c.experts_per_token * expert) + 2 * rows * logits;
        for (size_t i = 0; i < b.tokens.size(); i++) {
            const bool last = i + 1 == b.tokens.size() || b.tokens[i + 1].seq != b.tokens[i].seq;
            const int first = b.tokens[i].pos + 1 - int(b.tokens.size() / b.seqs.size());  // all have as many tokens
            for (const LayerKind kind : c.layer_kind) {
                const int keys = b.tokens[i].pos + 1, window = kind == LayerKind::kFull ? keys : c.sliding_window;
                time.flop += 4.0 * std::min(keys, window) * heads;
                if (last) time.bytes += 4.0 * kv * std::min(keys, window + keys - 1 - std::max(first, 0));
            }
        }
    }

    const Config config_;
    std::unique_ptr<Replica> replica_;
    std::vector<PageTable> pages_;
    StepResult result_;
    int in_flight_ = 0;
    double busy_s_ = 0;
};
