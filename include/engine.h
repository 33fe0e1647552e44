// engine.h: runs requests on a model: one queue, n replicas, continuous batching. The modes see no more of it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "error.h"
#include "model.h"

constexpr int kMaxRuledOut = 8;

struct Sampling {
    float temperature = 0;  // 0: the most likely token, ties to the smaller id
    float top_p = 1;        // (0, 1]: sample from the smallest set of tokens that holds this much probability
    uint64_t seed = 0;      // the request's own random stream: same seed, same draws
    int n_ruled_out = 0;    // tokens that cannot be drawn, in [0, V)
    int ruled_out[kMaxRuledOut] = {};
    int top_k = 0;                 // sample from so many most likely tokens, ties to the smaller id; 0: from all
    float repetition_penalty = 1;  // logits of tokens that the text has: those above 0 divided by it, others multiplied
};

enum class Finish {
    kStop,       // an end id, or on_token said so
    kLength,     // max_new_tokens
    kCancelled,  // nobody wants the rest
};

// One request, from the moment it is made to its last token. The on_ functions are called from replicas' threads, those
// of one job never at the same time; they must not throw. If a replica fails, another goes on with its jobs, each where
// it was: a job sees every token and every row of logits once.
class Job {
  public:
    virtual ~Job() = default;

    std::vector<int> prompt;    // ids in [0, V); at least one
    int max_new_tokens = 0;     // 0 is allowed with want_logits
    Sampling sampling;          // what it rules out comes from the next two
    std::vector<int> stop_ids;  // end the answer and are part of it
    int min_new_tokens = 0;     // before so many no stop id is drawn; only with at most kMaxRuledOut of them
    bool want_logits = false;   // call on_logits for every position of the prompt

    // One more token of the answer, a stop id included. False ends the answer here.
    virtual bool on_token(int /*id*/) { return true; }
    // Logits (V) after prompt position `pos`, positions in ascending order. Valid only during the call.
    virtual void on_logits(int /*pos*/, const float* /*logits*/) {}
    // Asked before every step, from any thread: true ends the job there, with kCancelled, be it waiting, in its prompt
    // or decoding.
    virtual bool cancelled() const { return false; }
    // Before the first token: so many tokens of the prompt were found in the KV cache, and are not computed again.
    virtual void on_reused(int /*n*/) {}
    virtual void on_done(Finish finish) = 0;
    // Instead of on_done, and of what has not come yet: the request cannot run (an id outside the vocabulary, longer
    // than the context, more KV cache than there is), or not go on. One line.
    virtual void on_error(const std::string& why) = 0;
};

enum class Precision {
    kF32,   // nothing is rounded below f32, KV cache included: what the oracle is compared with
    kBF16,  // one rounding, to bf16 or finer, at each matrix input; bf16 KV cache
};

struct EngineOptions {
    std::optional<Precision> precision;  // absent: bf16 where that is faster: GPUs, CPUs with products of it
    int max_sequences = 32;              // requests in flight on a device of a replica, at most
    int max_request_positions = 0;       // prompt + answer of the longest request; 0: the model's context
    bool prefix_cache = true;            // look for the beginning of a prompt in the KV cache
    int64_t kv_bytes = 0;    // KV cache a replica; 0: what that many full-length requests need, or what fits
    std::string cpu_isa;     // amx, avx512-bf16, avx512, avx2, neon, portable; "": the best that this CPU has
    bool reference = false;  // the plain f32 path of src/cpu/reference.cpp: slow, the definition of right

