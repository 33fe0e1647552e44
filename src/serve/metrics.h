// metrics.h: what /metrics says, in Prometheus' text format, under the names that vLLM's dashboards look for.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

class Histogram {
  public:
    explicit Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
    void add(double value);
    Histogram& operator+=(const Histogram& more);  // of the same bounds
    // Lines of the metric `name`; `labels`: model_name="…".
    std::string text(const std::string& name, const std::string& labels) const;

  private:
    std::vector<double> bounds_;
    std::vector<int64_t> counts_;  // of values up to each bound; the last: of all above
    double sum_ = 0;
};

// Bounds of times between tokens, which each answer counts by itself.
Histogram token_gaps();

// Belongs to the loop's thread.
class Metrics {
  public:
    Metrics();

    // What is true at this moment, and sums that the engine keeps.
    struct Gauges {
        int64_t running = 0, waiting = 0;
        double kv_usage = 0;                                                                   // 0 to 1
        int64_t prefix_queries = 0, prefix_hits = 0, prompt_tokens = 0, generated_tokens = 0;  // tokens
        int64_t steps = 0, step_rows = 0;
    };
    std::string text(const std::string& prefix, const std::string& model, const Gauges& gauges) const;

    Histogram first_token, gaps, token_time, latency, queue_time, prompt_tokens, generated_tokens;
    std::map<std::string, int64_t> finished;  // by reason
    std::map<int, int64_t> answers;           // by HTTP status
};
