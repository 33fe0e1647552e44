// scheduler.cpp: admission by what requests are expected to need; pages by what they turn out to need.
#include "engine/scheduler.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

#include "sampler.h"

namespace {

// Keeps the oldest first.
template <class Sequences, class Pointer>
void insert_by_age(Sequences& sequences, Pointer sequence) {
    const auto older = [](const Pointer& a, const Pointer& b) { return a->number < b->number; };
    sequences.insert(std::upper_bound(sequences.begin(), sequences.end(), sequence, older), std::move(sequence));
}

void rule_out(Sampling& sampling, const std::vector<int>& ids) {
    assert(ids.size() <= kMaxRuledOut);
    sampling.n_ruled_out = int(ids.size());
    std::copy(ids.begin(), ids.end(), sampling.ruled_out);
}

}  // namespace

Scheduler::Scheduler(const CommonConfig& config, const Capacity& capacity)
    : config_(config),
      capacity_(capacity),
      slides_(std::count(config.layer_kind.begin(), config.layer_kind.end(), LayerKind::kSliding) > 0),
      pool_(capacity.n_pages),
      free_slots_(size_t(capacity.max_sequences)) {
    std::iota(free_slots_.rbegin(), free_slots_.rend(), 0);  // descending, as slots are taken from the back
}

// Checks a job. Null: the job is over, because it was refused or needs no step.
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
    // A job without a limit of its own may ask for the whole context when there is memory for less: its answer ends
    // where memory ends. But the part of the answer that another replica has given must fit, and one token more.
    const int64_t room = most_positions();
    const int64_t least = int64_t(length) + std::min(sequence->max_new, int(queued.answer.size()) + 1);
    if (least > room)
        return refuse(
            fmt::format("the request needs KV cache for {} positions, and there is room for {}", least, room));
    sequence->max_new = int(std::min<int64_t>(sequence->max_new, room - length));
    sequence->ids = job.prompt;
    sequence->ids.insert(sequence->ids.end(), queued.answer.begin(), queued.answer.end());
    sequence->n_prompt = length;
    sequence->logits_given = queued.logits_given;
    sequence->job = std::move(queued.job);
    return sequence;
}

// Tokens that the answer is expected to get still. A job without stop ids takes all that it asked for. Others are
// expected to be as long as earlier answers were; one that is longer already, to get a page more.
int Scheduler::n_left(const Sequence& sequence) const {
    const int n_answer = int(sequence.ids.size()) - sequence.n_prompt, most = sequence.max_new - n_answer;
    if (sequence.job->stop_ids.empty()) return most;
    return std::min(most, std::max(int(answer_length_) - n_answer, kPagePositions));
}

Forecast::Request Scheduler::expected(const Sequence& sequence) const {
    const int n = int(sequence.ids.size()), left = n_left(sequence);
    const int sliding = slides_ ? std::min(pages_for(n + left), sliding_pages_needed(config_.sliding_window, 1)) : 0;
    const int shared = std::max(sequence.n_found, sequence.n_shared);  // another request's pages
    return {pages_for(n) + sliding - shared, left};
}

bool Scheduler::has_room(const Forecast& forecast, const Sequence& sequence) const {
    const int chunk = std::min(capacity_.prefill_chunk, int(sequence.ids.size()));
    const int reading = slides_ ? pages_for(chunk) : 0;  // sliding pages of a chunk, freed as the window passes them
    return !free_slots_.empty() &&
           (active_.empty() || forecast.peak_with(expected(sequence)) + reading <= pool_.n_pages());
}

void Scheduler::activate(std::unique_ptr<Sequence> sequence) {
    sequence->n_given = int(sequence->ids.size());
    sequence->slot = free_slots_.back();
    free_slots_.pop_back();
    if (capacity_.keeps_pages) share_prefix(*sequence);
    sequence->job->on_start();
    insert_by_age(active_, std::move(sequence));
}

void Scheduler::end(Sequence& sequence, Finish finish) {
    if (finish != Finish::kCancelled && !sequence.job->stop_ids.empty()) {
        constexpr int kRemembered = 256;
        n_ended_ = std::min(n_ended_ + 1, kRemembered);
        answer_length_ += (double(sequence.ids.size()) - sequence.n_prompt - answer_length_) / n_ended_;
    }
    if (finish == Finish::kCancelled) sequence.stored = 0;  // its last step may have ended early
    sequence.job->on_done(finish);
    sequence.job.reset();
}

void Scheduler::release_ended() {
    for (size_t i = active_.size(); i-- > 0;) {
        std::unique_ptr<Sequence>& sequence = active_[i];
        if ((sequence->job && !sequence->put_back) || sequence->n_steps > 0) continue;
        release(*sequence);
        if (!sequence->job) {
            sequence.reset();
            continue;
        }
        insert_by_age(waiting_, std::move(sequence));
        n_put_back_++;
    }
    active_.erase(std::remove(active_.begin(), active_.end(), nullptr), active_.end());
}

