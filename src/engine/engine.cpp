// engine.cpp: one thread a replica, each with its own scheduler, all taking jobs from the one source.
#include "engine.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

#include "checkpoint.h"
#include "cpu/cpu_replica.h"
#include "engine/gpus.h"
#include "engine/job_queue.h"
#include "engine/scheduler.h"
#include "log.h"

namespace {

using Clock = std::chrono::steady_clock;

// How long a replica that was idle waits for each further job before its first step, so that requests that come
// together start together.
constexpr std::chrono::milliseconds kGathering(2);

// One line, of the exception in flight.
std::string current_failure() {
    try {
        throw;
    } catch (const std::bad_alloc&) {
        return "out of memory";
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "unknown failure";
    }
}

}  // namespace

struct Engine::Impl {
    Model model;  // its own copy: shares the mapping
    Config config;
    std::vector<std::unique_ptr<Replica>> replicas;
    std::vector<std::unique_ptr<Scheduler>> schedulers;  // of replicas: what is in their pages outlives a run
    std::mutex mutex;                                    // guards what follows
    EngineStats stats;
    std::vector<bool> failed;  // of replicas
    std::string last_failure;

    // What a replica's thread remembers from step to step.
    struct Pace {
        Clock::time_point since;  // the next step counts from: its submission, or the end of the step before
        bool rested = true;       // there were no jobs before it
    };

    void count(const Scheduler& scheduler, const StepResult& result, const Pace& pace, Clock::time_point waited,
               Clock::time_point done) {
        const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
        const std::lock_guard<std::mutex> lock(mutex);
        const bool prefill = scheduler.prompt_tokens() > 0;
        stats.prompt_tokens += scheduler.prompt_tokens();
        stats.new_tokens += scheduler.new_tokens();
        if (prefill) stats.prefill_new_tokens += scheduler.new_tokens();
        (prefill ? stats.prefill_steps : stats.decode_steps) += 1;
        (prefill ? stats.prefill_s : stats.decode_s) += seconds(done - pace.since);
        (prefill ? stats.prefill_bytes : stats.decode_bytes) += result.bytes;
        stats.host_s += seconds(waited - pace.since);
        stats.host_wait_s += seconds(done - waited);
        stats.device_s += result.busy_s;
        if (!pace.rested) stats.device_idle_s += result.idle_s;
    }

    int n_left() const { return int(std::count(failed.begin(), failed.end(), false)); }

    // Takes jobs and submits steps until as many are in flight as may be, or nothing more can run. False: no job is
    // left.
    static bool feed(Replica& replica, Scheduler& scheduler, JobQueue& queue, Pace& pace) {
        while (scheduler.steps_in_flight() < replica.capacity().steps_in_flight) {
            queue.end_cancelled();
            std::chrono::milliseconds patience(0);
            scheduler.admit([&](QueuedJob& job) {
                if (!scheduler.idle()) return queue.take(job, patience) == Supply::kJob;
                patience = kGathering;
                pace.rested = true;
                return queue.take_idle(job) == Supply::kJob;
            });
            if (scheduler.idle()) return false;
            if (scheduler.steps_in_flight() == 0) pace.since = Clock::now();
            const Batch* const batch = scheduler.plan();
            if (!batch) break;
            replica.submit(*batch);
        }
        return true;
    }

    // Steps until no job is left.
    void drive(Replica& replica, Scheduler& scheduler, JobQueue& queue) {
        StepResult result;
        Pace pace;
        while (feed(replica, scheduler, queue, pace)) {
            const Clock::time_point waited = Clock::now();
            replica.collect(result);
            const Clock::time_point done = Clock::now();
            scheduler.apply(result.sampled);
            count(scheduler, result, pace, waited, done);
            pace = {done, false};
        }
    }

    void take(std::vector<std::unique_ptr<Replica>> made, bool prefix_cache) {
        replicas = std::move(made);
        failed.resize(replicas.size());
        for (const auto& replica : replicas) {
            Capacity capacity = replica->capacity();
            capacity.keeps_pages = capacity.keeps_pages && prefix_cache;
            schedulers.push_back(std::make_unique<Scheduler>(config, capacity));
        }
    }

    // A replica's thread: drives it, and hands its jobs back if it fails.
    void work(size_t index, JobQueue& queue, const std::function<void()>& interrupt) {
        Scheduler& scheduler = *schedulers[index];
        const int64_t reused_before = scheduler.reused_tokens(), put_back_before = scheduler.n_put_back();
        try {
            drive(*replicas[index], scheduler, queue);
            const std::lock_guard<std::mutex> lock(mutex);
            stats.reused_tokens += scheduler.reused_tokens() - reused_before;
            stats.put_back += scheduler.n_put_back() - put_back_before;
        } catch (...) {
            const std::string why = current_failure();
            bool others = true;
            {
                const std::lock_guard<std::mutex> lock(mutex);
                failed[index] = true;
                last_failure = why;
                others = n_left() > 0;
            }
            queue.put_back(scheduler.give_up());
            if (others) {
                log_line("device {} has failed, and the others go on with its requests: {}", index, why);
                return;
            }
            queue.abandon();
            if (interrupt) interrupt();
        }
    }
};

Engine::Engine(const Model& model, const EngineOptions& options) : impl_(std::make_unique<Impl>()) {
    check_scales(model);
    impl_->model = model;
    impl_->config = model.config;
    std::vector<std::unique_ptr<Replica>> replicas;
    if (options.gpu)
        replicas = make_gpu_replicas(impl_->model, options);
    else
        replicas.push_back(make_cpu_replica(impl_->model, options));
    impl_->take(std::move(replicas), options.prefix_cache);
}

Engine::Engine(const Config& config, std::vector<std::unique_ptr<Replica>> replicas) : impl_(std::make_unique<Impl>()) {
    impl_->config = config;
    impl_->take(std::move(replicas), /*prefix_cache=*/true);
}

Engine::~Engine() = default;

void Engine::run(const std::function<std::unique_ptr<Job>()>& next, const std::function<void()>& interrupt) {
    // An idle team of this thread's would make each of the replicas' barriers a system call (GCC bounds how many
    // threads spin): 60 us an operation of one token's step instead of 5.
    omp_pause_resource_all(omp_pause_hard);
    std::vector<size_t> left;
    int room = 0;
    for (size_t i = 0; i < impl_->replicas.size(); i++) {
        if (impl_->failed[i]) continue;
        left.push_back(i);
        room += impl_->replicas[i]->capacity().max_sequences;
    }
    if (left.empty()) throw EngineFailure(impl_->last_failure);
    JobQueue queue(room, int(left.size()));
    std::vector<std::thread> threads;
    for (const size_t i : left) threads.emplace_back([&, i] { impl_->work(i, queue, interrupt); });

    std::exception_ptr failure;
    try {
        for (std::unique_ptr<Job> job; (job = next());)
            if (!queue.push(std::move(job))) break;
    } catch (...) {
        failure = std::current_exception();
    }
    queue.close();
    for (std::thread& thread : threads) thread.join();
    if (impl_->n_left() == 0) throw EngineFailure(impl_->last_failure);
    if (failure) std::rethrow_exception(failure);
}

EngineStats Engine::stats() const {
    const std::lock_guard<std::mutex> lock(impl_->mutex);
    EngineStats stats = impl_->stats;
    for (const auto& replica : impl_->replicas) add_ops(stats.ops, replica->ops());
    return stats;
}

std::string Engine::describe() const {
    std::string text;
    for (const auto& replica : impl_->replicas) text += (text.empty() ? "" : "; ") + replica->describe();
    return text;
}
