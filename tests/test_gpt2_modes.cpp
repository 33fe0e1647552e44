// test_gpt2_modes.cpp: GPT-2 as a user runs it.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "forward_checks.h"
#include "subprocess.h"
#include "support/random_gpt2.h"
#include "temp_folder.h"
#include "text_checks.h"

namespace {

class Gpt2Modes : public testing::Test {
  protected:
    Gpt2Modes() { write_llmc_gpt2(folder.path(), gpt2_preset("gpt2-tiny"), DType::kF32); }
    ProgramResult run(std::vector<std::string> args, const std::string& input = "") {
        args.insert(args.begin(), {built("run"), folder.path("model.bin"), "--device", "cpu"});
        return run_program(args, input);
    }
    TempFolder folder;
    const Oracle oracle{"gpt2-tiny"};
};

TEST_F(Gpt2Modes, GenerateContinuesText) {
    const ProgramResult r = run({"-i", "the king ", "-n", "20", "-T", "0"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_FALSE(r.out.empty());
    EXPECT_EQ(run({"--raw", "-i", "the king ", "-n", "20", "-T", "0"}).out, r.out) << "--raw is what it does";
    EXPECT_EQ(run({"-i", "the king ", "-n", "20", "-T", "0", "--reference"}).out, r.out);
    EXPECT_EQ(run({"-i", "-", "-n", "20", "-T", "0"}, "the king ").out, r.out);
    EXPECT_EQ(run({"--prompt", "the king ", "-n", "20", "--temp=0", "--top_p", "0.5"}).out, r.out);
}

TEST_F(Gpt2Modes, WithoutAPromptItBeginsATextAnew) {
    const ProgramResult r = run({"-n", "12", "-T", "0"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(run({"-i", "<|endoftext|>", "-n", "12", "-T", "0"}).out, r.out);
}

TEST_F(Gpt2Modes, ChatIsRefusedInALine) {
    const ProgramResult r = run({"-m", "chat"}, "hello\n");
    EXPECT_EQ(r.code, 2);
    EXPECT_TRUE(has(r.err, {"chat", "GPT-2 has no chat format", "generate"}));
    EXPECT_EQ(n_lines(r.err), 1);
    const ProgramResult instructions = run({"-i", "x", "-y", "Be brief."});
    EXPECT_EQ(instructions.code, 2);
    EXPECT_TRUE(has(instructions.err, {"--instructions", "GPT-2"}));
}

TEST_F(Gpt2Modes, GetpAnswersAsFloat64Does) {
    std::string requests;
    const size_t n = oracle.prompts.size();
    for (size_t i = 0; i < n; i++)
        requests += nlohmann::json{{"custom_id", std::to_string(i)},
                                   {"body",
                                    {{"prompt", oracle.prompts[i].ids},
                                     {"max_tokens", oracle.prompts[i].max_new},
                                     {"temperature", 0},
                                     {"ignore_eos", true},
                                     {"return_token_ids", true}}}}
                        .dump() +
                    "\n";
    requests += R"({"custom_id": "chat", "body": {"messages": [{"role": "user", "content": "Hello"}]}})"
                "\n";
    folder.write("in.jsonl", requests);
    const ProgramResult r = run({"-m", "getp", "-i", folder.path("in.jsonl"), "-o", folder.path("out.jsonl"),
                                 "--report", folder.path("report.json")});
    EXPECT_EQ(r.code, 1) << r.err;
    std::map<std::string, std::string> answers;  // by custom_id
    std::istringstream lines(folder.read("out.jsonl"));
    for (std::string line; std::getline(lines, line);) answers[nlohmann::json::parse(line)["custom_id"]] = line;
    ASSERT_EQ(answers.size(), n + 1);
    for (size_t i = 0; i < n; i++)
        EXPECT_TRUE(has(answers[std::to_string(i)], {nlohmann::json(oracle.greedy[i]).dump()})) << i;
    EXPECT_TRUE(has(answers["chat"], {"chat needs a tokenizer for harmony"}));
    EXPECT_EQ(nlohmann::json::parse(folder.read("report.json"))["model"]["hidden"], 128);
}

TEST_F(Gpt2Modes, GetpsTextFormatWritesALineForEachRequest) {
    folder.write("in.txt", "2\nthe king\nthe other\n");
    const ProgramResult r = run({"-m", "getp", "-i", folder.path("in.txt"), "-o", folder.path("out.txt"), "-n", "40"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(n_lines(folder.read("out.txt")), 2);
}

TEST_F(Gpt2Modes, ScoreWritesTheLogits) {
    std::string requests;
    size_t n_rows = 0;
    for (const Prompt& prompt : oracle.prompts) {
        requests += nlohmann::json{{"prompt", prompt.ids}}.dump() + "\n";
        n_rows += prompt.ids.size();
    }
    folder.write("in.jsonl", requests);
    const ProgramResult r =
        run({"-m", "score", "-i", folder.path("in.jsonl"), "--logits", folder.path("logits"), "--precision", "f32"});
    EXPECT_EQ(r.code, 0) << r.err;
    const std::string raw = folder.read("logits");
    ASSERT_EQ(raw.size(), n_rows * 641 * sizeof(float));
    const std::vector<float>& right = oracle.logits.back().rows.back();
    std::vector<float> last(641);
    std::memcpy(last.data(), raw.data() + raw.size() - 641 * sizeof(float), 641 * sizeof(float));
    EXPECT_LE(largest_difference(last, right), 5e-5);
}

TEST_F(Gpt2Modes, ExportGoesBothWays) {
    const auto command = [](std::vector<std::string> args) {
        args.insert(args.begin(), built("run"));
        return run_program(args);
    };
    EXPECT_EQ(command({"export", folder.path("model.bin"), folder.path("hf"), "--to", "hf"}).code, 0);
    EXPECT_EQ(command({"export", folder.path("hf"), folder.path("back.bin"), "--to", "llmc-f32"}).code, 0);
    EXPECT_TRUE(folder.read("back.bin") == folder.read("model.bin"));
    EXPECT_EQ(command({"verify", folder.path("hf")}).code, 0);
    const ProgramResult from_hf = command({folder.path("hf"), "--device", "cpu", "-i", "the king ", "-n", "20"});
    EXPECT_EQ(from_hf.out, run({"-i", "the king ", "-n", "20"}).out);
    const ProgramResult refused = command({"export", folder.path("model.bin"), folder.path("x.bin")});
    EXPECT_EQ(refused.code, 2);
    EXPECT_TRUE(has(refused.err, {"hf, llmc-f32 or llmc-bf16"}));
}

}  // namespace