void Scheduler::end_cancelled() {
    for (const auto& sequence : active_)
        if (sequence->job && sequence->job->cancelled()) end(*sequence, Finish::kCancelled);
    release_ended();
    const auto over = [&](const std::unique_ptr<Sequence>& sequence) {
        if (!sequence->job->cancelled()) return false;
        end(*sequence, Finish::kCancelled);
        full_ = false;
        return true;
    };
    waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), over), waiting_.end());
}

void Scheduler::admit(const std::function<bool(QueuedJob&)>& next) {
    end_cancelled();
    if (full_ || free_slots_.empty()) return;
    std::vector<Forecast::Request> running;
    for (const auto& sequence : active_)
        if (sequence->job) running.push_back(expected(*sequence));
    Forecast forecast(std::move(running));
    for (;;) {
        while (waiting_.empty()) {
            QueuedJob queued;
            if (free_slots_.empty() || !next(queued)) return;
            if (queued.job->cancelled())
                queued.job->on_done(Finish::kCancelled);
            else if (std::unique_ptr<Sequence> sequence = accept(std::move(queued))) {
                sequence->number = n_accepted_++;
                waiting_.push_back(std::move(sequence));
            }
        }
        // The first waits for room; no later, smaller request overtakes it.
        if (!has_room(forecast, *waiting_.front())) break;
        forecast.add(expected(*waiting_.front()));
        activate(std::move(waiting_.front()));
        waiting_.pop_front();
    }
    full_ = true;
}

std::vector<QueuedJob> Scheduler::give_up() {
    const std::lock_guard<std::mutex> lock(running_);
    std::vector<QueuedJob> left;
    const auto add = [&](Sequence& s) {
        if (s.job) left.push_back({std::move(s.job), {s.ids.begin() + s.n_prompt, s.ids.end()}, s.logits_given});
    };
    for (const auto& sequence : active_) add(*sequence);
    for (const auto& sequence : waiting_) add(*sequence);
    return left;
}

// Whether one more of the step's rows may take logits, if this sequence's next one does.
bool Scheduler::has_logit_room(const Step& step, const Sequence& sequence) const {
    if (step.n_logit_rows < capacity_.max_logit_rows) return true;
    Sampling sampling = sequence.job->sampling;
    sampling.allowed = sequence.job->allowed();
    return !Batch::Row{0, true, false, sampling}.takes_logits();
}

void Scheduler::add_row(Step& step, const Sequence& sequence, int pos, bool sample, bool want_logits) const {
    step.batch.rows.push_back({int(step.batch.tokens.size()), sample, want_logits, sequence.job->sampling});
    if (!sample) return;
    Batch::Row& row = step.batch.rows.back();
    row.sampling.allowed = sequence.job->allowed();
    if (row.sampling.needs_text()) row.text = {sequence.ids.data(), sequence.n_prompt};
    const bool is_too_short = pos + 1 - sequence.n_prompt < sequence.job->min_new_tokens;
    if (is_too_short || !sequence.job->may_end()) rule_out(row.sampling, sequence.job->stop_ids);
    step.n_logit_rows += row.takes_logits();
}

void Scheduler::add_tokens(Step& step, Sequence& sequence, int n) const {
    Batch& batch = step.batch;
    const int seq = int(batch.seqs.size());
    batch.seqs.push_back({sequence.slot, &sequence.pages, !std::exchange(sequence.begun, true)});
    step.sequences.push_back(&sequence);
    sequence.n_steps++;
    for (const int end = sequence.fed + n; sequence.fed < end; sequence.fed++) {
        const int pos = sequence.fed;
        const bool sample = pos + 1 == sequence.length() && sequence.max_new > 0;
        const bool want_logits = sequence.job->want_logits && pos < sequence.n_prompt && pos >= sequence.logits_given;
        const bool known = pos < int(sequence.ids.size());
        if (sample || want_logits) add_row(step, sequence, pos, sample, want_logits);
        batch.tokens.push_back({known ? sequence.ids[size_t(pos)] : kOwnSample, pos, seq});
        if (!sample) continue;
        sequence.n_awaited++;
        sequence.last_step = n_planned_;
    }
}

// Adds one token of each sequence that generates, or of an equal share of them where sequences take turns.
void Scheduler::add_decoding(Step& step) {
    const auto n = std::count_if(active_.begin(), active_.end(), [](const auto& s) { return s->decodes(); });
    const auto share = (n + capacity_.steps_apart - 1) / capacity_.steps_apart;
    for (const auto& sequence : active_) {
        if (!sequence->decodes() || int64_t(step.batch.seqs.size()) >= share) continue;
        const bool known = sequence->n_awaited == 0;
        if (!known && sequence->draws_on_host()) continue;
        if (!has_logit_room(step, *sequence)) continue;
        if (!known && n_planned_ - sequence->last_step < capacity_.steps_apart) continue;
        if (grow(*sequence, 1)) add_tokens(step, *sequence, 1);
    }
}

