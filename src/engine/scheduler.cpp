// scheduler.cpp: admission by pages. A request gets all the pages that it can ever need before its first step, so nothing
// is preempted and nothing runs out of memory half-way.
#include "engine/scheduler.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <numeric>

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
std::unique_ptr<Scheduler::Sequence> Scheduler::accept(std::unique_ptr<Job> job) const {
    const auto refuse = [&](const std::string& why) {
        job->on_error(why);
        return nullptr;
    };
    const int length = int(job->prompt.size());
    if (length == 0) return refuse("the prompt is empty");
    if (length > config_.max_context)
        return refuse(fmt::format("the prompt has {} tokens, the model's context {}", length, config_.max_context));
    for (size_t i = 0; i < job->prompt.size(); i++)
        if (job->prompt[i] < 0 || job->prompt[i] >= config_.vocab_size)
            return refuse(fmt::format("prompt token {} has id {}; ids go from 0 to {}", i, job->prompt[i],
                                      config_.vocab_size - 1));

    auto sequence = std::make_unique<Sequence>();
    sequence->max_new = std::clamp(job->max_new_tokens, 0, config_.max_context - length);
    if (sequence->max_new == 0 && !job->want_logits) {
        job->on_done(Finish::kLength);
        return nullptr;
    }
    const int pages = pages_for(length + sequence->max_new);
    if (pages > capacity_.n_full_pages)
        return refuse(fmt::format("the request needs KV cache for {} positions, and there is room for {}",
                                  length + sequence->max_new, capacity_.n_full_pages * kPagePositions));
    sequence->job = std::move(job);
    return sequence;
}

bool Scheduler::take_pages(Sequence& sequence) {
    const int n_full = pages_for(int(sequence.job->prompt.size()) + sequence.max_new);
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

void Scheduler::admit(const std::function<std::unique_ptr<Job>()>& next) {
    while (!free_slots_.empty()) {
        while (!waiting_) {
            std::unique_ptr<Job> job = next();
            if (!job) return;
            waiting_ = accept(std::move(job));
        }
        if (!take_pages(*waiting_)) return;  // in order: no later, smaller request overtakes it
        active_.push_back(std::move(waiting_));
    }
}

void Scheduler::add_tokens(Sequence& sequence, int n) {
    const int seq = int(batch_.seqs.size());
    batch_.seqs.push_back({sequence.slot, &sequence.pages});
    batch_sequences_.push_back(&sequence);
    const std::vector<int>& prompt = sequence.job->prompt;
    for (int i = 0; i < n; i++) {
        const int pos = sequence.fed + i;
        const bool in_prompt = pos < int(prompt.size());
        const bool sample = pos + 1 >= int(prompt.size()) && sequence.max_new > 0;
        const bool want_logits = in_prompt && sequence.job->want_logits;
        if (sample || want_logits)
            batch_.rows.push_back({int(batch_.tokens.size()), sample, want_logits, sequence.job->sampling});
        batch_.tokens.push_back({in_prompt ? prompt[size_t(pos)] : sequence.last, pos, seq});
    }
}

const Batch& Scheduler::plan() {
    batch_ = {};
    batch_sequences_.clear();
    prompt_tokens_ = 0;
    for (const auto& sequence : active_)
        if (!sequence->in_prompt()) add_tokens(*sequence, 1);
    for (const auto& sequence : active_) {
        if (!sequence->in_prompt()) continue;
        // To the next multiple of the chunk: where a prompt is cut depends on nothing but positions.
        const int left = int(sequence->job->prompt.size()) - sequence->fed;
        const int n = std::min(left, capacity_.prefill_chunk - sequence->fed % capacity_.prefill_chunk);
        if (int(batch_.tokens.size()) + n > capacity_.max_batch_tokens) continue;
        add_tokens(*sequence, n);
        prompt_tokens_ += n;
    }
    assert(!batch_.tokens.empty() || idle());
    return batch_;
}

void Scheduler::logits(int row, const float* logits) {
    const Batch::Token& token = batch_.tokens[size_t(batch_.rows[size_t(row)].token)];
    batch_sequences_[size_t(token.seq)]->job->on_logits(token.pos, logits);
}

bool Scheduler::deliver(Sequence& sequence, int token) {
    Job& job = *sequence.job;
    sequence.last = token;
    sequence.generated++;
    new_tokens_++;
    const bool more = job.on_token(token);
    const bool stop = !more || std::find(job.stop_ids.begin(), job.stop_ids.end(), token) != job.stop_ids.end();
    if (!stop && sequence.generated < sequence.max_new) return false;
    job.on_done(stop ? Finish::kStop : Finish::kLength);
    return true;
}

void Scheduler::apply(const std::vector<int>& sampled) {
    new_tokens_ = 0;
    for (const Batch::Token& token : batch_.tokens) batch_sequences_[size_t(token.seq)]->fed++;
    std::vector<Sequence*> done;
    for (size_t row = 0; row < batch_.rows.size(); row++) {
        if (!batch_.rows[row].sample) continue;
        Sequence* sequence = batch_sequences_[size_t(batch_.tokens[size_t(batch_.rows[row].token)].seq)];
        if (deliver(*sequence, sampled[row])) done.push_back(sequence);
    }
    for (const auto& sequence : active_)  // scored, with nothing to generate
        if (sequence->max_new == 0 && !sequence->in_prompt()) {
            sequence->job->on_done(Finish::kLength);
            done.push_back(sequence.get());
        }
    const auto over = [&](const std::unique_ptr<Sequence>& s) {
        return std::find(done.begin(), done.end(), s.get()) != done.end();
    };
    for (Sequence* sequence : done) release(*sequence);
    active_.erase(std::remove_if(active_.begin(), active_.end(), over), active_.end());
}
