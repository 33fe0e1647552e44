// simulation.h: a run of getp on predicted devices: the engine's own scheduler, with a clock that is told how long
// steps take.
#pragma once
#include <deque>
#include <memory>
#include <numeric>
#include <vector>

#include "engine/even_spans.h"
#include "engine/scheduler.h"
#include "step_time.h"

struct Workload {
    int n_requests = 0, n_prompt = 0, n_answer = 0;
    int max_in_flight = 4096;  // on a device of a replica
};

struct Setup {
    const PredictedDevice* device = nullptr;
    int n_replicas = 1, chain = 1;  // devices of a replica
    double memory_bytes = 0;        // of a device, usable; 0: nine tenths of what it has
};

struct Prediction {
    double seconds = 0, tokens_per_s = 0;  // generated
    double mean_rows = 0;                  // a step
    int64_t n_put_back = 0;
};

// Gets its tokens and asks for nothing.
class SilentJob : public Job {
  public:
    SilentJob(int number, int n_prompt, int n_answer) {
        for (int t = 0; t < n_prompt; t++) prompt.push_back((number * 7919 + t * 31) % 100000);
        max_new_tokens = n_answer;
    }
    void on_done(Finish) override {}
    void on_error(const std::string& why) override { fail("{}", why); }
};

// Bytes that a step reads of a layer's weights as the GPU holds them, the head counted with the last layer: experts in
// MXFP4, all else in bf16.
inline std::vector<int64_t> layer_bytes(const Config& c) {
    const int64_t d = c.hidden_dim, heads = int64_t(c.n_attn_heads) * c.head_dim;
    const int64_t kv = int64_t(c.n_kv_heads) * c.head_dim;
    const int64_t dense = 2 * (d * (heads + 2 * kv) + heads * d + c.n_experts * d);
    const int64_t experts = c.n_experts * 3 * d * c.intermediate_dim * 17 / 32;
    std::vector<int64_t> bytes(size_t(c.n_layers), dense + experts);
    bytes.back() += 2 * d * c.vocab_size;
    return bytes;
}

// Of all weights, the embedding too.
inline double weight_bytes(const Config& c) {
    const std::vector<int64_t> layers = layer_bytes(c);
    return std::accumulate(layers.begin(), layers.end(), 2.0 * c.hidden_dim * c.vocab_size);
}

class PredictedReplica {
  public:
    PredictedReplica(const Setup& setup, const Config& config, const Workload& workload)
        : config_(config),
          chain_(setup.chain),
          device_(*setup.device),
          time_(device_, config),
          capacity_(capacity_of(setup, config, workload)),
          scheduler_(config_, capacity_),
          ends_of_stages_(even_ends(layer_bytes(config), chain_)),
          free_at_(size_t(chain_), 0.0) {}

    double now() const { return now_; }
    const Scheduler& scheduler() const { return scheduler_; }
    int64_t n_steps() const { return n_steps_; }
    int64_t n_rows() const { return n_rows_; }

    // One step further: submits what can be, collects the oldest. False: there is nothing left to do.
    bool advance(std::deque<QueuedJob>& queue) {
        while (int(ends_.size()) < capacity_.steps_in_flight) {
            scheduler_.admit([&](QueuedJob& job) {
                if (queue.empty()) return false;
                job = std::move(queue.front());
                queue.pop_front();
                return true;
            });
            const Batch* const batch = scheduler_.plan();
            if (!batch) break;
            submit(*batch);
        }
        if (ends_.empty()) return false;
        now_ = std::max(now_, ends_.front().at);
        scheduler_.apply(std::vector<int>(ends_.front().n_rows, 7));
        ends_.pop_front();
        return true;
    }

  private:
    struct End {
        double at;
        size_t n_rows;
    };

    static Capacity capacity_of(const Setup& setup, const Config& config, const Workload& workload) {
        const double usable = setup.memory_bytes > 0 ? setup.memory_bytes : 0.9 * setup.device->memory_bytes;
        constexpr double kWorkspace = 0.8e9;  // what memory_plan gives steps of 4,096 tokens
        Config part = config;                 // a stage's share of the layers
        part.n_layers = config.n_layers / setup.chain;
        part.layer_kind.resize(size_t(part.n_layers));
        EngineOptions options;
        options.max_sequences = setup.chain * workload.max_in_flight;
        options.max_request_positions = workload.n_prompt + workload.n_answer;
        const double left = usable - weight_bytes(config) / setup.chain - kWorkspace;
        const int most = std::max(kMaxStepTokens, workload.max_in_flight + kGpuPrefillChunk);
        Capacity c = plan_capacity(part, options, int64_t(left), 2, most, kGpuPrefillChunk);
        c.steps_in_flight = steps_in_flight(setup.chain);
        c.steps_apart = setup.chain;
        c.max_prefill_tokens_beside_decode = kMaxPrefillBesideDecode;
        return c;
    }

    void submit(const Batch& batch) {
        const StepWork work = work_of(batch, config_.sliding_window);
        double at = now_;
        for (int i = 0; i < chain_; i++) {
            if (i > 0) at += 4.0 * work.n_tokens * config_.hidden_dim / device_.link_bytes_per_s;
            double& free_at = free_at_[size_t(i)];
            const int first = i == 0 ? 0 : ends_of_stages_[size_t(i) - 1];
            at = std::max(at, free_at) + time_.seconds(work, first, ends_of_stages_[size_t(i)], i + 1 == chain_);
            free_at = at;
        }
        ends_.push_back({at, batch.rows.size()});
        n_steps_++;
        n_rows_ += work.n_tokens;
    }

    const Config config_;
    const int chain_;
    const PredictedDevice& device_;
    const StepTime time_;
    const Capacity capacity_;
    Scheduler scheduler_;
    const std::vector<int> ends_of_stages_;  // their last layers + 1
    std::vector<double> free_at_;            // of the chain's devices
    std::deque<End> ends_;                   // of steps in flight
    double now_ = 0;
    int64_t n_steps_ = 0, n_rows_ = 0;
};

inline Prediction predict(const Setup& setup, const Config& config, const Workload& workload) {
    std::deque<QueuedJob> queue;
    for (int i = 0; i < workload.n_requests; i++)
        queue.push_back({std::make_unique<SilentJob>(i, workload.n_prompt, workload.n_answer), {}, 0});
    std::vector<std::unique_ptr<PredictedReplica>> replicas;
    for (int i = 0; i < setup.n_replicas; i++)
        replicas.push_back(std::make_unique<PredictedReplica>(setup, config, workload));
    // They are all alike, so that each replica ends up with an equal share.
    std::vector<std::deque<QueuedJob>> shares(replicas.size());
    for (size_t i = 0; !queue.empty(); i++) {
        shares[i % shares.size()].push_back(std::move(queue.front()));
        queue.pop_front();
    }
    Prediction result;
    int64_t n_steps = 0, n_rows = 0;
    for (size_t i = 0; i < replicas.size(); i++) {
        while (replicas[i]->advance(shares[i])) {
        }
        result.seconds = std::max(result.seconds, replicas[i]->now());
        result.n_put_back += replicas[i]->scheduler().n_put_back();
        n_steps += replicas[i]->n_steps();
        n_rows += replicas[i]->n_rows();
    }
    result.tokens_per_s = double(workload.n_requests) * workload.n_answer / std::max(result.seconds, 1e-9);
    result.mean_rows = double(n_rows) / double(std::max<int64_t>(n_steps, 1));
    return result;
}
