// test_modes.cpp: score and getp as a user runs them, on all four kinds of checkpoints, against transformers' answers;
// and what generate and chat print where.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "base/file.h"
#include "cpu/kernels.h"
#include "subprocess.h"
#include "support/json.h"
#include "support/random_snapshot.h"
#include "temp_folder.h"

using nlohmann::json;

namespace {

// The tiny snapshot that the golden answers belong to, exported to every kind.
class Modes : public testing::Test {
  public:
    static void SetUpTestSuite() {
        folder = std::make_unique<TempFolder>();
        for (const char* format : {"mxfp4", "bf16"}) {
            SnapshotSpec spec;
            spec.format = format;
            write_random_snapshot(folder->path(format), spec);
            for (const char* kind : {"bin", "legacy-f32", "legacy-bf16"}) export_to(format, kind);
        }
        export_to("mxfp4", "original");
        SnapshotSpec talker;
        talker.preset = "demo";
        write_random_snapshot(folder->path("talker"), talker);
        golden = json_of(read_file("tests/golden/tiny/reference.json"));
    }
    static void TearDownTestSuite() { folder.reset(); }

    static std::vector<std::string> kinds() {
        return {"mxfp4", "mxfp4.bin", "mxfp4.legacy-f32", "mxfp4.legacy-bf16", "mxfp4.original",
                "bf16",  "bf16.bin",  "bf16.legacy-f32",  "bf16.legacy-bf16"};
    }

    static ProgramResult run(std::vector<std::string> args, const std::string& input = "") {
        args.insert(args.begin(), built("run"));
        return run_program(args, input);
    }

    static std::unique_ptr<TempFolder> folder;
    static json golden;

