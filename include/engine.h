// engine.h: runs requests on a model: one queue, n replicas, continuous batching. The modes need no other header of it.
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

struct TokenBias {
    int id;  // in [0, V)
    float bias;
};

struct Sampling {
    float temperature = 0;  // 0: the most likely token, ties to the smaller id
    float top_p = 1;        // (0, 1]: sample from the smallest set of tokens that holds this much probability
    uint64_t seed = 0;      // of the request's own random stream: the same seed gives the same draws
    int n_ruled_out = 0;    // tokens that cannot be drawn, in [0, V)
    int ruled_out[kMaxRuledOut] = {};
    int top_k = 0;                 // sample from so many most likely tokens, ties to the smaller id; 0: from all
    float repetition_penalty = 1;  // logits of tokens that the text has: those above 0 divided by it, others multiplied
    // Taken from the logit of a token that the answer has: once, and once for each time that it has it.
    float presence_penalty = 0, frequency_penalty = 0;
    float min_p = 0;  // no token that is less likely than this share of the most likely one's probability
    std::shared_ptr<const std::vector<TokenBias>> bias = nullptr;  // added to logits; null: nothing
    std::shared_ptr<const std::vector<int>> allowed =
        nullptr;          // no other tokens can be drawn; ascending; null: all can
    int n_logprobs = -1;  // tell the token's log-probability, and those of so many most likely ones; -1: tell nothing

    bool needs_text() const { return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0; }
    bool is_forced() const { return allowed && allowed->size() == 1; }
    // Whether it asks for nothing that the host alone can do.
    bool is_plain() const { return !needs_text() && min_p == 0 && !bias && !allowed; }
};

// How likely the model finds a token, before temperature, penalties and all else that Sampling says; and the tokens
// that it finds most likely, ties to the smaller id.
struct TokenLogprobs {
    struct Entry {
        int id;
        double logprob;
    };
    Entry drawn = {-1, 0};
    std::vector<Entry> top;
};

enum class Finish {
    kStop,       // an end id, or on_token said so
    kLength,     // max_new_tokens
    kCancelled,  // nobody wants the rest
};

// One request, from the moment it is made to its last token. Replicas' threads call the on_ functions, for one job
// never two at the same time; they must not throw. If a replica fails, another continues its jobs: a job sees every
// token and every row of logits once.
class Job {
  public:
    virtual ~Job() = default;

    std::vector<int> prompt;    // ids in [0, V); at least one
    int max_new_tokens = 0;     // 0 is allowed with want_logits
    Sampling sampling;          // the engine fills in what it rules out, from the next two, and what is allowed
    std::vector<int> stop_ids;  // end the answer and are part of it
    int min_new_tokens = 0;     // no stop id is drawn before this many; needs at most kMaxRuledOut stop ids
    bool want_logits = false;   // call on_logits for every position of the prompt

    // The tokens that may come next, ascending; null: any may. It depends on the prompt and the tokens so far alone.
    virtual std::shared_ptr<const std::vector<int>> allowed() const { return nullptr; }
    // Whether a stop id may come next, after min_new_tokens. False needs at most kMaxRuledOut stop ids. It depends on
    // the prompt and the tokens so far alone, and changes only where allowed() holds.
    virtual bool may_end() const { return true; }
    // Before on_token, if sampling.n_logprobs asks for it.
    virtual void on_logprobs(const TokenLogprobs& /*logprobs*/) {}
    // One more token of the answer, a stop id included. False ends the answer here.
    virtual bool on_token(int /*id*/) { return true; }
    // Logits (V) after prompt position `pos`, positions in ascending order. Valid only during the call.
    virtual void on_logits(int /*pos*/, const float* /*logits*/) {}
    // Asked before every step, from any thread. True ends the job with kCancelled, whether it waits, reads its prompt
    // or decodes.
    virtual bool cancelled() const { return false; }
    // A replica takes it up. Again, if it was put back meanwhile or the replica has failed.
    virtual void on_start() {}
    // Called before the first token if n tokens of the prompt were found in the KV cache and are not computed again.
    virtual void on_reused(int /*n*/) {}
    virtual void on_done(Finish finish) = 0;
    // Called instead of on_done and of all other calls that would still come: the request cannot run (an id outside the
    // vocabulary, longer than the context, more KV cache than there is), or cannot go on. `why` is one line.
    virtual void on_error(const std::string& why) = 0;
};

