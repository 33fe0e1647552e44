// scheduler.h: which tokens run in the next step of one replica. Continuous batching: a request joins as soon as there
// is room for all of it and leaves when it is done; every sequence that generates has one token in every step, and
// prompts fill what is left, in chunks that end at fixed positions. No device word in here: it deals in ids, positions
// and pages.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "engine/job_queue.h"
#include "replica.h"

class Scheduler {
  public:
    Scheduler(const Config& config, const Capacity& capacity);

    // Ends cancelled jobs, then takes jobs from `next` until there is no room or it has none; a job that can never run
    // gets its on_error.
    void admit(const std::function<bool(QueuedJob&)>& next);
    bool idle() const { return active_.empty() && !waiting_; }
    // Tokens for the next step; not empty unless idle(). Valid until the next call.
    const Batch& plan();
    // What the step sampled (rows), to be called after each plan(). Finished jobs get on_done and free their pages.
    void apply(const std::vector<int>& sampled);
    // A row's logits, while the step runs.
    void logits(int row, const float* logits);
    // Everything that is not done, after a step that failed; the scheduler is of no use any more.
    std::vector<QueuedJob> give_up();

    // Of the batch that plan() gave.
    int prompt_tokens() const { return prompt_tokens_; }
    // Sequences that got a token in the last apply().
    int new_tokens() const { return new_tokens_; }

  private:
    struct Sequence {
        std::unique_ptr<Job> job;  // null: over
        PageTable pages;
        int slot = 0;
        int max_new = 0;
        std::vector<int> ids;  // the prompt and what has been generated
        int n_prompt = 0;
        int n_given = 0;         // ids that were there when it came: they are read in chunks
        int fed = 0;             // positions in the cache
        int logits_given = 0;    // positions of the prompt
        int not_finite_at = -1;  // the first position with such logits, if there is one
        bool in_prompt() const { return fed < n_given; }
    };

    std::unique_ptr<Sequence> accept(QueuedJob queued) const;
    bool take_pages(Sequence& sequence);
    void release(const Sequence& sequence);
    void end_cancelled();
    void release_ended();
    void add_tokens(Sequence& sequence, int n);
    static void end(Sequence& sequence, Finish finish);
    static void end_not_finite(Sequence& sequence, int pos);
    static void deliver(Sequence& sequence, int token);

    const Config& config_;
    const Capacity capacity_;
    std::vector<int> free_full_, free_ring_, free_slots_;
    std::vector<std::unique_ptr<Sequence>> active_;  // in order of arrival
    std::unique_ptr<Sequence> waiting_;              // the next to run, when its pages are free
    Batch batch_;
    std::vector<Sequence*> batch_sequences_;  // of batch_.seqs
    int prompt_tokens_ = 0, new_tokens_ = 0;
};