    bool gpu = false;              // on GPUs, in bf16; needs usable_gpus() > 0
    int n_gpus = 0;                // that many of them; 0: all
    std::vector<int> gpus;         // which ones; empty: the first n_gpus
    int gpus_per_replica = 0;      // a chain of so many holds the model; 0: as few as can
    bool peer_copies = true;       // straight from GPU to GPU where these can, else through host memory
    double gpu_memory = 0.9;       // share of a GPU's free memory for weights, KV cache and workspace
    int64_t gpu_memory_bytes = 0;  // instead of a share; 0: the share
    bool graphs = true;            // decode steps as recorded graphs
    bool synchronous = false;      // wait after every kernel, to see which one fails
    bool profile = false;          // time every kernel (slower); the CPU always does
    double step_limit_s = 60;      // a GPU whose step takes longer has stopped, and is given up; 0: never
};

// GPUs that this program can use: 0 in one built without; then gpu_trouble() is one line that says why.
int usable_gpus();
std::string gpu_trouble();

// Sums over all steps so far. A step with any prompt token in it counts as prefill.
struct EngineStats {
    int64_t prompt_tokens = 0, new_tokens = 0;
    int64_t prefill_steps = 0, decode_steps = 0;
    int64_t prefill_rows = 0, decode_rows = 0;  // tokens that went through the model
    double prefill_s = 0, decode_s = 0;
    int64_t reused_tokens = 0;       // of prompts, found in the KV cache; not among prompt_tokens
    int64_t put_back = 0;            // requests, for want of KV pages; what they had so far was computed again
    int64_t prefill_new_tokens = 0;  // of new_tokens, those sampled in prefill steps
    int64_t prefill_bytes = 0, decode_bytes = 0;  // of weights and KV cache read
    // Where replicas' time went while they had jobs: the host's at work and waiting for a step; devices' at work and
    // idle between two steps.
    double host_s = 0, host_wait_s = 0, device_s = 0, device_idle_s = 0;
    struct Op {
        std::string name;
        double seconds = 0;
        int64_t bytes = 0;
        double roof_seconds = 0;  // the least that the device's memory and matrix cores allow; 0: not known
    };
    std::vector<Op> ops;  // where the steps' time went; empty if the replica does not say

    EngineStats& operator+=(const EngineStats& more);
    EngineStats& operator-=(const EngineStats& before);  // leaves what came after `before`, of the same engine
};

// Adds what others say of the same operations, in the same order.
void add_ops(std::vector<EngineStats::Op>& sum, const std::vector<EngineStats::Op>& more);

// One replica's.
struct DeviceStats {
    std::string name;  // as it describes itself
    EngineStats stats;
};

// What runs at this moment, over all replicas.
struct EngineLoad {
    int64_t in_flight = 0;                  // requests
    int64_t pages_in_use = 0, n_pages = 0;  // of the KV cache
};

class Replica;

// No replica is left to run jobs.
struct EngineFailure : Error {
    using Error::Error;
};
// Whether a device has stopped answering, and a thread waits for it: what std::exit() does might wait too, so that the
// process must end by std::_Exit().
bool thread_left_behind();

class Engine {
  public:
    // Takes a share of the model's mapping; allocates the KV cache. Throws Error.
    Engine(const Model& model, const EngineOptions& options);
    // Runs jobs on replicas made elsewhere, at least one.
    Engine(const CommonConfig& config, std::vector<std::unique_ptr<Replica>> replicas);
    ~Engine();

    // Runs the jobs that `next` makes, until it returns null, and returns when all are done. `next` is called in this
    // thread, ahead of need by as many jobs as run at once, and may wait: what runs goes on meanwhile. An exception
    // from it comes out here, once all jobs made before are done. A replica that fails, or whose device does not come
    // back from a step, leaves its jobs to the others. If none is left, jobs end with kCancelled, `interrupt` is called
    // from another thread, so that a `next` that waits can end, and EngineFailure is thrown.
    void run(const std::function<std::unique_ptr<Job>()>& next, const std::function<void()>& interrupt = {});

    EngineStats stats() const;
    std::vector<DeviceStats> stats_by_device() const;
    EngineLoad load() const;       // from any thread, a job's functions too
    std::string describe() const;  // "CPU, 2 threads, AVX-512, f32, 1.2 GB KV": one line for the log

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};