enum class Precision {
    kF32,   // nothing is rounded below f32, KV cache included: what the oracle is compared with
    kBF16,  // one rounding, to bf16 or finer, at each matrix input; bf16 KV cache
};

struct EngineOptions {
    std::optional<Precision> precision;  // absent: bf16 where that is faster: on GPUs, and CPUs with bf16 products
    int max_sequences = 32;              // requests in flight on a device of a replica, at most
    int max_request_positions = 0;       // prompt + answer of the longest request; 0: the model's context
    bool prefix_cache = true;            // look for the beginning of a prompt in the KV cache
    int64_t kv_bytes = 0;    // KV cache of a replica; 0: for max_sequences requests of full length, or what fits
    std::string cpu_isa;     // amx, avx512-bf16, avx512-vnni, avx512, avx2, neon, portable; "": the best of the CPU
    bool reference = false;  // the plain f32 path of src/cpu/reference.cpp: slow, but the definition of right

    bool gpu = false;              // on GPUs, in bf16; needs usable_gpus() > 0
    int n_gpus = 0;                // how many GPUs; 0: all
    std::vector<int> gpus;         // which ones; empty: the first n_gpus
    int gpus_per_replica = 0;      // a chain of so many holds the model; 0: as few as can
    bool peer_copies = true;       // copy straight from GPU to GPU if they can; else, or if false, through host memory
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
    int64_t put_back = 0;            // requests that gave their KV pages to older ones, and were computed again
    int64_t prefill_new_tokens = 0;  // those of new_tokens that prefill steps sampled
    int64_t prefill_bytes = 0, decode_bytes = 0;  // of weights and KV cache read
    // Time of replicas that had jobs: the host working, the host waiting for a step, the device working, the device
    // idle between two steps.
    double host_s = 0, host_wait_s = 0, device_s = 0, device_idle_s = 0;
    struct Op {
        std::string name;
        double seconds = 0;
        int64_t bytes = 0;
        double roof_seconds = 0;  // the least time that the device's memory and matrix cores allow; 0: not known
    };
    std::vector<Op> ops;  // where the steps' time went; empty if the replica does not say

    EngineStats& operator+=(const EngineStats& more);
    EngineStats& operator-=(const EngineStats& before);  // leaves what came after `before`, of the same engine
};

// Adds the seconds and bytes of `more`, which has the same operations in the same order.
void add_ops(std::vector<EngineStats::Op>& sum, const std::vector<EngineStats::Op>& more);

// The stats of one replica.
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
// Whether a device has stopped answering, so that a thread still waits for it. std::exit() might then wait too, so the
// process must end by std::_Exit().
bool thread_left_behind();

// How a run() of requests that come from people differs from one of a file's.
struct RunOptions {
    bool in_order = false;  // jobs begin in the order in which they come; false: the longest first
    bool gathers = true;    // an idle replica waits a moment, so that jobs which come together start together
    // Called in replicas' threads when jobs have been given a step's tokens.
    std::function<void()> after_step;
};

class Engine {
  public:
    // Shares the model's mapping; allocates the KV cache. Throws Error.
    Engine(const Model& model, const EngineOptions& options);
    // Runs jobs on replicas made elsewhere, at least one.
    Engine(const CommonConfig& config, std::vector<std::unique_ptr<Replica>> replicas);
    ~Engine();

    // Runs the jobs that `next` makes, until it returns null, and returns when all are done. `next` is called in this
    // thread, ahead of need by as many jobs as run at once. It may wait; running jobs go on meanwhile. If it throws,
    // the exception comes out here once all earlier jobs are done. If a replica fails, or its device does not end a
    // step, the others take over its jobs. If no replica is left, jobs end with kCancelled, `interrupt` is called from
    // another thread so that a waiting `next` can end, and EngineFailure is thrown.
    void run(const std::function<std::unique_ptr<Job>()>& next, const std::function<void()>& interrupt = {},
             const RunOptions& options = {});

    EngineStats stats() const;
    std::vector<DeviceStats> stats_by_device() const;
    EngineLoad load() const;       // from any thread, a job's functions too
    std::string describe() const;  // "CPU, 2 threads, AVX-512, f32, 1.2 GB KV": one line for the log

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};
