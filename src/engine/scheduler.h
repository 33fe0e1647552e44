// scheduler.h: which tokens run in the next step of one replica (continuous batching).
//
// A request joins when there is room for what it is expected to need, and leaves when it is done. Every sequence that
// generates has one token in every step; prompts fill the rest, in chunks that end at fixed positions. Sequences take
// pages as answers grow. If pages run out, the youngest requests are put back and computed again later, to the same
// bits. Steps are planned before it is known what the steps ahead of them sample, so sequences count positions, and an
// id may be "what you sampled last". The scheduler knows only ids, positions and pages, and nothing of devices.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/forecast.h"
#include "engine/job_queue.h"
#include "engine/page_pool.h"
#include "replica.h"

class Scheduler {
  public:
    Scheduler(const CommonConfig& config, const Capacity& capacity);

    // Ends cancelled jobs, then takes jobs from `next` until there is no room, or no job. For a job that can never run
    // it calls on_error.
    void admit(const std::function<bool(QueuedJob&)>& next);
    bool idle() const { return active_.empty() && waiting_.empty(); }
    // The next step. It is in flight, and stays where it is, until its result is applied. Null: nothing can run, or not
    // before the result of another step is applied.
    const Batch* plan();
    int steps_in_flight() const { return int(steps_.size()); }
    // Applies what the oldest step in flight sampled, and the log-probabilities of that (rows; nothing if no row wants
    // any). Calls on_done for jobs that are done; their pages are free once no step in flight has tokens of theirs.
    void apply(const std::vector<int>& sampled, const std::vector<TokenLogprobs>& logprobs = {});
    // Hands out all jobs that are not done, after a step failed or while one does not end. The scheduler cannot be used
    // any more. Steps from plan() stay where they are, and no longer call jobs.
    std::vector<QueuedJob> give_up();

    int in_flight() const { return int(active_.size()); }  // requests
    int pages_in_use() const { return pool_.n_pages() - pool_.n_free(); }
    // About the step of the last apply(): its tokens, how many of them were prompts', and how many sequences got a
    // token.
    int rows() const { return rows_; }
    int prompt_tokens() const { return prompt_tokens_; }
    int new_tokens() const { return new_tokens_; }
    // Tokens of prompts found in the cache so far.
    int64_t reused_tokens() const { return n_reused_; }
    // Requests put back so far.
    int64_t n_put_back() const { return n_put_back_; }

  private:
    struct Sequence {
        std::unique_ptr<Job> job;  // null: over
        int64_t number = 0;        // the older, the smaller
        PageTable pages;
        int slot = 0;
        int max_new = 0;
        std::vector<int> ids;  // the prompt and what has been generated
        int n_prompt = 0;
        int n_given = 0;            // ids that were there when it was admitted: they are read in chunks
        int fed = 0;                // positions in the cache, or on their way there
        int stored = 0;             // positions in the cache
        bool found_before = false;  // blocks were found in the cache before, and its job was told
        int n_found = 0;            // blocks of the prompt that were found in the cache when it was admitted
        int n_shared = 0;           // blocks that it can have from an older request whose prompt is being read
        int64_t shared_with = 0;    // the number of that request
        std::vector<int> parts;     // after how many blocks other prompts part from this one
        bool begun = false;         // has been in a step since it was admitted
        bool put_back = false;      // will wait again, once no step in flight has tokens of it
        int n_awaited = 0;          // tokens that steps in flight will sample for it
        int n_void = 0;             // how many of those were drawn from too many tokens, and are drawn again
        int n_steps = 0;            // steps in flight that have tokens of it
        int64_t last_step = 0;      // the number of the last step that samples for it
        int logits_given = 0;       // positions of the prompt whose logits the job has got
        int not_finite_at = -1;     // the first position whose logits are not finite; -1: none
        bool in_prompt() const { return fed < n_given; }
        int length() const { return int(ids.size()) + n_awaited; }
        bool reads() const { return job && !put_back && in_prompt(); }
        bool decodes() const {
            return job && !put_back && n_void == 0 && !in_prompt() && length() < n_prompt + max_new;
        }
        // Whether the host draws its next token, for which it must know the one before.
        bool draws_on_host() const { return !job->sampling.is_plain() || job->allowed(); }
    };
    struct Step {
        Batch batch;
        std::vector<Sequence*> sequences;  // of batch.seqs
        int prompt_tokens = 0;
        int n_logit_rows = 0;  // rows that take logits
    };

    std::unique_ptr<Sequence> accept(QueuedJob queued) const;
    int64_t most_positions() const;
    int n_left(const Sequence& sequence) const;
    Forecast::Request expected(const Sequence& sequence) const;
    bool has_room(const Forecast& forecast, const Sequence& sequence) const;
    void activate(std::unique_ptr<Sequence> sequence);
    int most_found(const Sequence& sequence) const;
    void share_prefix(Sequence& sequence) const;
    bool waits_for_prefix(const Sequence& sequence) const;
    void find_prefix(Sequence& sequence);
    void keep(const Sequence& sequence);
    void drop_passed(Sequence& sequence);
    bool grow(Sequence& sequence, int n);
    void make_room(const Sequence& sequence, int n);
    void release(Sequence& sequence);
    void end_cancelled();
    void release_ended();
    void add_tokens(Step& step, Sequence& sequence, int n) const;
    void add_row(Step& step, const Sequence& sequence, int pos, bool sample, bool want_logits) const;
    bool has_logit_room(const Step& step, const Sequence& sequence) const;
    void add_decoding(Step& step);
    void add_prompts(Step& step);
    void logits(const Step& step, int row, const float* logits) const;
    void end(Sequence& sequence, Finish finish);
    static void end_not_finite(Sequence& sequence, int pos);
    void deliver(Sequence& sequence, int token, const TokenLogprobs* logprobs);

    const CommonConfig& config_;
    const Capacity capacity_;
    const bool slides_;  // some layers slide
    PagePool pool_;
    std::vector<int> free_slots_;
    std::vector<std::unique_ptr<Sequence>> active_;  // the oldest first
    // Those put back, the oldest first; and at most one that has not run yet.
    std::deque<std::unique_ptr<Sequence>> waiting_;
    bool full_ = false;       // there was no room for the first of them, and nothing was freed since
    std::deque<Step> steps_;  // in flight, oldest first
    // Held to touch jobs while a step runs: the replica's thread hands out logits to them, and another may give them
    // up.
    mutable std::mutex running_;
    int64_t n_planned_ = 0;
    int rows_ = 0, prompt_tokens_ = 0, new_tokens_ = 0;
    int64_t n_accepted_ = 0, n_put_back_ = 0, n_reused_ = 0;
    int n_ended_ = 0;           // answers, up to a number, whose length nobody knew beforehand
    double answer_length_ = 0;  // the mean length of the last of them, in tokens
};
