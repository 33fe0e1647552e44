// engine.cpp: one thread for each replica, with a scheduler of its own; all take jobs from one source. One more thread
// watches for replicas that do not return from a step.
#include "engine.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

#include "checkpoint.h"
#include "cpu/cpu_replica.h"
#include "engine/driver.h"
#include "engine/gpus.h"
#include "engine/job_queue.h"
#include "log.h"

namespace {

// The message of the exception being handled, in one line.
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

std::atomic<bool> any_left_behind{false};

}  // namespace

bool thread_left_behind() {
    return any_left_behind;
}

struct Engine::Impl {
    Model model;  // its own copy: shares the mapping
    CommonConfig config;
    std::vector<std::unique_ptr<Driver>> drivers;  // kept from run to run, with the contents of their pages
    std::mutex mutex;                              // guards what follows
    std::vector<EngineStats> stats;                // of drivers
    std::vector<bool> failed;
    std::string last_failure;

    // One run().
    struct Run {
        JobQueue queue;
        std::vector<size_t> drivers;  // by the numbers that the queue knows
        const std::function<void()>& interrupt;
        const RunOptions& options;
        int n_working = 0;  // threads that may still touch any of this; guarded by mutex
        std::condition_variable ended;
    };

    int n_left() const { return int(std::count(failed.begin(), failed.end(), false)); }

    void take(std::vector<std::unique_ptr<Replica>> replicas, bool prefix_cache) {
        for (auto& replica : replicas)
            drivers.push_back(std::make_unique<Driver>(config, std::move(replica), prefix_cache));
        stats.resize(drivers.size());
        failed.resize(drivers.size());
    }

    // Puts the jobs of a replica that has failed back into the queue, or ends them if no replica is left.
    void lose(int number, std::vector<QueuedJob> jobs, const std::string& why, Run& run) {
        run.queue.put_back(number, std::move(jobs));  // before all else: the last replica to fail ends the queue's jobs
        bool others = true;
        {
            const std::lock_guard<std::mutex> lock(mutex);
            failed[run.drivers[size_t(number)]] = true;
            last_failure = why;
            others = n_left() > 0;
        }
        if (others) return log_line("a device has failed, and the others go on with its requests: {}", why);
        run.queue.abandon();
        if (run.interrupt) run.interrupt();
    }

    void end_work(Run& run) {
        const std::lock_guard<std::mutex> lock(mutex);
        run.n_working--;
        run.ended.notify_all();
    }

    // A replica's thread.
    void work(int number, Run& run) {
        const size_t index = run.drivers[size_t(number)];
        Driver& driver = *drivers[index];
        try {
            const auto count = [&](const EngineStats& step) {
                const std::lock_guard<std::mutex> lock(mutex);
                stats[index] += step;
            };
            if (!driver.run(run.queue, number, run.options, count))
                return;  // its jobs were taken, and `run` may be gone
        } catch (...) {
            lose(number, driver.give_up(), current_failure(), run);
        }
        end_work(run);
    }

    // The shortest time limit of all replicas; 0: none has one.
    double step_limit_s() const {
        double limit_s = 0;
        for (const auto& driver : drivers)
            if (driver->step_limit_s() > 0)
                limit_s = limit_s > 0 ? std::min(limit_s, driver->step_limit_s()) : driver->step_limit_s();
        return limit_s;
    }

    // Looks for replicas that do not return from a step, until no thread works any more.
    void watch(Run& run) {
        const double limit_s = step_limit_s();
        std::unique_lock<std::mutex> lock(mutex);
        const auto over = [&] { return run.n_working == 0; };
        while (!run.ended.wait_for(lock, std::chrono::duration<double>(limit_s / 4), over)) {
            lock.unlock();
            for (size_t i = 0; i < run.drivers.size(); i++) {
                Driver& driver = *drivers[run.drivers[i]];
                auto jobs = driver.take_if_stuck(Driver::Clock::now());
                if (!jobs) continue;
                any_left_behind = true;
                lose(int(i), std::move(*jobs),
                     fmt::format("{}: step {} has not ended for {:g} s: it has stopped answering", driver.name(),
                                 driver.n_steps(), driver.step_limit_s()),
                     run);
                end_work(run);
            }
            lock.lock();
        }
    }

