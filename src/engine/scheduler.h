// scheduler.h: which tokens run in the next step of one replica. Continuous batching: a request joins as soon as there
// is room for all of it and leaves when it is done; every sequence that generates has one token in every step, and
// prompts fill what is left, in chunks that end at fixed positions. Steps are planned before it is known what those
// ahead of them sampled: sequences count positions, and an id may be "what you sampled last". No device word in here:
// it deals in ids, positions and pages.
#pragma once
#include <deque>
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
    // The next step, which is then in flight until its result is applied; it stays where it is until then. Null:
    // nothing can run before that of another step is known, or at all.
    const Batch* plan();
    int steps_in_flight() const { return int(steps_.size()); }
    // What the oldest step in flight sampled (rows). Finished jobs get on_done; their pages are free as soon as no step
    // in flight holds tokens of theirs.
    void apply(const std::vector<int>& sampled);
    // Everything that is not done, after a step that failed; the scheduler is of no use any more.
    std::vector<QueuedJob> give_up();

    // Of the step of the last apply(): its prompts' tokens, and the sequences that got a token.
    int prompt_tokens() const { return prompt_tokens_; }
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
        int fed = 0;             // positions in the cache, or on their way there
        int n_awaited = 0;       // tokens that steps in flight sample
        int n_steps = 0;         // in flight that hold tokens of it
        int last_step = 0;       // the number of the last one that samples
        int logits_given = 0;    // positions of the prompt
        int not_finite_at = -1;  // the first position with such logits, if there is one
        bool in_prompt() const { return fed < n_given; }
        int length() const { return int(ids.size()) + n_awaited; }
        bool decodes() const { return job && !in_prompt() && length() < n_prompt + max_new; }
    };
    struct Step {
        Batch batch;
        std::vector<Sequence*> sequences;  // of batch.seqs
        int prompt_tokens = 0;
    };

    std::unique_ptr<Sequence> accept(QueuedJob queued) const;
    bool take_pages(Sequence& sequence);
    void release(const Sequence& sequence);
    void end_cancelled();
    void release_ended();
    void add_tokens(Step& step, Sequence& sequence, int n) const;
    void add_decoding(Step& step) const;
    void add_prompts(Step& step) const;
    void logits(const Step& step, int row, const float* logits) const;
    static void end(Sequence& sequence, Finish finish);
    static void end_not_finite(Sequence& sequence, int pos);
    static void deliver(Sequence& sequence, int token);

    const Config& config_;
    const Capacity capacity_;
    std::vector<int> free_full_, free_ring_, free_slots_;
    std::vector<std::unique_ptr<Sequence>> active_;  // in order of arrival
    std::unique_ptr<Sequence> waiting_;              // the next to run, when its pages are free
    std::deque<Step> steps_;                         // in flight, oldest first
    int n_planned_ = 0;
    int prompt_tokens_ = 0, new_tokens_ = 0;
};
