// test_demo.cpp: the demo model's answers, letter by letter. A trained model's greedy choices have clear margins, so every
// backend must give the text that Hugging Face transformers gave (tools/demo/golden.py): one line a backend in kBackends.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint.h"
#include "engine.h"
#include "harmony.h"
#include "subprocess.h"
#include "tokenizer.h"

using nlohmann::json;

namespace {

struct Backend {
    const char* name;
    Precision precision;
    bool reference;
};
const Backend kBackends[] = {
    {"CpuF32", Precision::kF32, false},
    {"CpuBF16", Precision::kBF16, false},
    {"Reference", Precision::kF32, true},
};

const json& golden() {
    static const json file = json::parse(std::ifstream("tests/golden/demo/golden.json"));
    return file["cases"];
}

Effort effort_of(const std::string& word) {
    return word == "low" ? Effort::kLow : word == "medium" ? Effort::kMedium : Effort::kHigh;
}

Role role_of(const std::string& word) {
    return word == "user" ? Role::kUser : word == "assistant" ? Role::kAssistant : Role::kTool;
}

std::vector<int> render(const HarmonyRenderer& renderer, const json& c) {
    Preamble preamble;
    preamble.effort = effort_of(c["effort"]);
    preamble.instructions = c["instructions"];
    for (const json& tool : c["tools"])
        preamble.tools.push_back({tool["name"], tool["description"], tool["parameters"].dump()});
    std::vector<Message> messages;
    for (const json& m : c["messages"]) {
        Message message;
        message.role = role_of(m["role"]);
        if (message.role == Role::kTool) message.name = m["role"];  // a tool's name stands in its role's place
        message.recipient = m.value("recipient", "");
        message.channel = m.value("channel", "");
        message.content_type = m.value("content_type", "");
        message.content = m["content"];
        messages.push_back(std::move(message));
    }
    return renderer.render_prompt(preamble, messages);
}

class GreedyJob : public Job {
  public:
    GreedyJob(std::vector<int>& ids, const json& c, std::vector<int> stops) : ids_(ids) {
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

TEST(Demo, PromptsAreRenderedAsItWasTrained) {
    const Tokenizer tokenizer = Tokenizer::open("demo");
    const HarmonyRenderer renderer(tokenizer);
    ASSERT_EQ(golden().size(), 40u);
    for (const json& c : golden()) EXPECT_EQ(render(renderer, c), c["prompt"].get<std::vector<int>>()) << c["kind"];
}

class DemoBackend : public testing::TestWithParam<Backend> {};

TEST_P(DemoBackend, WritesTheGoldenText) {
    const Model model = open_model("demo");
    const Tokenizer tokenizer = Tokenizer::for_model(model);
    EngineOptions options;
    options.precision = GetParam().precision;
    options.reference = GetParam().reference;
    options.max_sequences = 16;
    options.max_request_positions = 1536;
    Engine engine(model, options);
    std::vector<std::vector<int>> answers(golden().size());
    size_t next = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (next == answers.size()) return nullptr;
        const size_t i = next++;
        return std::make_unique<GreedyJob>(answers[i], golden()[i], model.config.stop_ids);
    });
    for (size_t i = 0; i < answers.size(); i++)
        EXPECT_EQ(tokenizer.decode(answers[i]), golden()[i]["text"]) << "case " << i;
}

INSTANTIATE_TEST_SUITE_P(Backends, DemoBackend, testing::ValuesIn(kBackends),
                         [](const auto& param) { return std::string(param.param.name); });

// The final channel of a golden answer.
std::string final_text(const json& c) {
    const std::string text = c["text"], open = "<|channel|>final<|message|>";
    const size_t begin = text.find(open) + open.size();
    return text.substr(begin, text.find("<|return|>", begin) - begin);
}

// Of the golden conversations, those that the command line can hold: the user's turns alone, no tools.
bool is_plain(const json& c, size_t n_turns) {
    return c["tools"].empty() && c["messages"].size() == 2 * n_turns - 1;
}

TEST(Demo, GenerateAnswersOnStdout) {
    int n = 0;
    for (const json& c : golden()) {
        if (!is_plain(c, 1)) continue;
        const ProgramResult r = run_program({built("run"), "demo", "-i", c["messages"][0]["content"], "--reasoning",
                                             c["effort"], "-y", c["instructions"], "-n", "0"});
        EXPECT_EQ(r.code, 0) << r.err;
        EXPECT_EQ(r.out, final_text(c) + "\n");
        n++;
    }
    EXPECT_GE(n, 10);
}

TEST(Demo, ChatRemembersAName) {
    const ProgramResult r = run_program({built("run"), "demo", "-m", "chat", "--reasoning", "low", "-n", "0"},
                                        "My name is Ada.\nWhat is my name?\n");
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_NE(r.out.find("\nYour name is Ada.\n"), std::string::npos) << r.out;
}

}  // namespace
