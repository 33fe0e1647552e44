// scheduler.cpp: admission by pages. A request gets all the pages that it can ever need before its first step, so
// nothing is preempted and nothing runs out of memory half-way.
#include "engine/scheduler.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "sampler.h"

namespace {

// n, n - 1, ..., 0: taken from the back, so the smallest id comes first.
std::vector<int> all_ids(int n) {
    std::vector<int> ids(static_cast<size_t>(n));
    std::iota(ids.rbegin(), ids.rend(), 0);
    return ids;
}

void take(std::vector<int>& free_ids, std::vector<int>& out, int n) {
    out.assign(free_ids.rbegin(), free_ids.rbegin() + n);
    free_ids.resize(free_ids.size() - static_cast<size_t>(n));
}

int pages_for(int positions) {
    return (positions + kPagePositions - 1) / kPagePositions;
}

}  // namespace

Scheduler::Scheduler(const Config& config, const Capacity& capacity)
    : config_(config),
      capacity_(capacity),
      free_full_(all_ids(capacity.n_full_pages)),
      free_ring_(all_ids(capacity.n_ring_pages)),
      free_slots_(all_ids(capacity.max_sequences)) {}

// Checks a job, and answers those that need no step. Null: the job is over.
std::unique_ptr<Scheduler::Sequence> Scheduler::accept(QueuedJob queued) const {
    Job& job = *queued.job;
    const auto refuse = [&](const std::string& why) {
        job.on_error(why);
        return nullptr;
    };
    const int length = int(job.prompt.size());
    if (length == 0) return refuse("the prompt is empty");
    if (length > config_.max_context)
        return refuse(fmt::format("the prompt has {} tokens, the model's context {}", length, config_.max_context));
    for (size_t i = 0; i < job.prompt.size(); i++)
        if (job.prompt[i] < 0 || job.prompt[i] >= config_.vocab_size)
            return refuse(fmt::format("prompt token {} has id {}; ids go from 0 to {}", i, job.prompt[i],
                                      config_.vocab_size - 1));

    auto sequence = std::make_unique<Sequence>();
    sequence->max_new = std::clamp(job.max_new_tokens, 0, config_.max_context - length);
    if (sequence->max_new == 0 && !job.want_logits) {
        job.on_done(Finish::kLength);
        return nullptr;
    }
    // Whoever sets no limit may mean the whole context, where there is memory for less: the answer ends there. What
    // another replica has given of it must fit, though, and one token more.
    const int64_t room = int64_t(capacity_.n_full_pages) * kPagePositions;
    const int64_t least = int64_t(length) + std::min(sequence->max_new, int(queued.answer.size()) + 1);
    if (least > room)
        return refuse(
            fmt::format("the request needs KV cache for {} positions, and there is room for {}", least, room));
    sequence->max_new = int(std::min<int64_t>(sequence->max_new, room - length));
    sequence->ids = job.prompt;
    sequence->ids.insert(sequence->ids.end(), queued.answer.begin(), queued.answer.end());
    sequence->n_prompt = length;
    sequence->n_given = int(sequence->ids.size());
    sequence->logits_given = queued.logits_given;
    sequence->job = std::move(queued.job);
    return sequence;
}

bool Scheduler::take_pages(Sequence& sequence) {
    const int n_full = pages_for(sequence.n_prompt + sequence.max_new);
    const int n_ring = std::min(n_full, capacity_.ring_pages_per_seq);
    if (free_slots_.empty() || int(free_full_.size()) < n_full || int(free_ring_.size()) < n_ring) return false;
    take(free_full_, sequence.pages.full, n_full);
    take(free_ring_, sequence.pages.ring, n_ring);
    sequence.slot = free_slots_.back();
    free_slots_.pop_back();
    return true;
}

void Scheduler::release(const Sequence& sequence) {
    free_full_.insert(free_full_.end(), sequence.pages.full.rbegin(), sequence.pages.full.rend());
    free_ring_.insert(free_ring_.end(), sequence.pages.ring.rbegin(), sequence.pages.ring.rend());
    free_slots_.push_back(sequence.slot);
}

void Scheduler::end(Sequence& sequence, Finish finish) {
    sequence.job->on_done(finish);
    sequence.job.reset();
}

void Scheduler::release_ended() {
    const auto over = [&](const std::unique_ptr<Sequence>& sequence) {
        if (sequence->job || sequence->n_steps > 0) return false;
        release(*sequence);
        return true;
    };
    active_.erase(std::remove_if(active_.begin(), active_.end(), over), active_.end());
}

void Scheduler::end_cancelled() {
    for (const auto& sequence : active_)
        if (sequence->job && sequence->job->cancelled()) end(*sequence, Finish::kCancelled);
    release_ended();
    if (waiting_ && waiting_->job->cancelled()) {
        end(*waiting_, Finish::kCancelled);
        waiting_.reset();
    }
}

void Scheduler::admit(const std::function<bool(QueuedJob&)>& next) {
    end_cancelled();
    while (!free_slots_.empty()) {
        while (!waiting_) {
            QueuedJob queued;
            if (!next(queued)) return;
            if (queued.job->cancelled())
                queued.job->on_done(Finish::kCancelled);
            else
                waiting_ = accept(std::move(queued));
        }
        if (!take_pages(*waiting_)) return;  // in order: no later, smaller request overtakes it
        active_.push_back(std::move(waiting_));
    }
}

std::vector<QueuedJob> Scheduler::give_up() {
    std::vector<QueuedJob> left;
    const auto add = [&](Sequence& s) {
        if (s.job) left.push_back({std::move(s.job), {s.ids.begin() + s.n_prompt, s.ids.end()}, s.logits_given});
    };
    for (const auto& sequence : active_) add(*sequence);
    if (waiting_) add(*waiting_);
    active_.clear();
    waiting_.reset();
    return left;
}

