// demo_golden.cpp: the golden answers, and the jobs that repeat them.
#include "support/demo_golden.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "checkpoint.h"
#include "support/json.h"
#include "tokenizer.h"

const nlohmann::json& golden() {
    static const nlohmann::json file = json_of(read_file("tests/golden/demo/golden.json"));
    return file["cases"];
}

std::vector<int> golden_prompt(size_t i) {
    return golden()[i]["prompt"].get<std::vector<int>>();
}

namespace {

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

}  // namespace

void expect_golden_text(EngineOptions options, size_t step) {
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