  private:
    static void export_to(const std::string& format, const std::string& kind) {
        const ProgramResult r = run({"export", folder->path(format), folder->path(format + "." + kind), "--to", kind});
        ASSERT_EQ(r.code, 0) << r.err;
    }
};

std::unique_ptr<TempFolder> Modes::folder;
json Modes::golden;

std::vector<json> json_lines(const std::string& text) {
    std::vector<json> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(json_of(line));
    return lines;
}

TEST_F(Modes, ScoreMatchesTheOracleFromEveryKind) {
    std::string requests;
    for (const json& c : golden["cases"]) {
        json ids = c["prompt"];
        ids.insert(ids.end(), c["greedy"].begin(), c["greedy"].end());
        requests += json{{"prompt", ids}}.dump() + "\n";
    }
    const std::string input = folder->write("score.jsonl", requests);
    const size_t vocab = golden["vocab_size"];
    std::ifstream want_file("tests/golden/tiny/logits.f32", std::ios::binary);
    const std::string want{std::istreambuf_iterator<char>(want_file), {}};

    for (const std::string& kind : kinds())
        for (const char* at_once : {"1", "32"}) {
            SCOPED_TRACE(kind + ", " + at_once + " in flight");
            const ProgramResult r = run({folder->path(kind), "-m", "score", "-b", at_once, "--precision", "f32", "-i",
                                         input, "-o", folder->path("scores"), "--logits", folder->path("logits")});
            ASSERT_EQ(r.code, 0) << r.err;
            const std::vector<json> scores = json_lines(folder->read("scores"));
            ASSERT_EQ(scores.size(), golden["cases"].size());
            const std::string logits = folder->read("logits");
            size_t row = 0;  // of the logits file, where this request begins
            for (size_t i = 0; i < scores.size(); i++) {
                const json& c = golden["cases"][i];
                const size_t n_prompt = c["prompt"].size(), n_new = c["greedy"].size();
                EXPECT_EQ(scores[i]["index"], i);
                ASSERT_EQ(scores[i]["tokens"].size(), n_prompt + n_new);
                ASSERT_EQ(scores[i]["logprobs"].size(), n_prompt + n_new);
                EXPECT_TRUE(scores[i]["logprobs"][0].is_null());
                for (size_t k = 0; k < n_new; k++)
                    EXPECT_NEAR(scores[i]["logprobs"][n_prompt + k].get<double>(), c["logprob"][k].get<double>(), 2e-4);
                const size_t rows = c["logits"]["shape"][0], first = c["logits"]["first_position"],
                             offset = c["logits"]["offset"];
                for (size_t e = 0; e < rows * vocab; e++) {
                    float got, expected;
                    std::memcpy(&got, logits.data() + ((row + first) * vocab + e) * 4, 4);
                    std::memcpy(&expected, want.data() + offset + e * 4, 4);
                    ASSERT_NEAR(got, expected, 2e-4) << "request " << i << " element " << e;
                }
                row += n_prompt + n_new;
            }
            EXPECT_EQ(logits.size(), row * vocab * 4);
        }
}

TEST_F(Modes, GetpContinuesAsTheOracleFromEveryKind) {
    std::string requests;
    for (size_t i = 0; i < golden["cases"].size(); i++) {
        const json& c = golden["cases"][i];
        requests += json{{"custom_id", std::to_string(i)},
                         {"method", "POST"},
                         {"url", "/v1/completions"},
                         {"body",
                          {{"prompt", c["prompt"]},
                           {"max_tokens", c["greedy"].size()},
                           {"temperature", 0},
                           {"ignore_eos", true},
                           {"return_token_ids", true}}}}
                        .dump() +
                    "\n";
    }
    const std::string input = folder->write("getp.jsonl", requests);
    for (const std::string& kind : kinds())
        for (const char* at_once : {"1", "32"}) {
            SCOPED_TRACE(kind + ", " + at_once + " in flight");
            const ProgramResult r = run({"-c", folder->path(kind), "-m", "getp", "-b", at_once, "--precision", "f32",
                                         "-i", input, "-o", folder->path("answers"), "--overwrite"});
            ASSERT_EQ(r.code, 0) << r.err;
            EXPECT_EQ(r.out, "");
            const std::vector<json> answers = json_lines(folder->read("answers"));
            ASSERT_EQ(answers.size(), golden["cases"].size());
            for (const json& a : answers) {
                const json& c = golden["cases"][std::stoul(a["custom_id"].get<std::string>())];
                EXPECT_EQ(a["response"]["body"]["choices"][0]["token_ids"], c["greedy"]);
            }
        }
}

TEST_F(Modes, GenerateRawPutsTheAnswerAloneOnStdout) {
    const ProgramResult a =
        run({folder->path("talker"), "--raw", "-i", "Once upon", "-n", "40", "--profile", "1", "--precision", "f32"});
    ASSERT_EQ(a.code, 0) << a.err;
    EXPECT_EQ(a.out.back(), '\n');
    EXPECT_EQ(a.out.find("tok/s"), std::string::npos);
    EXPECT_NE(a.err.find("achieved tok/s: "), std::string::npos);
    EXPECT_NE(a.err.find("lm_head"), std::string::npos) << "the profile";
    EXPECT_NE(a.err.find("of roof"), std::string::npos);
    const ProgramResult b = run({folder->path("talker"), "--raw", "-i", "Once upon", "-n", "40", "--reference"});
    EXPECT_EQ(a.out, b.out) << "the reference path writes the same text";
}

TEST_F(Modes, TheDefaultPrecisionIsTheFastOne) {
    folder->write("one_prompt", "{\"prompt\": [1, 2, 3]}\n");
    const auto described = [](const char* kind, const char* isa) {
        return run({folder->path(kind), "-m", "score", "-i", folder->path("one_prompt"), "--cpu-isa", isa, "--device",
                    "cpu"})
            .err;
    };
    for (const Kernels* kernels : available_kernels()) {
        const std::string fast = kernels->packed ? ", bf16," : ", f32,";
        EXPECT_NE(described("mxfp4", kernels->flag).find(fast), std::string::npos) << kernels->flag;
        EXPECT_NE(described("bf16", kernels->flag).find(fast), std::string::npos) << kernels->flag;
        EXPECT_NE(described("mxfp4.legacy-f32", kernels->flag).find(", f32,"), std::string::npos) << kernels->flag;
    }
}

TEST_F(Modes, SamplingFollowsTheSeed) {
    const auto text = [](const char* seed) {
        const ProgramResult r =
            run({folder->path("talker"), "--raw", "-i", "x", "-n", "60", "-T", "1", "-p", "1", "-s", seed});
        EXPECT_EQ(r.code, 0) << r.err;
        return r.out;
    };
    EXPECT_EQ(text("7"), text("7"));
    EXPECT_NE(text("7"), text("8"));
}

// The demo model's files, and another generation_config.json.
TEST_F(Modes, GenerateAndChatSampleAsTheModelsAuthorsSay) {
    std::filesystem::create_directory(folder->path("sampled"));
    for (const auto& file : std::filesystem::directory_iterator("demo"))
        if (file.path().filename() != "generation_config.json")
            std::filesystem::create_symlink(std::filesystem::absolute(file.path()),
                                            folder->path("sampled/" + file.path().filename().string()));
    const auto ask = [&](const std::string& config, std::vector<std::string> more, const std::string& mode) {
        folder->write("sampled/generation_config.json", config);
        more.insert(more.begin(),
                    {folder->path("sampled"), "--no-reasoning", "-m", mode, "-i", "Reverse the word garden."});
        return run(more);
    };
    const std::string says = R"({"do_sample": true, "temperature": 0.5, "top_p": 0.25})", line = "generation_config";
    for (const char* mode : {"generate", "chat"}) {
        EXPECT_NE(ask(says, {}, mode).err.find("temperature 0.5, top_p 0.25, seed"), std::string::npos) << mode;
        EXPECT_NE(ask(says, {"-T", "2"}, mode).err.find("temperature 2, top_p 0.25, seed"), std::string::npos) << mode;
        EXPECT_NE(ask(R"({"do_sample": true})", {"-s", "7"}, mode).err.find("temperature 1, top_p 1, seed 7"),
                  std::string::npos)
            << mode;
        const ProgramResult flags_win = ask(says, {"-T", "1", "-p", "1"}, mode), greedy = ask(says, {"-T", "0"}, mode),
                            not_sampled = ask(R"({"do_sample": false, "temperature": 9})", {}, mode);
        EXPECT_EQ(flags_win.err.find(line), std::string::npos) << flags_win.err;
        for (const ProgramResult& r : {greedy, not_sampled}) {
            EXPECT_EQ(r.err.find(line), std::string::npos) << r.err;
            EXPECT_EQ(r.out, "nedrag\n");
        }
    }
}

TEST_F(Modes, GenerateSaysWhenThereIsNoFinalAnswer) {
    const ProgramResult r = run({"demo", "-i", "What is 347 + 586?", "--reasoning", "high", "-n", "90"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(r.out, "") << "it was still thinking";
    EXPECT_NE(r.err.find("no final answer"), std::string::npos) << r.err;
}

TEST_F(Modes, ChatTakesTurnsFromAPipe) {
    // In f32, because the length of a random model's answer depends on the last bits.
    const ProgramResult r =
        run({folder->path("talker"), "-m", "chat", "-n", "3000", "-i", "Hello", "--precision", "f32"},
            "\nAnd again\n/new\nOnce more\n/quit\nnever\n");
    EXPECT_EQ(r.code, 0) << r.err;
    size_t turns = 0;
    for (size_t at = 0; (at = r.err.find("achieved tok/s", at)) != std::string::npos; at++) turns++;
    EXPECT_EQ(turns, 3u) << r.err;
}

TEST_F(Modes, ChatGoesOnAfterATurnThatCannotBe) {
    const ProgramResult r =
        run({folder->path("talker"), "-m", "chat", "-n", "700"}, std::string(3000, 'a') + "\nshort\n");
    EXPECT_EQ(r.code, 1);
    EXPECT_NE(r.err.find("--steps"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("achieved tok/s"), std::string::npos) << "the second turn ran: " << r.err;
}

}  // namespace