    // Engines with a device that has stopped. They are never destroyed: a destructor might wait for the device, and the
    // thread that waits for it still uses them.
    static std::vector<std::unique_ptr<Impl>>& left_behind() {
        static auto* const all = new std::vector<std::unique_ptr<Impl>>();
        return *all;
    }
};

Engine::Engine(const Model& model, const EngineOptions& options) : impl_(std::make_unique<Impl>()) {
    check_scales(model);
    impl_->model = model;
    impl_->config = model.common();
    std::vector<std::unique_ptr<Replica>> replicas;
    if (options.gpu)
        replicas = make_gpu_replicas(impl_->model, options);
    else
        replicas.push_back(make_cpu_replica(impl_->model, options));
    impl_->take(std::move(replicas), options.prefix_cache);
}

Engine::Engine(const CommonConfig& config, std::vector<std::unique_ptr<Replica>> replicas)
    : impl_(std::make_unique<Impl>()) {
    impl_->config = config;
    impl_->take(std::move(replicas), /*prefix_cache=*/true);
}

Engine::~Engine() {
    const auto& drivers = impl_->drivers;
    if (std::any_of(drivers.begin(), drivers.end(), [](const auto& driver) { return driver->is_stuck(); }))
        Impl::left_behind().push_back(std::move(impl_));
}

void Engine::run(const std::function<std::unique_ptr<Job>()>& next, const std::function<void()>& interrupt,
                 const RunOptions& options) {
    // Releases this thread's idle OpenMP team. If there are more threads than cores, GCC's do not spin, and every
    // barrier in a replica's team is a system call: an operation takes 60 us in a step of one token, instead of 5.
    omp_pause_resource_all(omp_pause_hard);
    std::vector<size_t> left;
    int room = 0;
    for (size_t i = 0; i < impl_->drivers.size(); i++) {
        if (impl_->failed[i]) continue;
        left.push_back(i);
        room += impl_->drivers[i]->replica().capacity().max_sequences;
    }
    if (left.empty()) throw EngineFailure(impl_->last_failure);
    const int n_left = int(left.size());
    Impl::Run run{{room, n_left, options.in_order}, left, interrupt, options, n_left, {}};
    std::vector<std::thread> threads;
    for (int i = 0; i < n_left; i++) threads.emplace_back([&, i] { impl_->work(i, run); });
    std::thread watchdog;
    if (impl_->step_limit_s() > 0) watchdog = std::thread([&] { impl_->watch(run); });

    std::exception_ptr failure;
    try {
        for (std::unique_ptr<Job> job; (job = next());)
            if (!run.queue.push(std::move(job))) break;
    } catch (...) {
        failure = std::current_exception();
    }
    run.queue.close();
    if (watchdog.joinable()) watchdog.join();
    for (size_t i = 0; i < threads.size(); i++)
        impl_->drivers[left[i]]->is_stuck() ? threads[i].detach() : threads[i].join();
    if (impl_->n_left() == 0) throw EngineFailure(impl_->last_failure);
    if (failure) std::rethrow_exception(failure);
}

std::vector<DeviceStats> Engine::stats_by_device() const {
    const std::lock_guard<std::mutex> lock(impl_->mutex);
    std::vector<DeviceStats> all;
    for (size_t i = 0; i < impl_->drivers.size(); i++) {
        const Driver& driver = *impl_->drivers[i];
        all.push_back({driver.name(), impl_->stats[i]});
        if (!driver.is_stuck()) add_ops(all.back().stats.ops, driver.replica().ops());
    }
    return all;
}

EngineStats Engine::stats() const {
    EngineStats sum;
    for (const DeviceStats& device : stats_by_device()) sum += device.stats;
    return sum;
}

EngineLoad Engine::load() const {
    EngineLoad sum;
    for (const auto& driver : impl_->drivers) {
        sum.in_flight += driver->in_flight();
        sum.pages_in_use += driver->pages_in_use();
        sum.n_pages += driver->replica().capacity().n_pages;
    }
    return sum;
}

std::string Engine::describe() const {
    std::string text;
    for (const auto& driver : impl_->drivers) text += (text.empty() ? "" : "; ") + driver->name();
    return text;
}
