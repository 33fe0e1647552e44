// driver.h: what the thread of one replica does: it takes jobs, plans, submits and collects until no job is left. And
// how another thread takes the jobs away from a replica that never returns from a call.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/job_queue.h"
#include "engine/scheduler.h"
#include "replica.h"

class Driver {
  public:
    using Clock = std::chrono::steady_clock;

    Driver(const CommonConfig& config, std::unique_ptr<Replica> replica, bool prefix_cache);

    // Runs steps until no job is left for this replica, which the queue knows by its number, and gives each step's
    // stats to `count`. False: the jobs were taken away meanwhile, and this thread may touch none of the arguments any
    // more. Throws what the replica throws.
    bool run(JobQueue& queue, int number, const RunOptions& options,
             const std::function<void(const EngineStats&)>& count);
    // All jobs that are not done. Only after run() has thrown; the replica is not called any more.
    std::vector<QueuedJob> give_up();

    // From another thread: if a call of the replica has lasted longer than a step may, takes its jobs away for good.
    std::optional<std::vector<QueuedJob>> take_if_stuck(Clock::time_point now);
    bool is_stuck() const { return stuck_; }
    double step_limit_s() const { return replica_->capacity().step_limit_s; }

    const Replica& replica() const { return *replica_; }
    const std::string& name() const { return name_; }
    int64_t n_steps() const { return n_steps_; }  // collected so far
    // Requests in flight after the last step.
    int in_flight() const { return in_flight_; }
    int pages_in_use() const { return pages_in_use_; }

  private:
    // What run() remembers from step to step.
    struct Pace {
        Clock::time_point since;  // where the next step's time begins: its submission, or the end of the step before
        bool rested = true;       // there were no jobs before the next step
        int64_t n_reused = 0, n_put_back = 0;
    };

    void call(std::unique_lock<std::mutex>& lock, const std::function<void()>& of_replica);
    bool feed(std::unique_lock<std::mutex>& lock, JobQueue& queue, int number, bool gathers, Pace& pace);
    EngineStats step_stats(const StepResult& result, Pace& pace, Clock::time_point waited, Clock::time_point done);

    const CommonConfig config_;
    const std::unique_ptr<Replica> replica_;
    const std::string name_;
    Scheduler scheduler_;
    // Held by the replica's thread, except while it calls the replica.
    std::mutex mutex_;
    std::optional<Clock::time_point> called_;  // when the present call of the replica began
    std::atomic<bool> stuck_{false};
    std::atomic<int64_t> n_steps_{0};
    std::atomic<int> in_flight_{0}, pages_in_use_{0};
};
