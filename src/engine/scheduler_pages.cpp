// scheduler_pages.cpp: what the scheduler does with KV pages. It finds the beginning of a prompt in the cache, takes
// pages as sequences grow, keeps what later prompts may need, and frees the rest.
#include <algorithm>

#include "engine/scheduler.h"

// How long a request can get if it has the pool for itself.
int64_t Scheduler::most_positions() const {
    if (!slides_) return int64_t(capacity_.n_pages) * kPagePositions;
    const int sliding = sliding_pages_needed(config_.sliding_window, capacity_.prefill_chunk);
    return int64_t(std::max(capacity_.n_pages / 2, capacity_.n_pages - sliding)) * kPagePositions;
}

// How many of its blocks may come from the cache. The last token's may not, because its logits are needed; if the job
// wants the logits of its prompt, only those may whose logits it has got already.
int Scheduler::most_found(const Sequence& sequence) const {
    const bool wants = sequence.job->want_logits && sequence.logits_given < sequence.n_prompt;
    return std::min(wants ? sequence.logits_given : sequence.n_given, sequence.n_given - 1) / kPagePositions;
}

// Looks for an older request whose prompt is being read and begins as this one does. This one waits for it and finds
// its pages in the cache, up to where the two part.
void Scheduler::share_prefix(Sequence& sequence) const {
    constexpr int kWorthWaiting = 4;  // blocks; the first few are the same in all chats
    sequence.n_shared = 0;
    Sequence* with = nullptr;
    for (const auto& older : active_) {
        if (!older->reads()) continue;
        const auto end = sequence.ids.begin() + most_found(sequence) * kPagePositions;
        const auto parted = std::mismatch(sequence.ids.begin(), end, older->ids.begin(), older->ids.end()).first;
        const int n = int(parted - sequence.ids.begin()) / kPagePositions;
        if (n < kWorthWaiting || n <= sequence.n_shared) continue;
        sequence.n_shared = n;
        with = older.get();
    }
    if (!with) return;
    sequence.shared_with = with->number;
    with->parts.push_back(sequence.n_shared);
}

bool Scheduler::waits_for_prefix(const Sequence& sequence) const {
    if (sequence.begun || sequence.n_shared == 0) return false;
    return std::any_of(active_.begin(), active_.end(), [&](const auto& older) {
        return older->number == sequence.shared_with && older->job && !older->put_back &&
               older->stored < sequence.n_shared * kPagePositions;
    });
}

// Called before its first step: takes what the cache holds of the beginning of its prompt.
void Scheduler::find_prefix(Sequence& sequence) {
    if (!capacity_.keeps_pages || sequence.begun || sequence.fed > 0) return;
    sequence.pages = pool_.find(sequence.ids, most_found(sequence), slides_ ? config_.sliding_window : 0);
    sequence.n_found = int(sequence.pages.full.size());
    sequence.fed = sequence.stored = sequence.n_found * kPagePositions;
    if (sequence.n_found == 0 || sequence.found_before) return;
    sequence.found_before = true;
    n_reused_ += sequence.fed;
    sequence.job->on_reused(std::min(sequence.fed, sequence.n_prompt));
}

void Scheduler::keep(const Sequence& sequence) {
    const int n = std::min(sequence.stored, int(sequence.ids.size()));
    if (capacity_.keeps_pages) pool_.keep(sequence.ids, n / kPagePositions, sequence.pages);
}

// Frees sliding pages that no further token of this sequence sees. The cache keeps a page for longer if it is needed
// where another prompt parts from this one.
void Scheduler::drop_passed(Sequence& sequence) {
    PageTable& pages = sequence.pages;
    const auto first_seen = [&](int pos) { return std::max(0, pos - config_.sliding_window + 1) / kPagePositions; };
    const int n = std::min(first_seen(sequence.stored) - pages.first_sliding_page, int(pages.sliding.size()));
    if (n <= 0) return;
    const auto parts_behind = [&](int page) {
        const auto near = [&](int block) { return page < block && page >= first_seen(block * kPagePositions); };
        return near(sequence.n_given / kPagePositions) || near(sequence.n_found) ||
               std::any_of(sequence.parts.begin(), sequence.parts.end(), near);
    };
    for (int i = 0; i < n; i++) pool_.release(pages.sliding[size_t(i)], !parts_behind(pages.first_sliding_page + i));
    pages.sliding.erase(pages.sliding.begin(), pages.sliding.begin() + n);
    pages.first_sliding_page += n;
}

// Takes the pages that n more tokens need. False: there are too few now, so younger requests are put back.
bool Scheduler::grow(Sequence& sequence, int n) {
    PageTable& pages = sequence.pages;
    const int end = pages_for(sequence.fed + n);
    const int n_full = end - int(pages.full.size());
    const int n_sliding = slides_ ? end - pages.first_sliding_page - int(pages.sliding.size()) : 0;
    if (pool_.n_free() < n_full + n_sliding) {
        make_room(sequence, n_full + n_sliding);
        return false;
    }
    for (int i = 0; i < n_full; i++) pages.full.push_back(pool_.take());
    for (int i = 0; i < n_sliding; i++) pages.sliding.push_back(pool_.take());
    return true;
}

// Puts the youngest requests back until n pages are free, or will be once the steps in flight are done. If no request
// is younger than this one, this one is put back.
void Scheduler::make_room(const Sequence& sequence, int n) {
    int n_free = pool_.n_free();
    for (size_t i = active_.size(); n_free < n && i-- > 0;) {
        Sequence& youngest = *active_[i];
        if (i == 0 && youngest.n_steps > 0) break;  // the oldest stays while steps of its own are in flight
        n_free += int(youngest.pages.full.size() + youngest.pages.sliding.size());
        youngest.put_back = true;
        if (&youngest == &sequence) break;
    }
}

void Scheduler::release(Sequence& sequence) {
    keep(sequence);
    // Releases the last page first: the pool reuses that one first, and a prompt can be found without its end.
    for (auto page = sequence.pages.full.rbegin(); page != sequence.pages.full.rend(); ++page) pool_.release(*page);
    for (const int page : sequence.pages.sliding) pool_.release(page);
    sequence.pages = {};
    sequence.fed = sequence.stored = sequence.n_found = 0;
    sequence.parts.clear();
    sequence.begun = sequence.put_back = false;
    free_slots_.push_back(sequence.slot);
    full_ = false;
}
