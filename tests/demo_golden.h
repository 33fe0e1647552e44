// demo_golden.h: what Hugging Face transformers answered with the demo model (tools/demo/golden.py), and whether a
// backend answers the same, letter by letter: a trained model's greedy choices have clear margins.
#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint.h"
#include "engine.h"
#include "tokenizer.h"

inline const nlohmann::json& golden() {
    static const auto file = nlohmann::json::parse(std::ifstream("tests/golden/demo/golden.json"));
    return file["cases"];
}

class GreedyJob : public Job {
  public:
    GreedyJob(std::vector<int>& ids, const nlohmann::json& c, std::vector<int> stops) : ids_(ids) {
        prompt = c["prompt"].get<std::vector<int>>();
        max_new_tokens = 512;
        stop_ids = std::move(stops);
    }
    bool on_token(int id) override {
        ids_.push_back(id);
        return true;
    }
    void on_done(Finish) override {}
    void on_error(const std::string& why) override { ADD_FAILURE() << why; }

  private:
    std::vector<int>& ids_;
};

// Every `step`th case; 5 leaves 8 of 40, 10 leaves 4, of different kinds.
inline void expect_golden_text(EngineOptions options, size_t step = 1) {
    const Model model = open_model("demo");
    const Tokenizer tokenizer = Tokenizer::for_model(model);
    options.max_request_positions = 1536;
    Engine engine(model, options);
    std::vector<std::vector<int>> answers(golden().size());
    size_t next = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (next >= answers.size()) return nullptr;
        const size_t i = next;
        next += step;
        return std::make_unique<GreedyJob>(answers[i], golden()[i], model.common().stop_ids);
    });
    for (size_t i = 0; i < answers.size(); i += step)
        EXPECT_EQ(tokenizer.decode(answers[i]), golden()[i]["text"]) << "case " << i;
}