void Scheduler::add_tokens(Step& step, Sequence& sequence, int n) const {
    Batch& batch = step.batch;
    const int seq = int(batch.seqs.size());
    batch.seqs.push_back({sequence.slot, &sequence.pages});
    step.sequences.push_back(&sequence);
    sequence.n_steps++;
    for (const int end = sequence.fed + n; sequence.fed < end; sequence.fed++) {
        const int pos = sequence.fed;
        const bool sample = pos + 1 == sequence.length() && sequence.max_new > 0;
        const bool want_logits = sequence.job->want_logits && pos < sequence.n_prompt && pos >= sequence.logits_given;
        const bool known = pos < int(sequence.ids.size());
        if (sample || want_logits)
            batch.rows.push_back({int(batch.tokens.size()), sample, want_logits, sequence.job->sampling});
        batch.tokens.push_back({known ? sequence.ids[size_t(pos)] : kOwnSample, pos, seq});
        if (!sample) continue;
        sequence.n_awaited++;
        sequence.last_step = n_planned_;
    }
}

// One token of each sequence that generates; where these must take turns, an equal share of them.
void Scheduler::add_decoding(Step& step) const {
    const auto n = std::count_if(active_.begin(), active_.end(), [](const auto& s) { return s->decodes(); });
    const auto share = (n + capacity_.steps_apart - 1) / capacity_.steps_apart;
    for (const auto& sequence : active_) {
        if (!sequence->decodes() || int64_t(step.batch.seqs.size()) >= share) continue;
        const bool known = sequence->n_awaited == 0;
        if (known || n_planned_ - sequence->last_step >= capacity_.steps_apart) add_tokens(step, *sequence, 1);
    }
}

void Scheduler::add_prompts(Step& step) const {
    for (const auto& sequence : active_) {
        if (!sequence->job || !sequence->in_prompt()) continue;
        // To the next multiple of the chunk: where a prompt is cut depends on nothing but positions.
        const int left = sequence->n_given - sequence->fed;
        const int n = std::min(left, capacity_.prefill_chunk - sequence->fed % capacity_.prefill_chunk);
        if (int(step.batch.tokens.size()) + n > capacity_.max_batch_tokens) continue;
        add_tokens(step, *sequence, n);
        step.prompt_tokens += n;
    }
}

const Batch* Scheduler::plan() {
    Step& step = steps_.emplace_back();
    add_decoding(step);
    add_prompts(step);
    if (step.batch.tokens.empty()) {
        steps_.pop_back();
        return nullptr;
    }
    n_planned_++;
    step.batch.on_logits = [this, &step](int row, const float* row_logits) { logits(step, row, row_logits); };
    step.batch.unwanted = [&step] {
        return std::all_of(step.sequences.begin(), step.sequences.end(),
                           [](const Sequence* sequence) { return !sequence->job || sequence->job->cancelled(); });
    };
    return &step.batch;
}

void Scheduler::logits(const Step& step, int row, const float* logits) const {
    const Batch::Token& token = step.batch.tokens[size_t(step.batch.rows[size_t(row)].token)];
    Sequence& sequence = *step.sequences[size_t(token.seq)];
    if (!sequence.job || sequence.not_finite_at >= 0) return;
    if (most_likely(logits, config_.vocab_size) == kNotFinite) {
        sequence.not_finite_at = token.pos;
        return;
    }
    sequence.job->on_logits(token.pos, logits);
    sequence.logits_given = token.pos + 1;
}

void Scheduler::end_not_finite(Sequence& sequence, int pos) {
    sequence.job->on_error(
        fmt::format("position {}: the logits are not finite numbers; is the model's file damaged?", pos));
    sequence.job.reset();
}

// Gives the job its token, and ends it if that was the last. There is none if the step ended early.
void Scheduler::deliver(Sequence& sequence, int token) {
    Job& job = *sequence.job;
    if (job.cancelled()) return end(sequence, Finish::kCancelled);
    sequence.ids.push_back(token);
    const bool more = job.on_token(token);
    if (!more || std::find(job.stop_ids.begin(), job.stop_ids.end(), token) != job.stop_ids.end())
        end(sequence, Finish::kStop);
    else if (int(sequence.ids.size()) == sequence.n_prompt + sequence.max_new)
        end(sequence, Finish::kLength);
}

void Scheduler::apply(const std::vector<int>& sampled) {
    const Step& step = steps_.front();
    prompt_tokens_ = step.prompt_tokens;
    new_tokens_ = 0;
    for (Sequence* const sequence : step.sequences) sequence->n_steps--;
    for (size_t row = 0; row < step.batch.rows.size(); row++) {
        const Batch::Token& token = step.batch.tokens[size_t(step.batch.rows[row].token)];
        Sequence& sequence = *step.sequences[size_t(token.seq)];
        if (step.batch.rows[row].sample) sequence.n_awaited--;
        if (!sequence.job) continue;
        if (sequence.not_finite_at >= 0 || sampled[row] == kNotFinite) {
            end_not_finite(sequence, sequence.not_finite_at >= 0 ? sequence.not_finite_at : token.pos);
        } else if (step.batch.rows[row].sample) {
            deliver(sequence, sampled[row]);
            new_tokens_++;
        }
    }
    for (const auto& sequence : active_) {  // scored, with nothing to generate
        if (!sequence->job || sequence->max_new > 0 || sequence->in_prompt() || sequence->n_steps > 0) continue;
        end(*sequence, sequence->job->cancelled() ? Finish::kCancelled : Finish::kLength);
    }
    steps_.pop_front();
    release_ended();
}