void Scheduler::add_prompts(Step& step) {
    const int n_decoding = int(step.batch.tokens.size());
    int room = capacity_.max_batch_tokens - n_decoding;
    if (n_decoding > 0) room = std::min(room, capacity_.max_prefill_tokens_beside_decode);
    for (const auto& sequence : active_) {
        if (!sequence->reads() || room == 0 || waits_for_prefix(*sequence)) continue;
        find_prefix(*sequence);
        // Ends at a multiple of the chunk, or of a part of it where the step has no room for the rest.
        const int left = sequence->n_given - sequence->fed, part = std::max(1, capacity_.prefill_chunk / 4);
        int n = std::min(left, capacity_.prefill_chunk - sequence->fed % capacity_.prefill_chunk);
        if (n > room) n = (sequence->fed + room) / part * part - sequence->fed;
        const bool draws = n == left && sequence->max_new > 0;
        if (draws && !has_logit_room(step, *sequence)) continue;
        if (n <= 0 || !grow(*sequence, n)) continue;
        add_tokens(step, *sequence, n);
        step.prompt_tokens += n;
        room -= n;
    }
}

const Batch* Scheduler::plan() {
    Step& step = steps_.emplace_back();
    for (;;) {
        add_decoding(step);
        add_prompts(step);
        if (!step.batch.tokens.empty()) break;
        const int64_t n_put_back = n_put_back_;
        if (steps_.size() == 1) release_ended();  // no step is in flight, so what was just put back can leave now
        if (n_put_back != n_put_back_) continue;
        steps_.pop_back();
        return nullptr;
    }
    n_planned_++;
    step.batch.on_logits = [this, &step](int row, const float* row_logits) { logits(step, row, row_logits); };
    step.batch.unwanted = [this, &step] {
        const std::lock_guard<std::mutex> lock(running_);
        return std::all_of(step.sequences.begin(), step.sequences.end(),
                           [](const Sequence* sequence) { return !sequence->job || sequence->job->cancelled(); });
    };
    return &step.batch;
}

void Scheduler::logits(const Step& step, int row, const float* logits) const {
    const std::lock_guard<std::mutex> lock(running_);
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

// Gives the job its token, and ends the job if that was the last one. A cancelled job's step may have sampled nothing.
void Scheduler::deliver(Sequence& sequence, int token, const TokenLogprobs* logprobs) {
    Job& job = *sequence.job;
    if (job.cancelled()) return end(sequence, Finish::kCancelled);
    sequence.ids.push_back(token);
    if (logprobs) job.on_logprobs(*logprobs);
    const bool more = job.on_token(token);
    if (!more || std::find(job.stop_ids.begin(), job.stop_ids.end(), token) != job.stop_ids.end())
        end(sequence, Finish::kStop);
    else if (int(sequence.ids.size()) == sequence.n_prompt + sequence.max_new)
        end(sequence, Finish::kLength);
    if (!sequence.job || sequence.n_awaited == 0 || !job.allowed()) return;
    // Steps in flight draw from all tokens what comes next. Those draws do not count, and these positions run again.
    sequence.n_void = sequence.n_awaited;
    sequence.fed -= sequence.n_awaited;
}

void Scheduler::apply(const std::vector<int>& sampled, const std::vector<TokenLogprobs>& logprobs) {
    const Step& step = steps_.front();
    rows_ = int(step.batch.tokens.size());
    prompt_tokens_ = step.prompt_tokens;
    new_tokens_ = 0;
    for (Sequence* const sequence : step.sequences) sequence->n_steps--;
    for (const Batch::Token& token : step.batch.tokens)
        if (Sequence& sequence = *step.sequences[size_t(token.seq)]; sequence.n_void == 0)
            sequence.stored = token.pos + 1;
    for (size_t row = 0; row < step.batch.rows.size(); row++) {
        const Batch::Token& token = step.batch.tokens[size_t(step.batch.rows[row].token)];
        Sequence& sequence = *step.sequences[size_t(token.seq)];
        if (step.batch.rows[row].sample) sequence.n_awaited--;
        if (!sequence.job) continue;
        if (sequence.n_void > 0) {
            sequence.n_void--;
        } else if (sequence.not_finite_at >= 0 || sampled[row] == kNotFinite) {
            end_not_finite(sequence, sequence.not_finite_at >= 0 ? sequence.not_finite_at : token.pos);
        } else if (step.batch.rows[row].sample) {
            const bool tells = step.batch.rows[row].sampling.n_logprobs >= 0;
            deliver(sequence, sampled[row], tells ? &logprobs[row] : nullptr);
            new_tokens_++;
        }
    }
    for (const auto& sequence : active_) {  // jobs that want logits and no answer
        if (!sequence->job || sequence->max_new > 0 || sequence->in_prompt() || sequence->n_steps > 0) continue;
        end(*sequence, sequence->job->cancelled() ? Finish::kCancelled : Finish::kLength);
    }
    for (Sequence* const sequence : step.sequences) {
        if (!sequence->job || sequence->job->cancelled()) continue;  // such a step may have ended early
        if (sequence->stored <= sequence->n_given) keep(*sequence);
        drop_passed(*sequence);
    }
    steps_.pop_front();
    release_ended();
}
