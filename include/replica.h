// replica.h: one copy of the weights, as the scheduler drives it: a flat batch of tokens in, one sampled token out for
// every row that wants one. The next step may be submitted while one runs, before the host knows what that one samples.
// The CPU and GPUs have one implementation each.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine.h"
#include "kv_page.h"

// The KV cache is one pool of pages. A page holds kPagePositions positions for all full layers or for all sliding ones;
// the pool is shared because nobody knows ahead how long requests will be, and so how many of each kind are needed.
struct PageTable {
    std::vector<int> full;     // position p lies in full[p / kPagePositions]
    std::vector<int> sliding;  // and in sliding[p / kPagePositions - first_sliding_page], while a window sees it
    int first_sliding_page = 0;
};

// What a row's token follows.
struct TextSoFar {
    const int* ids = nullptr;  // (position + 1)
    int n_prompt = 0;          // how many of them are the prompt's
};

// In place of a token's id: the token that its slot's last row sampled, in a step that may not have been collected yet.
constexpr int kOwnSample = -1;

// One step's work: T tokens, each with its sequence and position; a sequence's tokens are consecutive and ascending.
struct Batch {
    struct Token {
        int id;   // or kOwnSample
        int pos;  // absolute
        int seq;  // index into seqs
    };
    struct Seq {
        int slot;  // in [0, max_sequences); belongs to one request while that lasts
        const PageTable* pages;
        bool begins = false;  // this sequence's first step in this slot
    };
    // A token whose logits are needed; rows stand in the order of their tokens.
    struct Row {
        int token;  // index into tokens
        bool sample;
        bool want_logits;  // hand them to on_logits
        Sampling sampling;
        TextSoFar text = {};  // the sequence up to the token, for penalties

        // Whether the host needs the logits: to draw the token, or to say how likely it is.
        bool takes_logits() const {
            return sample && (sampling.n_logprobs >= 0 || (!sampling.is_plain() && !sampling.is_forced()));
        }
    };
    std::vector<Token> tokens;
    std::vector<Seq> seqs;
    std::vector<Row> rows;
    // Logits (V) of rows[row], valid during the call, in ascending order of rows; from submit() or collect().
    std::function<void(int row, const float* logits)> on_logits;
    // May be empty. Asked in the middle of a long step. True: nobody wants its results any more, so it may end without
    // them.
    std::function<bool()> unwanted;
};

struct StepResult {
    std::vector<int> sampled;  // (rows) the tokens drawn, or kNotFinite (sampler.h); -1 where Row::sample is false
    std::vector<TokenLogprobs> logprobs;  // (rows), or nothing if no row wants any
    int64_t bytes = 0;                    // of weights and KV cache that the step read
    // How long the step kept the device busy, and how long that was idle between the step before and this one; for a
    // chain, averages over its devices. Zeros if nobody measures.
    double busy_s = 0, idle_s = 0;
};

// What a replica can take.
struct Capacity {
    int max_sequences = 0;
    int max_batch_tokens = 0;
    int prefill_chunk = 0;    // most of a prompt in a step; it is cut at multiples of this, or of a quarter
    int n_pages = 0;          // in the pool
    bool keeps_pages = true;  // a page keeps its content, for other slots too, until it is used for something else
    // Most tokens of all prompts in a step that also decodes, so that users wait little for the next token; at least a
    // chunk.
    int max_prefill_tokens_beside_decode = 0;
    int steps_in_flight = 1;  // most steps that are submitted and not collected
    // The first step that may read a token as kOwnSample is this many steps after the one that samples it. 1: every
    // step can hold every sequence. In a chain of n devices, n sets of sequences take turns.
    int steps_apart = 1;
    double step_limit_s = 0;  // a call that takes longer will never end; 0: that cannot happen
    int max_logit_rows = std::numeric_limits<int>::max();  // rows of a step that take logits, at most
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
// Sliding pages that are enough for the window and n new positions, wherever these start: a run of m positions touches
// at most (m - 2) / kPagePositions + 2 pages, and m is window - 1 older keys plus the new ones.
constexpr int sliding_pages_needed(int sliding_window, int n) {
    return (sliding_window + n - 3 + kPagePositions) / kPagePositions + 1;
}

// Keys and values of kPagePositions positions, of all layers of one kind or of the other, whichever are more.
int64_t kv_page_bytes(const CommonConfig& config, int64_t element_bytes);
// How many pages and sequences fit into memory_bytes, at most what `options` asks for. Throws Error if not even one
// sequence fits.
Capacity plan_capacity(const CommonConfig& config, const EngineOptions& options, int64_t memory_bytes,
                       int64_t element_bytes, int max_batch_tokens, int prefill_chunk);
