// job_queue.cpp: one lock, one condition: threads come here once a step or once a job.
#include "engine/job_queue.h"

#include <algorithm>
#include <numeric>

bool JobQueue::push(std::unique_ptr<Job> job) {
    std::unique_lock<std::mutex> lock(mutex_);
    n_blocked_++;
    changed_.wait(lock, [&] { return jobs_.size() < bound_ || abandoned_ || job->cancelled(); });
    n_blocked_--;
    if (abandoned_) return false;
    if (job->cancelled()) {
        lock.unlock();
        job->on_done(Finish::kCancelled);
        return true;
    }
    jobs_.push_back({std::move(job), {}, 0});
    changed_.notify_all();
    return true;
}

void JobQueue::close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

namespace {

// The job's length, as far as it is known beforehand.
int64_t length(const QueuedJob& queued) {
    return int64_t(queued.job->prompt.size()) + queued.job->max_new_tokens;
}

}  // namespace

bool JobQueue::has_one_for(int replica) const {
    const int n = std::accumulate(in_flight_.begin(), in_flight_.end(), int(jobs_.size()));
    return !jobs_.empty() && int64_t(in_flight_[size_t(replica)]) * n_live_ < n;
}

void JobQueue::pop(int replica, QueuedJob& job) {
    auto next = jobs_.begin();
    if (!in_order_ && n_passed_ < bound_)
        next = std::max_element(jobs_.begin(), jobs_.end(), [](const QueuedJob& a, const QueuedJob& b) {
            return length(a) < length(b);  // the first of several that are equally long
        });
    n_passed_ = next == jobs_.begin() ? 0 : n_passed_ + 1;
    job = std::move(*next);
    jobs_.erase(next);
    in_flight_[size_t(replica)]++;
    changed_.notify_all();
}

Supply JobQueue::take(int replica, QueuedJob& job, std::chrono::milliseconds patience) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (patience.count() > 0) changed_.wait_for(lock, patience, [&] { return has_one_for(replica) || closed_; });
    if (!has_one_for(replica)) return closed_ && jobs_.empty() ? Supply::kClosed : Supply::kNothingNow;
    pop(replica, job);
    return Supply::kJob;
}

Supply JobQueue::take_idle(int replica, QueuedJob& job) {
    std::unique_lock<std::mutex> lock(mutex_);
    in_flight_[size_t(replica)] = 0;
    n_busy_--;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !jobs_.empty() || (closed_ && n_busy_ == 0); });
    if (jobs_.empty()) return Supply::kClosed;
    n_busy_++;
    pop(replica, job);
    return Supply::kJob;
}

void JobQueue::set_in_flight(int replica, int n) {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_flight_[size_t(replica)] = n;
}

void JobQueue::put_back(int replica, std::vector<QueuedJob> jobs) {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_flight_[size_t(replica)] = 0;
    n_live_--;
    jobs_.insert(jobs_.begin(), std::make_move_iterator(jobs.begin()), std::make_move_iterator(jobs.end()));
    n_busy_--;
    changed_.notify_all();
}

void JobQueue::end_cancelled() {
    std::vector<QueuedJob> ended;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto first = std::stable_partition(jobs_.begin(), jobs_.end(),
                                                 [](const QueuedJob& queued) { return !queued.job->cancelled(); });
        ended.assign(std::make_move_iterator(first), std::make_move_iterator(jobs_.end()));
        jobs_.erase(first, jobs_.end());
        if (!ended.empty() || n_blocked_ > 0) changed_.notify_all();  // who waits for room may be cancelled, too
    }
    for (const QueuedJob& queued : ended) queued.job->on_done(Finish::kCancelled);
}

void JobQueue::abandon() {
    std::deque<QueuedJob> left;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        abandoned_ = true;
        left.swap(jobs_);
        changed_.notify_all();
    }
    for (const QueuedJob& queued : left) queued.job->on_done(Finish::kCancelled);
}
