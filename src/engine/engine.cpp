// engine.cpp: one thread a replica, each with its own scheduler, all taking jobs from the one source.
#include "engine.h"

#include <omp.h>

#include <chrono>
#include <exception>
#include <mutex>
#include <thread>

#include "checkpoint.h"
#include "cpu/cpu_replica.h"
#include "engine/gpus.h"
#include "engine/scheduler.h"

struct Engine::Impl {
    Model model;  // its own copy: shares the mapping
    std::vector<std::unique_ptr<Replica>> replicas;
    std::mutex mutex;  // guards stats, source and failure
    EngineStats stats;
    std::exception_ptr failure;

    std::unique_ptr<Job> next_job(const std::function<std::unique_ptr<Job>()>& next) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (failure) return nullptr;
        try {
            return next();
        } catch (...) {
            failure = std::current_exception();
            return nullptr;
        }
    }

    void count(const Scheduler& scheduler, double seconds, int64_t bytes) {
        const std::lock_guard<std::mutex> lock(mutex);
        const bool prefill = scheduler.prompt_tokens() > 0;
        stats.prompt_tokens += scheduler.prompt_tokens();
        stats.new_tokens += scheduler.new_tokens();
        if (prefill) stats.prefill_new_tokens += scheduler.new_tokens();
        (prefill ? stats.prefill_steps : stats.decode_steps) += 1;
        (prefill ? stats.prefill_s : stats.decode_s) += seconds;
        (prefill ? stats.prefill_bytes : stats.decode_bytes) += bytes;
    }

    void drive(Replica& replica, const std::function<std::unique_ptr<Job>()>& next) {
        Scheduler scheduler(model.config, replica.capacity());
        std::vector<int> sampled;
        for (;;) {
            scheduler.admit([&] { return next_job(next); });
            if (scheduler.idle()) return;
            const Batch& batch = scheduler.plan();
            const int64_t bytes_before = replica.bytes_read();
            const auto start = std::chrono::steady_clock::now();
            replica.step(batch, sampled, [&](int row, const float* logits) { scheduler.logits(row, logits); });
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
            scheduler.apply(sampled);
            count(scheduler, took.count(), replica.bytes_read() - bytes_before);
        }
    }
};

Engine::Engine(const Model& model, const EngineOptions& options) : impl_(std::make_unique<Impl>()) {
    check_scales(model);
    impl_->model = model;
    if (options.gpu)
        impl_->replicas = make_gpu_replicas(impl_->model, options);
    else
        impl_->replicas.push_back(make_cpu_replica(impl_->model, options));
}

Engine::~Engine() = default;

void Engine::run(const std::function<std::unique_ptr<Job>()>& next) {
    impl_->failure = nullptr;
    // An idle team of this thread's would make each of the replicas' barriers a system call (GCC bounds how many threads
    // spin): 60 us an operation of one token's step instead of 5.
    omp_pause_resource_all(omp_pause_hard);
    std::vector<std::thread> threads;
    for (const auto& replica : impl_->replicas)
        threads.emplace_back([&, r = replica.get()] { impl_->drive(*r, next); });
    for (std::thread& thread : threads) thread.join();
    if (impl_->failure) std::rethrow_exception(impl_->failure);
}

EngineStats Engine::stats() const {
    const std::lock_guard<std::mutex> lock(impl_->mutex);
    EngineStats stats = impl_->stats;
    for (const auto& replica : impl_->replicas) {
        const std::vector<EngineStats::Op> ops = replica->ops();
        stats.ops.resize(std::max(stats.ops.size(), ops.size()));
        for (size_t i = 0; i < ops.size(); i++) {
            stats.ops[i].name = ops[i].name;
            stats.ops[i].seconds += ops[i].seconds;
            stats.ops[i].bytes += ops[i].bytes;
            stats.ops[i].roof_seconds += ops[i].roof_seconds;
        }
    }
    return stats;
}

const Config& Engine::config() const {
    return impl_->model.config;
}

std::string Engine::describe() const {
    std::string text;
    for (const auto& replica : impl_->replicas) text += (text.empty() ? "" : "; ") + replica->describe();
    return text;
}
