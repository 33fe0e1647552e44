// test_demo.cpp: the demo model's answers, letter by letter, on every path of the CPU this one has. (GPUs:
// tests/gpu/test_model.cpp.)
#include <gtest/gtest.h>

#include <algorithm>

#include "cpu/kernels.h"
#include "harmony.h"
#include "subprocess.h"
#include "support/demo_golden.h"
#include "support/json.h"

using nlohmann::json;

namespace {

struct Backend {
    std::string name;
    Precision precision;
    bool reference;
    std::string cpu_isa;
};

std::vector<Backend> all_backends() {
    std::vector<Backend> backends{{"Reference", Precision::kF32, true, ""}};
    for (const Kernels* kernels : available_kernels())
        for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
            std::string name = std::string(kernels->flag) + (precision == Precision::kF32 ? "_f32" : "_bf16");
            std::replace(name.begin(), name.end(), '-', '_');
            backends.push_back({name, precision, false, kernels->flag});
        }
    return backends;
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

TEST(Demo, PromptsAreRenderedAsItWasTrained) {
    const Tokenizer tokenizer = Tokenizer::open("demo");
    const HarmonyRenderer renderer(tokenizer);
    ASSERT_EQ(golden().size(), 40u);
    for (const json& c : golden()) EXPECT_EQ(render(renderer, c), c["prompt"].get<std::vector<int>>()) << c["kind"];
}

class DemoBackend : public testing::TestWithParam<Backend> {};

TEST_P(DemoBackend, WritesTheGoldenText) {
    EngineOptions options;
    options.precision = GetParam().precision;
    options.reference = GetParam().reference;
    options.cpu_isa = GetParam().cpu_isa;
    options.max_sequences = 16;
    const bool is_slow = GetParam().reference || GetParam().cpu_isa == "portable";
    expect_golden_text(options, is_slow ? 5 : 1);
}

INSTANTIATE_TEST_SUITE_P(Backends, DemoBackend, testing::ValuesIn(all_backends()),
                         [](const auto& param) { return param.param.name; });

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
