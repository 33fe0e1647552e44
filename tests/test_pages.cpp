// test_pages.cpp: a real model's answers do not depend on the number of KV pages, nor on what is found in them.
#include <gtest/gtest.h>

#include "bf16.h"
#include "checkpoint.h"
#include "replica.h"
#include "support/demo_golden.h"

namespace {

struct Result {
    std::vector<int> ids;
    std::vector<std::vector<float>> logits;  // of the prompt, where they are wanted
};

// A golden prompt, and an answer whose length cannot be known, at a high temperature.
class WildJob : public Job {
  public:
    WildJob(Result& result, int i, const Model& model) : result_(result), vocab_size_(model.common().vocab_size) {
        prompt = golden_prompt(size_t(i));
        max_new_tokens = 50 + 15 * i;
        stop_ids = {model.common().vocab_size - 1};  // nobody knows that it never comes
        want_logits = i % 4 == 0;
        if (i % 3 != 0) sampling = {1.5f, 0.95f, uint64_t(i)};
    }
    bool on_token(int id) override {
        result_.ids.push_back(id);
        return true;
    }
    void on_logits(int pos, const float* logits) override {
        EXPECT_EQ(size_t(pos), result_.logits.size()) << "each once, in order";
        result_.logits.emplace_back(logits, logits + vocab_size_);
    }
    void on_done(Finish) override {}
    void on_error(const std::string& why) override { ADD_FAILURE() << why; }

  private:
    Result& result_;
    const int vocab_size_;
};

std::vector<Result> answer(const Model& model, Engine& engine, EngineStats& stats) {
    std::vector<Result> results(12);
    int next = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (next == int(results.size())) return nullptr;
        const int i = next++;
        return std::make_unique<WildJob>(results[size_t(i)], i, model);
    });
    stats = engine.stats();
    return results;
}

std::vector<Result> answer(const Model& model, const EngineOptions& options, EngineStats& stats) {
    Engine engine(model, options);
    return answer(model, engine, stats);
}

TEST(Pages, ATinyPoolChangesNoBit) {
    const Model model = open_model("demo");
    EngineOptions options;
    options.max_sequences = 16;
    EngineStats stats;
    options.precision = Precision::kBF16;
    const std::vector<Result> large = answer(model, options, stats);
    EXPECT_EQ(stats.put_back, 0);
    options.kv_bytes = 30 * kv_page_bytes(model.gpt_oss().config, sizeof(bf16));
    const std::vector<Result> tiny = answer(model, options, stats);
    EXPECT_GT(stats.put_back, 0);
    for (size_t i = 0; i < large.size(); i++) {
        EXPECT_EQ(large[i].ids, tiny[i].ids) << i;
        EXPECT_EQ(large[i].logits, tiny[i].logits) << i;
    }
}

TEST(Pages, WhatIsFoundInThemChangesNoBit) {
    const Model model = open_model("demo");
    EngineOptions options;
    options.max_sequences = 6;
    EngineStats stats;
    options.prefix_cache = false;
    const std::vector<Result> want = answer(model, options, stats);
    EXPECT_EQ(stats.reused_tokens, 0);
    options.prefix_cache = true;
    Engine engine(model, options);
    for (const char* round : {"first", "second"}) {
        const std::vector<Result> got = answer(model, engine, stats);
        for (size_t i = 0; i < want.size(); i++) {
            EXPECT_EQ(got[i].ids, want[i].ids) << round << " " << i;
            EXPECT_EQ(got[i].logits, want[i].logits) << round << " " << i;
        }
    }
    EXPECT_GT(stats.reused_tokens, 0);
}

}  // namespace
