// replica.h: one copy of the weights, as the scheduler drives it: a flat batch of tokens in, one sampled token out for
// every row that wants one. While one step runs the next may be submitted, before the host knows what the first one
// sampled. The CPU and GPUs have one implementation each.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine.h"
#include "kv_page.h"

// The KV cache is one pool of pages. A page holds kPagePositions positions for all full layers or for all sliding ones:
// how memory divides between the two depends on lengths that nobody knows ahead.
struct PageTable {
    std::vector<int> full;     // position p lies in full[p / kPagePositions]
    std::vector<int> sliding;  // and in sliding[p / kPagePositions - first_sliding_page], while a window sees it
    int first_sliding_page = 0;
};

// As a token's id: what its slot's last row sampled, in a step that may not have been collected yet.
constexpr int kOwnSample = -1;

// One step's work: T tokens, each with its sequence and position; a sequence's tokens are consecutive and ascending.
struct Batch {
    struct Token {
        int id;   // or kOwnSample
        int pos;  // absolute
        int seq;  // index into seqs
    };
    struct Seq {
        int slot;  // which of the replica's sequences, in [0, max_sequences); its own while the request lasts
        const PageTable* pages;
        bool begins = false;  // the slot's first step: until now it was another sequence's
    };
    // A token whose logits are needed; rows stand in the order of their tokens.
    struct Row {
        int token;  // index into tokens
        bool sample;
        bool want_logits;  // hand them to on_logits
        Sampling sampling;
        const int* context = nullptr;  // (token's position + 1) ids of the sequence so far, for a repetition penalty
    };
    std::vector<Token> tokens;
    std::vector<Seq> seqs;
    std::vector<Row> rows;
    // Logits (V) of rows[row], valid during the call, in ascending order of rows; from submit() or collect().
    std::function<void(int row, const float* logits)> on_logits;
    // If there is one: asked in the midst of a step that takes long. True: nobody wants anything of it any more, and it
    // may end there, with no results.
    std::function<bool()> unwanted;
};

struct StepResult {
    std::vector<int> sampled;  // (rows) the tokens drawn, or kNotFinite (sampler.h); -1 where Row::sample is false
    int64_t bytes = 0;         // of weights and KV cache that the step read
    // Of the device, or of a chain's on average: how long the step kept it busy, and how long it had been idle between
    // the step before and this one. Zeros if nobody measures.
    double busy_s = 0, idle_s = 0;
};

// What a replica can take.
struct Capacity {
    int max_sequences = 0;
    int max_batch_tokens = 0;
    int prefill_chunk = 0;    // a prompt is cut at multiples of this, which divides max_batch_tokens
    int n_pages = 0;          // in the pool
    bool keeps_pages = true;  // what is in a page stays there, for another slot too, until the page begins anew
    // Of all prompts together in a step that decodes too, so that those who read wait little; at least a chunk.
    int max_prefill_tokens_beside_decode = 0;
    int steps_in_flight = 1;  // submitted and not collected, at most
    // Steps from one that samples a token to one that reads it as kOwnSample, at least: 1 lets every step hold every
    // sequence; over a chain of n devices, n sets of sequences take turns.
    int steps_apart = 1;
    double step_limit_s = 0;  // a call that takes longer will never end; 0: that cannot happen
    bool penalises = true;    // applies a repetition penalty
};

class Replica {
  public:
    virtual ~Replica() = default;
    virtual const Capacity& capacity() const = 0;
    // Begins a step; steps run in the order in which they are submitted. The batch must stay as it is until the step
    // has been collected; its page tables are read here. If rows want logits this may wait for the whole step.
    virtual void submit(const Batch& batch) = 0;
    // Waits for the oldest step that was submitted and not collected, of which there must be one.
    virtual void collect(StepResult& result) = 0;
    virtual std::vector<EngineStats::Op> ops() const { return {}; }
    virtual std::string describe() const = 0;
};

constexpr int pages_for(int64_t positions) {
    return int((positions + kPagePositions - 1) / kPagePositions);
}
// Sliding pages that hold the window and n new positions wherever these start: a run of m positions touches at most
// (m - 2) / kPagePositions + 2 pages, and m is window - 1 older keys plus the new ones.
constexpr int sliding_pages_needed(int sliding_window, int n) {
    return (sliding_window + n - 3 + kPagePositions) / kPagePositions + 1;
}

// Keys and values of kPagePositions positions, of all layers of one kind or of the other, whichever are more.
int64_t kv_page_bytes(const CommonConfig& config, int64_t element_bytes);
// How many pages and sequences fit into memory_bytes: what `options` asks for, or what there is. Throws Error if not
// one sequence fits.
Capacity plan_capacity(const CommonConfig& config, const EngineOptions& options, int64_t memory_bytes,
                       int64_t element_bytes, int max_batch_tokens, int prefill_chunk);
