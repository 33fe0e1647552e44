// forward_checks.h: requests through an Engine with all their logits, and what transformers answered to the same.
#pragma once
#include <gtest/gtest.h>

#include <cmath>

#include "engine.h"

struct Generated {
    std::vector<std::vector<float>> logits;  // of each prompt position, (V)
    std::vector<int> tokens;
    std::string error;
};

class ScoredJob : public Job {
  public:
    ScoredJob(Generated& answer, std::vector<int> ids, int max_new, int vocab_size)
        : answer_(answer), vocab_size_(vocab_size) {
        prompt = std::move(ids);
        max_new_tokens = max_new;
        want_logits = true;
    }
    bool on_token(int id) override {
        answer_.tokens.push_back(id);
        return true;
    }
    void on_logits(int, const float* logits) override { answer_.logits.emplace_back(logits, logits + vocab_size_); }
    void on_done(Finish) override {}
    void on_error(const std::string& why) override { answer_.error = why; }

  private:
    Generated& answer_;
    int vocab_size_;
};

struct Prompt {
    std::vector<int> ids;
    int max_new;
};

// What n jobs generate; make(i, where its answer goes) makes the i-th.
template <class Make>
std::vector<Generated> run_jobs(const Model& model, const EngineOptions& options, size_t n, const Make& make) {
    std::vector<Generated> answers(n);
    Engine engine(model, options);
    size_t next = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (next == n) return nullptr;
        const size_t i = next++;
        return make(i, answers[i]);
    });
    for (const Generated& answer : answers) EXPECT_EQ(answer.error, "");
    return answers;
}

inline std::vector<Generated> run(const Model& model, const std::vector<Prompt>& prompts,
                                  const EngineOptions& options) {
    return run_jobs(model, options, prompts.size(), [&](size_t i, Generated& answer) {
        return std::make_unique<ScoredJob>(answer, prompts[i].ids, prompts[i].max_new, model.common().vocab_size);
    });
}

inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    EXPECT_EQ(a.size(), b.size());
    double largest = 0;
    for (size_t i = 0; i < a.size(); i++) largest = std::max(largest, std::fabs(double(a[i]) - b[i]));
    return largest;
}

// What others computed for a model of the tests; see tests/golden/README.md.
struct Oracle {
    std::vector<Prompt> prompts;
    std::vector<std::vector<int>> greedy;
    std::vector<std::vector<double>> leads;  // of each token's logit over the next largest; empty if nobody says
    struct Logits {
        int first_position;
        std::vector<std::vector<float>> rows;
    };
    std::vector<Logits> logits;

    explicit Oracle(const std::string& name);
};
