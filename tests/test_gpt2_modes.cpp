// test_gpt2_modes.cpp: GPT-2 as a user runs it.
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "subprocess.h"
#include "support/forward_checks.h"
#include "support/json.h"
#include "support/random_gpt2.h"
#include "temp_folder.h"
#include "text_checks.h"
#include "tokenizer.h"

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

// HipGPT's and ggml's users know these.
TEST_F(Gpt2Modes, OthersFlagsOfSampling) {
    const auto said = [&](std::vector<std::string> more) {
        more.insert(more.end(), {"-i", "the king ", "-s", "7", "-n", "60"});
        const ProgramResult r = run(more);
        EXPECT_EQ(r.code, 0) << r.err;
        return r.out;
    };
    const std::string greedy = said({"-T", "0"});
    EXPECT_EQ(said({"-T", "1", "--top-k", "1"}), greedy);
    EXPECT_EQ(said({"--temp", "1", "--top_k=1"}), greedy);
    EXPECT_NE(said({"-T", "1", "--top-k", "40"}), greedy);
    EXPECT_NE(said({"-T", "0", "--repetition-penalty", "1.5"}), greedy);
    EXPECT_EQ(said({"-T", "0", "--rep-penalty", "1.5"}), said({"-T", "0", "--repetition-penalty", "1.5"}));
    EXPECT_EQ(said({"-T", "0", "--rep-penalty", "1.5", "--reference"}), said({"-T", "0", "--rep-penalty", "1.5"}));
    const std::string five = said({"-T", "0", "--num_tokens", "5"});
    EXPECT_FALSE(five.empty());
    EXPECT_EQ(five, said({"-T", "0", "--num-tokens", "5"}));
    EXPECT_LT(five.size(), greedy.size());
    EXPECT_EQ(run({"-i", "x", "--top-k", "-1"}).code, 2);
    EXPECT_EQ(run({"-i", "x", "--repetition-penalty", "0"}).code, 2);
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
    for (std::string line; std::getline(lines, line);) answers[json_of(line)["custom_id"]] = line;
    ASSERT_EQ(answers.size(), n + 1);
    for (size_t i = 0; i < n; i++)
        EXPECT_TRUE(has(answers[std::to_string(i)], {nlohmann::json(oracle.greedy[i]).dump()})) << i;
    EXPECT_TRUE(has(answers["chat"], {"chat needs a tokenizer for harmony"}));
    EXPECT_EQ(json_of(folder.read("report.json"))["model"]["hidden"], 128);
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

// The forms of tokenizers that others read, too: encoding gives the same ids from each.
TEST_F(Gpt2Modes, ExportTakesTheTokenizerAlong) {
    const auto export_to = [&](const std::string& from, const std::string& to, const std::string& kind) {
        const ProgramResult r = run_program({built("run"), "export", folder.path(from), folder.path(to), "--to", kind});
        EXPECT_EQ(r.code, 0) << r.err;
        return r.err;
    };
    export_to("model.bin", "hf", "hf");
    std::filesystem::create_directory(folder.path("pair"));
    for (const char* name : {"vocab.json", "merges.txt"}) {
        ASSERT_TRUE(std::filesystem::exists(folder.path("hf/" + std::string(name)))) << name;
        std::filesystem::copy(folder.path("hf/" + std::string(name)), folder.path("pair"));
    }
    const Tokenizer pair = Tokenizer::open(folder.path("pair"));
    const Tokenizer original = Tokenizer::open(folder.path("gpt2_tokenizer.bin"));
    const std::string text = "winging it's the 12 \xc3\xa9 in\n\n a<|endoftext|>00";
    EXPECT_EQ(pair.encode_with_special(text), original.encode_with_special(text));

    std::filesystem::create_directory(folder.path("back"));
    export_to("hf", "back/model.bin", "llmc-f32");
    EXPECT_TRUE(folder.read("back/gpt2_tokenizer.bin") == folder.read("gpt2_tokenizer.bin"));
    EXPECT_EQ(export_to("hf", "back/again.bin", "llmc-f32").find("stays"), std::string::npos) << "it is the same";
}

// Exports model.bin into a folder of its own.
class Gpt2Export : public Gpt2Modes {
  protected:
    Gpt2Export() { std::filesystem::create_directory(folder.path("place")); }
    ProgramResult export_to(const std::string& name, const std::string& kind, const std::vector<std::string>& more = {},
                            std::vector<std::string> command = {}) const {
        command.insert(command.end(), {built("run"), "export", folder.path("model.bin"), in_place(name), "--to", kind});
        command.insert(command.end(), more.begin(), more.end());
        return run_program(command);
    }
    std::string in_place(const std::string& name) const { return folder.path("place/" + name); }
    bool nothing_is_left() const { return std::filesystem::is_empty(folder.path("place")); }
};

// Whichever of the files that an export makes cannot be written, or cannot be kept.
TEST_F(Gpt2Export, ADiskThatFailsLeavesNothing) {
    for (const char* fault : {"full", "unsynced"})
        for (const char* file : {"vocab.json", "merges.txt", "config.json", "gpt2_tokenizer.bin", "out.bin"}) {
            SCOPED_TRACE(std::string(file) + " " + fault);
            const bool is_llmc = std::string(file).find(".bin") != std::string::npos;
            const ProgramResult r = export_to(is_llmc ? "out.bin" : "out", is_llmc ? "llmc-f32" : "hf", {},
                                              {"env", "LD_PRELOAD=" + built("disk.so"),
                                               "ASAN_OPTIONS=verify_asan_link_order=0",  // the sanitizer would be first
                                               std::string("DISK_NAME=") + file, std::string("DISK_FAULT=") + fault});
            EXPECT_EQ(r.code, 2);
            EXPECT_TRUE(has(r.err, {file, fault == std::string("full") ? "No space left" : "Input/output error"}));
            EXPECT_TRUE(nothing_is_left());
        }
}

TEST_F(Gpt2Export, ATokenizerThatDoesNotFitLeavesNothing) {
    ASSERT_EQ(export_to("hf", "hf").code, 0);
    nlohmann::json tokenizer = json_of(folder.read("place/hf/tokenizer.json"));
    std::filesystem::remove_all(in_place("hf"));
    tokenizer["added_tokens"] = nlohmann::json::array();
    const ProgramResult r = export_to("out.bin", "llmc-f32", {"-z", folder.write("z.json", tokenizer.dump())});
    EXPECT_EQ(r.code, 2);
    EXPECT_TRUE(has(r.err, {"z.json", "llm.c", "expected one special token", "found 0"}));
    EXPECT_TRUE(nothing_is_left());
}

TEST_F(Gpt2Export, AnothersTokenizerStays) {
    folder.write("place/gpt2_tokenizer.bin", "somebody's");
    for (const std::vector<std::string>& flags : {std::vector<std::string>{}, {"--overwrite"}}) {
        const ProgramResult r = export_to("out.bin", "llmc-f32", flags);
        EXPECT_EQ(r.code, 0);
        EXPECT_TRUE(has(r.err, {"place/gpt2_tokenizer.bin: another tokenizer is there, and stays"}));
        EXPECT_EQ(n_lines(r.err), 2) << "and that the model is written: " << r.err;
        EXPECT_EQ(folder.read("place/gpt2_tokenizer.bin"), "somebody's");
        EXPECT_TRUE(folder.read("place/out.bin") == folder.read("model.bin"));
    }
}

TEST_F(Gpt2Export, TheTokenizersNameIsNoModels) {
    for (const bool exists : {false, true}) {
        if (exists) folder.write("place/gpt2_tokenizer.bin", "somebody's");
        const ProgramResult r = export_to("gpt2_tokenizer.bin", "llmc-f32", {"--overwrite"});
        EXPECT_EQ(r.code, 2);
        EXPECT_TRUE(has(r.err, {"expected another name than gpt2_tokenizer.bin", in_place("gpt2_tokenizer.bin")}));
        EXPECT_EQ(n_lines(r.err), 1) << r.err;
        EXPECT_EQ(exists ? folder.read("place/gpt2_tokenizer.bin") == "somebody's" : nothing_is_left(), true);
    }
    EXPECT_TRUE(has(run_program({built("run"), "export", "--help"}).out, {"gpt2_tokenizer.bin beside"}));
}

TEST_F(Gpt2Export, ThatTheModelHasNoTokenizerIsSaidOnce) {
    std::filesystem::remove(folder.path("gpt2_tokenizer.bin"));
    for (const char* kind : {"hf", "llmc-f32"}) {
        const ProgramResult r = export_to(kind, kind);
        EXPECT_EQ(r.code, 0);
        EXPECT_TRUE(has(r.err, {"expected a tokenizer with the model", "name one with -z"}));
        EXPECT_EQ(n_lines(r.err), 2) << "and that the model is written: " << r.err;
    }
    EXPECT_FALSE(std::filesystem::exists(in_place("gpt2_tokenizer.bin")));
}

// With a small model in the place of the published one.
TEST_F(Gpt2Modes, CommandsOfTheDocumentsRun) {
    std::filesystem::copy(folder.path("model.bin"), folder.path("gpt2_124M.bin"));
    write_gpt2_snapshot(folder.path("DIR"), gpt2_preset("gpt2-tiny"), {});
    std::filesystem::copy(folder.path("gpt2_tokenizer.bin"), folder.path("DIR"));
    int n = 0;
    for (const char* document : {"README.md", "docs/gpt2.md"}) {
        std::ifstream file(document);
        for (std::string line; std::getline(file, line);) {
            const bool is_command = line.rfind("    ./run", 0) == 0;
            if (!is_command ||
                (line.find("gpt2_124M.bin") == std::string::npos && line.find(" DIR ") == std::string::npos))
                continue;
            SCOPED_TRACE(line);
            const std::string arguments = line.substr(line.find_first_of(" ", line.find("/run")));
            const std::string words = arguments.rfind(" run ", 0) == 0 ? arguments.substr(4) : arguments;
            const ProgramResult r = run_program(
                {"bash", "-c",
                 "cd " + folder.path("") + "; " + std::filesystem::absolute(built("run")).string() + words});
            EXPECT_EQ(r.code, 0) << r.err;
            EXPECT_FALSE(r.out.empty());
            n++;
        }
    }
    EXPECT_EQ(n, 3);
}

TEST_F(Gpt2Modes, TheCheckOfPublishedWeights) {
    const std::string text = run({"-T", "0", "-n", "21"}).out;
    const auto check = [&](const std::string& expected) {
        std::vector<std::string> args = {"env", "RUN=" + built("run"), "tools/check_gpt2.sh", folder.path("model.bin")};
        if (!expected.empty()) args.push_back(expected);
        return run_program(args);
    };
    const ProgramResult good = check(text.substr(0, 10));
    EXPECT_EQ(good.code, 0) << good.err;
    EXPECT_TRUE(has(good.out, {"as expected"}));
    const ProgramResult bad = check("");
    EXPECT_EQ(bad.code, 1);
    EXPECT_TRUE(has(bad.err, {"The first time I saw the new version of the game", "found"}));
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
