// job_source.cpp: a deque under a lock. Jobs are ended outside it: they call what may take other locks.
#include "serve/job_source.h"

#include <algorithm>
#include <vector>

bool JobSource::submit(std::unique_ptr<Job> job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return false;
    jobs_.push_back(std::move(job));
    changed_.notify_one();
    return true;
}

void JobSource::close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

void JobSource::end_cancelled() {
    std::vector<std::unique_ptr<Job>> ended;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto first = std::stable_partition(jobs_.begin(), jobs_.end(),
                                                 [](const std::unique_ptr<Job>& job) { return !job->cancelled(); });
        ended.assign(std::make_move_iterator(first), std::make_move_iterator(jobs_.end()));
        jobs_.erase(first, jobs_.end());
    }
    for (const std::unique_ptr<Job>& job : ended) job->on_done(Finish::kCancelled);
}

std::unique_ptr<Job> JobSource::next() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return !jobs_.empty() || closed_; });
    if (jobs_.empty()) return nullptr;
    std::unique_ptr<Job> job = std::move(jobs_.front());
    jobs_.pop_front();
    return job;
}
