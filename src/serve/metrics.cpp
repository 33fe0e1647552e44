// metrics.cpp: counters and histograms as text. Bounds are vLLM's.
#include "serve/metrics.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace {

const std::vector<double> kTimes = {0.3,  0.5,  0.8,  1.0,  1.5,  2.0,   2.5,   5.0,   10.0,  15.0,
                                    20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0};
const std::vector<double> kFirstToken = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25,  0.5,   0.75,
                                         1.0,   2.5,   5.0,  7.5,  10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0};
const std::vector<double> kGaps = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                                   0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20.0, 40.0, 80.0};
const std::vector<double> kTokens = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};

std::string line(const std::string& name, const std::string& labels, double value) {
    return fmt::format("{}{{{}}} {}\n", name, labels, value);
}

std::string type(const std::string& name, const char* kind) {
    return fmt::format("# TYPE {} {}\n", name, kind);
}

// Prometheus' basics about a process, which have no labels.
std::string process_text() {
    std::string text;
    const auto add = [&](const char* name, const char* kind, double value) {
        text += fmt::format("# TYPE {} {}\n{} {}\n", name, kind, name, value);
    };
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) * 1e-6; };
    add("process_cpu_seconds_total", "counter", seconds(usage.ru_utime) + seconds(usage.ru_stime));
    long pages = 0, resident = 0;
    if (std::FILE* const file = std::fopen("/proc/self/statm", "re")) {
        if (std::fscanf(file, "%ld %ld", &pages, &resident) == 2)
            add("process_resident_memory_bytes", "gauge", double(resident) * double(sysconf(_SC_PAGESIZE)));
        std::fclose(file);
    }
    return text;
}

}  // namespace

void Histogram::add(double value) {
    counts_[size_t(std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin())]++;
    sum_ += value;
}

Histogram& Histogram::operator+=(const Histogram& more) {
    for (size_t i = 0; i < counts_.size(); i++) counts_[i] += more.counts_[i];
    sum_ += more.sum_;
    return *this;
}

std::string Histogram::text(const std::string& name, const std::string& labels) const {
    std::string text = type(name, "histogram");
    int64_t count = 0;
    for (size_t i = 0; i < counts_.size(); i++) {
        count += counts_[i];
        const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
        text += fmt::format("{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bound, count);
    }
    return text + line(name + "_sum", labels, sum_) + fmt::format("{}_count{{{}}} {}\n", name, labels, count);
}

Histogram token_gaps() {
    return Histogram(kGaps);
}

Metrics::Metrics()
    : first_token(kFirstToken),
      gaps(kGaps),
      token_time(kGaps),
      latency(kTimes),
      queue_time(kTimes),
      prompt_tokens(kTokens),
      generated_tokens(kTokens) {}

std::string Metrics::text(const std::string& prefix, const std::string& model, const Gauges& gauges) const {
    const std::string labels = fmt::format("model_name={}", nlohmann::json(model).dump());
    std::string text;
    const auto add = [&](const char* name, const char* kind, double value) {
        text += type(prefix + ":" + name, kind) + line(prefix + ":" + name, labels, value);
    };
    add("num_requests_running", "gauge", double(gauges.running));
    add("num_requests_waiting", "gauge", double(gauges.waiting));
    add("kv_cache_usage_perc", "gauge", gauges.kv_usage);
    add("prefix_cache_queries_total", "counter", double(gauges.prefix_queries));
    add("prefix_cache_hits_total", "counter", double(gauges.prefix_hits));
    add("prompt_tokens_total", "counter", double(gauges.prompt_tokens));
    add("generation_tokens_total", "counter", double(gauges.generated_tokens));
    text += type(prefix + ":request_success_total", "counter");
    for (const auto& [finish, count] : finished)
        text += line(prefix + ":request_success_total", labels + ",finished_reason=\"" + finish + "\"", double(count));
    text += type(prefix + ":http_responses_total", "counter");
    for (const auto& [status, count] : answers)
        text += line(prefix + ":http_responses_total", fmt::format("status=\"{}\"", status), double(count));
    // The engine keeps their sum and their number.
    const std::string iterations = prefix + ":iteration_tokens_total";
    text += type(iterations, "histogram") +
            line(iterations + "_bucket", labels + ",le=\"+Inf\"", double(gauges.steps)) +
            line(iterations + "_sum", labels, double(gauges.step_rows)) +
            line(iterations + "_count", labels, double(gauges.steps));
    const auto add_histogram = [&](const char* name, const Histogram& histogram) {
        text += histogram.text(prefix + ":" + name, labels);
    };
    add_histogram("time_to_first_token_seconds", first_token);
    add_histogram("inter_token_latency_seconds", gaps);
    add_histogram("request_time_per_output_token_seconds", token_time);
    add_histogram("e2e_request_latency_seconds", latency);
    add_histogram("request_queue_time_seconds", queue_time);
    add_histogram("request_prompt_tokens", prompt_tokens);
    add_histogram("request_generation_tokens", generated_tokens);
    return text + process_text();
}
