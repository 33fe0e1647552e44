// getp_run.cpp: requests to the engine, answers from it.
#include <chrono>
#include <deque>

#include "error.h"
#include "getp.h"

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One token in and two out, so that prefill and decode have run.
class WarmUpJob : public Job {
  public:
    WarmUpJob() {
        prompt = {0};
        max_new_tokens = 2;
    }
    void on_done(Finish) override {}
    void on_error(const std::string&) override {}  // a damaged token, say, which requests may not need
};

}  // namespace

GetpRun warm_up(const Model& model, const EngineOptions& options) {
    GetpRun run;
    const auto start = std::chrono::steady_clock::now();
    run.engine = std::make_unique<Engine>(model, options);
    run.load_s = seconds_since(start);
    size_t n_left = run.engine->stats_by_device().size();  // replicas share jobs out evenly, so each gets one
    run.engine->run([&] { return n_left-- > 0 ? std::make_unique<WarmUpJob>() : nullptr; });
    run.warm_up = run.engine->stats_by_device();
    run.warm_up_s = seconds_since(start);
    return run;
}

void inference(GetpRun& run, const std::function<std::optional<Request>()>& next,
               const std::function<void()>& interrupt, const TextCodec& codec, ResultSink& sink) {
    const auto start = std::chrono::steady_clock::now();
    std::deque<std::unique_ptr<Job>> jobs;  // of the last request, which may want several answers
    const auto next_job = [&]() -> std::unique_ptr<Job> {
        while (jobs.empty()) {
            std::optional<Request> request = next();
            if (!request) return nullptr;
            if (request->error.empty()) {
                for (auto& job : make_jobs(std::move(*request), codec, sink)) jobs.push_back(std::move(job));
                continue;
            }
            Answer answer;
            answer.error = request->error;
            sink.on_answers(*request, {std::move(answer)});
        }
        std::unique_ptr<Job> job = std::move(jobs.front());
        jobs.pop_front();
        return job;
    };
    try {
        run.engine->run(next_job, interrupt);
    } catch (const EngineFailure&) {
        run.inference_s = seconds_since(start);
        throw;
    }
    run.inference_s = seconds_since(start);
}

std::vector<DeviceStats> finish(const GetpRun& run) {
    std::vector<DeviceStats> devices = run.engine->stats_by_device();
    for (size_t i = 0; i < devices.size(); i++) devices[i].stats -= run.warm_up[i].stats;
    return devices;
}
