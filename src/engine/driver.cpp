// driver.cpp: the loop around a scheduler and a replica. The thread gives up its lock while it calls the replica.
// Whoever takes the lock meanwhile may take the jobs away; the thread finds out when the call returns.
#include "engine/driver.h"

#include <utility>

namespace {

// How long a replica that was idle waits for each further job before its first step, so that requests that come
// together start together.
constexpr std::chrono::milliseconds kGathering(2);

// The jobs were taken away during a call.
struct TakenAway {};

Capacity with_cache(Capacity capacity, bool prefix_cache) {
    capacity.keeps_pages = capacity.keeps_pages && prefix_cache;
    return capacity;
}

double seconds(Driver::Clock::duration d) {
    return std::chrono::duration<double>(d).count();
}

}  // namespace

Driver::Driver(const CommonConfig& config, std::unique_ptr<Replica> replica, bool prefix_cache)
    : config_(config),
      replica_(std::move(replica)),
      name_(replica_->describe()),
      scheduler_(config_, with_cache(replica_->capacity(), prefix_cache)) {}

void Driver::call(std::unique_lock<std::mutex>& lock, const std::function<void()>& of_replica) {
    called_ = Clock::now();
    lock.unlock();
    std::exception_ptr failure;
    try {
        of_replica();
    } catch (...) {
        failure = std::current_exception();
    }
    lock.lock();
    called_.reset();
    if (stuck_) throw TakenAway();
    if (failure) std::rethrow_exception(failure);
}

// Takes jobs and submits steps until the most steps are in flight, or nothing more can run. False: no job is left.
bool Driver::feed(std::unique_lock<std::mutex>& lock, JobQueue& queue, int number, bool gathers, Pace& pace) {
    while (scheduler_.steps_in_flight() < replica_->capacity().steps_in_flight) {
        queue.end_cancelled();
        std::chrono::milliseconds patience(0);
        scheduler_.admit([&](QueuedJob& job) {
            if (!scheduler_.idle()) return queue.take(number, job, patience) == Supply::kJob;
            if (gathers) patience = kGathering;
            pace.rested = true;
            return queue.take_idle(number, job) == Supply::kJob;
        });
        if (scheduler_.idle()) return false;
        if (scheduler_.steps_in_flight() == 0) pace.since = Clock::now();
        const Batch* const batch = scheduler_.plan();
        if (!batch) break;
        call(lock, [&] { replica_->submit(*batch); });
    }
    return true;
}

EngineStats Driver::step_stats(const StepResult& result, Pace& pace, Clock::time_point waited, Clock::time_point done) {
    EngineStats step;
    const bool prefill = scheduler_.prompt_tokens() > 0;
    step.prompt_tokens = scheduler_.prompt_tokens();
    step.new_tokens = scheduler_.new_tokens();
    if (prefill) step.prefill_new_tokens = scheduler_.new_tokens();
    (prefill ? step.prefill_steps : step.decode_steps) = 1;
    (prefill ? step.prefill_rows : step.decode_rows) = scheduler_.rows();
    (prefill ? step.prefill_s : step.decode_s) = seconds(done - pace.since);
    (prefill ? step.prefill_bytes : step.decode_bytes) = result.bytes;
    step.host_s = seconds(waited - pace.since);
    step.host_wait_s = seconds(done - waited);
    step.device_s = result.busy_s;
    if (!pace.rested) step.device_idle_s = result.idle_s;
    step.reused_tokens = scheduler_.reused_tokens() - std::exchange(pace.n_reused, scheduler_.reused_tokens());
    step.put_back = scheduler_.n_put_back() - std::exchange(pace.n_put_back, scheduler_.n_put_back());
    return step;
}

bool Driver::run(JobQueue& queue, int number, const RunOptions& options,
                 const std::function<void(const EngineStats&)>& count) try {
    std::unique_lock<std::mutex> lock(mutex_);
    StepResult result;
    Pace pace;
    pace.n_reused = scheduler_.reused_tokens();
    pace.n_put_back = scheduler_.n_put_back();
    while (feed(lock, queue, number, options.gathers, pace)) {
        const Clock::time_point waited = Clock::now();
        call(lock, [&] { replica_->collect(result); });
        const Clock::time_point done = Clock::now();
        n_steps_++;
        scheduler_.apply(result.sampled, result.logprobs);
        if (options.after_step) options.after_step();
        in_flight_ = scheduler_.in_flight();
        queue.set_in_flight(number, in_flight_);
        pages_in_use_ = scheduler_.pages_in_use();
        count(step_stats(result, pace, waited, done));
        pace.since = done;
        pace.rested = false;
    }
    return true;
} catch (const TakenAway&) {
    return false;
}

std::vector<QueuedJob> Driver::give_up() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return scheduler_.give_up();
}

std::optional<std::vector<QueuedJob>> Driver::take_if_stuck(Clock::time_point now) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    const double limit_s = step_limit_s();
    if (!lock || limit_s <= 0 || stuck_ || !called_ || seconds(now - *called_) <= limit_s) return {};
    stuck_ = true;
    return scheduler_.give_up();
}
