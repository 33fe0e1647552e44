// test_cli.cpp: the program as a user meets it, started as a process: what bad usage and bad files say, which exit
// codes come back, that stdout holds answers alone. What the answers are is tested elsewhere, function by function.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "subprocess.h"
#include "temp_folder.h"
#include "text_checks.h"

namespace fs = std::filesystem;

namespace {

// A folder with a small random model whose vocabulary is bytes, and some files. "@name" in an argument is a path in it.
class CommandLine : public testing::Test {
  public:
    static void SetUpTestSuite() {
        folder = std::make_unique<TempFolder>();
        const ProgramResult made = run_program({built("make_snapshot"), "--preset", "demo", "--set",
                                                "max_position_embeddings=4096", "--out", folder->path("model")});
        ASSERT_EQ(made.code, 0) << made.err;
        folder->write("requests.txt", "2\nfirst\nsecond\n");
        folder->write("empty", "");
        folder->write("text", "This is no model.\n");
        folder->write("cut.bin", std::string(59, '\1'));
        fs::create_directory(folder->path("folder"));
    }
    static void TearDownTestSuite() { folder.reset(); }

    static ProgramResult run(const std::vector<std::string>& args, const std::string& input = "") {
        std::vector<std::string> command = {built("run")};
        for (const std::string& arg : args)
            command.push_back(!arg.empty() && arg[0] == '@' ? folder->path(arg.substr(1)) : arg);
        return run_program(command, input);
    }

    static std::unique_ptr<TempFolder> folder;
};

std::unique_ptr<TempFolder> CommandLine::folder;

struct BadUsage {
    const char* why;
    std::vector<std::string> args;
    std::vector<std::string> mentions;  // in the one line on stderr
};

// Exit code 2, nothing on stdout, one line on stderr that names what is wrong.
void expect_refused(const BadUsage& bad) {
    SCOPED_TRACE(bad.why);
    const ProgramResult r = CommandLine::run(bad.args);
    EXPECT_EQ(r.code, 2) << r.err;
    EXPECT_EQ(r.out, "");
    EXPECT_EQ(n_lines(r.err), 1) << r.err;
    for (const std::string& word : bad.mentions)
        EXPECT_NE(r.err.find(word), std::string::npos) << "expected " << word << " in: " << r.err;
}

// long because it is a table
TEST_F(CommandLine, BadFlagsAreNamed) {
    const BadUsage cases[] = {
        {"unknown long flag", {"@model", "--frobnicate"}, {"--frobnicate"}},
        {"unknown short flag", {"@model", "-Q"}, {"-Q"}},
        {"flag without its value", {"@model", "-n"}, {"--steps"}},
        {"negative count", {"@model", "-i", "x", "-n", "-3"}, {"--steps", "-3"}},
        {"number with a tail", {"@model", "-i", "x", "--steps", "12x"}, {"--steps", "12x"}},
        {"fraction where a count is due", {"@model", "-i", "x", "-n", "1.5"}, {"--steps", "1.5"}},
        {"more than an int holds", {"@model", "-i", "x", "-n", "99999999999"}, {"--steps", "99999999999"}},
        {"empty number", {"@model", "-i", "x", "-n", ""}, {"--steps"}},
        {"word for a number", {"@model", "-i", "x", "-T", "abc"}, {"--temperature", "abc"}},
        {"temperature below 0", {"@model", "-i", "x", "-T", "-1"}, {"--temperature", "-1"}},
        {"temperature that is no number", {"@model", "-i", "x", "-T", "nan"}, {"--temperature", "nan"}},
        {"top-p of 0", {"@model", "-i", "x", "-p", "0"}, {"--top-p"}},
        {"top-p above 1", {"@model", "-i", "x", "--top-p", "1.5"}, {"--top-p", "1.5"}},
        {"negative seed", {"@model", "-i", "x", "-s", "-1"}, {"--seed", "-1"}},
        {"unknown mode", {"@model", "-m", "dance"}, {"--mode", "dance", "generate", "getp"}},
        {"mode in capitals", {"@model", "--mode", "GETP"}, {"--mode", "GETP"}},
        {"no requests in flight", {"@model", "-m", "getp", "-b", "0"}, {"--in-flight"}},
        {"negative number of requests", {"@model", "-m", "getp", "-t", "-2"}, {"--requests", "-2"}},
        {"profile neither 0 nor 1", {"@model", "-f", "2"}, {"--profile"}},
        {"GPUs that this build cannot use", {"@model", "-g", "1"}, {"--gpus"}},
        {"GPUs by number that this build cannot use", {"@model", "-g", "0,"}, {"--gpus", "expected at most 0"}},
        {"a GPU twice", {"@model", "-g", "0,2,0"}, {"--gpus", "0 is there twice"}},
        {"no GPU in a list", {"@model", "-g", "0,,1"}, {"--gpus", "0,2"}},
        {"a chain without GPUs", {"@model", "--gpus-per-replica", "2"}, {"--gpus-per-replica", "no GPU"}},
        {"bytes of a GPU that no model fits in", {"@model", "--gpu-memory", "64"}, {"--gpu-memory", "64GB"}},
        {"bytes of a GPU that are no number", {"@model", "--gpu-memory", "xGB"}, {"--gpu-memory", "64GB", "\"x\""}},
        {"a GPU for a build without", {"@model", "--device", "gpu"}, {"--device gpu", "built without"}},
        {"a device that does not exist", {"@model", "--device", "tpu"}, {"--device", "cpu", "tpu"}},
        {"more than all of a GPU's memory", {"@model", "--gpu-memory", "1.5"}, {"--gpu-memory", "1.5"}},
        {"a size of no unit", {"@model", "--kv-memory", "4X"}, {"--kv-memory", "4X"}},
        {"a size without a number", {"@model", "--kv-memory", "G"}, {"--kv-memory", "G"}},
        {"no KV cache", {"@model", "--kv-memory", "0"}, {"--kv-memory"}},
        {"more than there are addresses", {"@model", "--kv-memory", "9000000000G"}, {"--kv-memory"}},
        {"less than one sequence needs", {"@model", "-i", "x", "--kv-memory", "1K"}, {"KV cache", "needs at least"}},
        {"the same in decimal units", {"@model", "-i", "x", "--kv-memory", "1KB"}, {"KV cache", "needs at least"}},
        {"unknown effort", {"@model", "--reasoning", "huge"}, {"--reasoning", "huge", "low"}},
        {"unknown precision", {"@model", "--precision", "f16"}, {"--precision", "f16", "bf16"}},
        {"an unknown instruction set", {"@model", "--cpu-isa", "altivec"}, {"--cpu-isa", "altivec", "amx", "neon"}},
        {"-o in generate", {"@model", "-i", "x", "-o", "@out"}, {"--output", "getp, score", "stdout"}},
        {"llama2.c's temperature", {"@model", "-i", "x", "-t", "1"}, {"--requests", "getp, score", "-T"}},
        {"in flight in chat", {"@model", "-m", "chat", "-b", "2"}, {"--in-flight", "getp, score"}},
        {"verify in generate", {"@model", "-i", "x", "-v", "@text"}, {"--verify", "getp"}},
        {"overwrite in score", {"@model", "-m", "score", "-i", "@text", "--overwrite"}, {"--overwrite", "getp"}},
        {"a grace below 0", {"@model", "-m", "getp", "--grace", "-1"}, {"--grace", "seconds"}},
        {"a shard of no number",
         {"@model", "-m", "getp", "-i", "@requests.txt", "-o", "@out", "--shard", "2/2"},
         {"--shard", "I/N", "2/2"}},
        {"verify in score", {"@model", "-m", "score", "-i", "@text", "-v", "@text"}, {"--verify", "getp"}},
        {"logits in generate", {"@model", "-i", "x", "--logits", "@out"}, {"--logits", "score"}},
        {"raw in chat", {"@model", "-m", "chat", "--raw"}, {"--raw", "generate"}},
        {"--chat in generate", {"@model", "-i", "x", "--chat"}, {"--chat", "getp", "-m chat"}},
        {"temperature in score", {"@model", "-m", "score", "-i", "@text", "-T", "1"}, {"--temperature", "generate"}},
        {"steps in score", {"@model", "-m", "score", "-i", "@text", "-n", "9"}, {"--steps", "generate"}},
        {"hidden reasoning in getp", {"@model", "-m", "getp", "--no-reasoning"}, {"--no-reasoning", "chat, generate"}},
        {"the empty model", {"", "-i", "x"}, {"MODEL", "\"\""}},
        {"the empty checkpoint", {"-c", "", "-i", "x"}, {"--checkpoint", "\"\""}},
        {"the empty output", {"@model", "-m", "getp", "-i", "@text", "-o", ""}, {"--output", "\"\""}},
        {"the empty tokenizer", {"@model", "-i", "x", "-z", ""}, {"--tokenizer", "\"\""}},
        {"the empty first message", {"@model", "-m", "chat", "-i", ""}, {"--input", "\"\""}},
        {"profile neither, after run", {"run", "@model", "-f", "7"}, {"--profile", "7"}},
        {"two models", {"@model", "@model"}, {"model"}},
        {"two models, one as a flag", {"@model", "-c", "@model"}, {"--checkpoint"}},
    };
    for (const BadUsage& bad : cases) expect_refused(bad);
}

TEST_F(CommandLine, BadModelsAreNamed) {
    const BadUsage cases[] = {
        {"no such path", {"@nowhere", "-i", "x"}, {"nowhere"}},
        {"a folder without a model", {"@folder", "-i", "x"}, {"folder", "config.json"}},
        {"an empty file", {"@empty", "-i", "x"}, {"empty"}},
        {"a text", {"@text", "-i", "x"}, {"text"}},
        {"shorter than a header", {"@cut.bin", "-i", "x"}, {"cut.bin"}},
        {"not readable as a file", {"/dev/null", "-i", "x"}, {"/dev/null"}},
        {"no such model, given as a flag", {"-c", "@nowhere", "-i", "x"}, {"nowhere"}},
    };
    for (const BadUsage& bad : cases) expect_refused(bad);
}

TEST_F(CommandLine, BadInputsAreNamed) {
    const BadUsage cases[] = {
        {"generate without a prompt", {"@model"}, {"--input"}},
        {"empty prompt", {"@model", "-i", ""}, {"--input"}},
        {"empty raw prompt", {"@model", "--raw", "-i", ""}, {"--input"}},
        {"prompt that is not UTF-8", {"@model", "--raw", "-i", "a\xff"}, {"UTF-8"}},
        {"prompt longer than -n", {"@model", "--raw", "-n", "4", "-i", "five!"}, {"--steps", "4", "5"}},
        {"prompt longer than the context", {"@model", "--raw", "-n", "0", "-i", std::string(4097, 'a')}, {"context"}},
        {"no such tokenizer", {"@model", "-z", "@nowhere", "-i", "x"}, {"nowhere"}},
        {"a tokenizer that is none", {"@model", "-z", "@text", "-i", "x"}, {"text"}},
        {"getp without input", {"@model", "-m", "getp", "-o", "@out"}, {"--input"}},
        {"getp without output", {"@model", "-m", "getp", "-i", "@requests.txt"}, {"--output"}},
        {"no such requests", {"@model", "-m", "getp", "-i", "@nowhere", "-o", "@out"}, {"nowhere"}},
        {"a folder of requests", {"@model", "-m", "getp", "-i", "@folder", "-o", "@out"}, {"folder"}},
        {"empty requests", {"@model", "-m", "getp", "-i", "@empty", "-o", "@out"}, {"empty"}},
        {"requests without a count", {"@model", "-m", "getp", "-i", "@text", "-o", "@out"}, {"text"}},
        {"output in no folder", {"@model", "-m", "getp", "-i", "@requests.txt", "-o", "@nowhere/out"}, {"nowhere/out"}},
        {"output is a folder", {"@model", "-m", "getp", "-i", "@requests.txt", "-o", "@folder"}, {"folder"}},
        {"output is the input", {"@model", "-m", "getp", "-i", "@requests.txt", "-o", "@requests.txt"}, {"--output"}},
        {"score without input", {"@model", "-m", "score"}, {"--input"}},
    };
    for (const BadUsage& bad : cases) expect_refused(bad);
    EXPECT_EQ(folder->read("requests.txt"), "2\nfirst\nsecond\n");
    EXPECT_FALSE(fs::exists(folder->path("out")));
}

TEST_F(CommandLine, BadExportsAreNamed) {
    const BadUsage cases[] = {
        {"nothing given", {"export"}, {"SRC"}},
        {"no destination", {"export", "@model"}, {"DST"}},
        {"an empty destination", {"export", "@model", ""}, {"DST", "empty"}},
        {"an empty source", {"export", "", "@copy"}, {"MODEL", "empty"}},
        {"unknown kind", {"export", "@model", "@copy", "--to", "gguf"}, {"--to", "gguf", "legacy-bf16"}},
        {"no such source", {"export", "@nowhere", "@copy"}, {"nowhere"}},
        {"onto its source", {"export", "@model", "@model", "--to", "hf"}, {"model"}},
        {"into no folder", {"export", "@model", "@nowhere/copy"}, {"nowhere/copy"}},
    };
    for (const BadUsage& bad : cases) expect_refused(bad);
    EXPECT_FALSE(fs::exists(folder->path("copy")));
}

TEST_F(CommandLine, HelpGoesToStdoutAndListsEveryFlag) {
    for (const char* flag : {"-h", "--help"}) {
        const ProgramResult r = run({flag});
        EXPECT_EQ(r.code, 0);
        EXPECT_EQ(r.err, "");
        for (const char* name : {"--mode",
                                 "--input",
                                 "--output",
                                 "--tokenizer",
                                 "--instructions",
                                 "--steps",
                                 "--temperature",
                                 "--top-p",
                                 "--seed",
                                 "--requests",
                                 "--in-flight",
                                 "--profile",
                                 "--verify",
                                 "--gpus",
                                 "--reasoning",
                                 "--raw",
                                 "--chat",
                                 "--no-reasoning",
                                 "--logits",
                                 "--precision",
                                 "--checkpoint",
                                 "--device",
                                 "--gpu-memory",
                                 "--kv-memory",
                                 "--no-graph",
                                 "--sync",
                                 "--gpus-per-replica",
                                 "--no-peer-copies",
                                 "--overwrite",
                                 "--retry-failed",
                                 "--grace",
                                 "--shard",
                                 "--stale-after",
                                 "export",
                                 "merge"})
            EXPECT_NE(r.out.find(name), std::string::npos) << name;
    }
}

TEST_F(CommandLine, GenerateWritesTheAnswerAloneToStdout) {
    const ProgramResult r = run({"@model", "--raw", "-n", "12", "-i", "abc"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_NE(r.out, "");
    EXPECT_EQ(r.out.find("tok/s"), std::string::npos) << r.out;
    EXPECT_NE(r.err.find("tok/s"), std::string::npos) << r.err;
    EXPECT_EQ(r.err.find('\r'), std::string::npos) << "no progress line where there is no terminal: " << r.err;
}

TEST_F(CommandLine, TheModelMayComeFromTheEnvironment) {
    const ProgramResult r =
        run_program({"env", "GETP_MODEL=" + folder->path("model"), built("run"), "--raw", "-n", "12", "-i", "abc"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(r.out, run({"@model", "--raw", "-n", "12", "-i", "abc"}).out);
}

TEST_F(CommandLine, LongAndShortNamesMeanTheSame) {
    const std::vector<std::string> with_letters = {"@model", "--raw", "-n", "40",  "-i", "abc",
                                                   "-T",     "1",     "-p", "0.9", "-s", "7"};
    const std::vector<std::string> with_names = {"--checkpoint=" + folder->path("model"),
                                                 "--mode=generate",
                                                 "--raw",
                                                 "--steps=40",
                                                 "--input=abc",
                                                 "--temperature=1",
                                                 "--top-p=0.9",
                                                 "--seed=7"};
    const ProgramResult a = run(with_letters), b = run(with_names);
    EXPECT_EQ(a.code, 0) << a.err;
    EXPECT_EQ(a.out, b.out);
}

TEST_F(CommandLine, RunMayBeTheFirstWord) {
    const std::vector<std::string> args = {"@model", "--raw", "-n", "12", "-i", "abc"};
    std::vector<std::string> with_word = args;
    with_word.insert(with_word.begin(), "run");
    const ProgramResult r = run(with_word);
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(r.out, run(args).out);
}

TEST_F(CommandLine, ProfileAloneIsProfile1) {
    const std::vector<std::string> cases[] = {{"@model", "--raw", "-n", "12", "-i", "abc", "-f"},
                                              {"-f", "@model", "--raw", "-n", "12", "-i", "abc"},
                                              {"@model", "--profile", "--raw", "-n", "12", "-i", "abc"},
                                              {"@model", "-f", "1", "--raw", "-n", "12", "-i", "abc"}};
    for (const auto& args : cases) {
        const ProgramResult r = run(args);
        EXPECT_EQ(r.code, 0) << r.err;
        EXPECT_NE(r.err.find("lm_head"), std::string::npos) << r.err;
    }
    EXPECT_EQ(run({"@model", "-f", "0", "--raw", "-n", "12", "-i", "abc"}).err.find("lm_head"), std::string::npos);
}

TEST_F(CommandLine, APromptMayComeFromStdin) {
    const std::string expected = run({"@model", "--raw", "-n", "12", "-i", "abc"}).out;
    for (const char* text : {"abc", "abc\n", "abc\r\n"}) {
        const ProgramResult r = run({"@model", "--raw", "-n", "12", "-i", "-"}, text);
        EXPECT_EQ(r.code, 0) << r.err;
        EXPECT_EQ(r.out, expected) << "a line break at the end is the pipe's";
    }
    for (const char* nothing : {"", "\n"}) {
        const ProgramResult r = run({"@model", "--raw", "-i", "-"}, nothing);
        EXPECT_EQ(r.code, 2);
        EXPECT_NE(r.err.find("--input"), std::string::npos) << r.err;
    }
    const ProgramResult huge = run({"@model", "--raw", "-i", "-"}, std::string(20 << 20, 'a'));
    EXPECT_EQ(huge.code, 2);
    EXPECT_NE(huge.err.find("16 MB"), std::string::npos) << huge.err;
}

// The program beside a run.sh that prints its words.
TEST_F(CommandLine, WordsOfRunShAreHandedToIt) {
    const fs::path clone = folder->path("clone");
    fs::create_directory(clone);
    fs::copy_file(built("run"), clone / "run");
    const auto start = [&](std::vector<std::string> args) {
        args.insert(args.begin(), {"env", "-C", clone.string(), "./run"});
        return run_program(args);
    };
    const ProgramResult alone = start({"build", "fast"});
    EXPECT_EQ(alone.code, 2);
    EXPECT_NE(alone.err.find("run.sh"), std::string::npos) << alone.err;

    std::ofstream(clone / "run.sh") << "#!/bin/sh\necho run.sh \"$@\"\nyes | head -c 1 > /dev/null\nexit 7\n";
    fs::permissions(clone / "run.sh", fs::perms::owner_all);
    const std::vector<std::string> commands[] = {
        {"build"}, {"build", "fast"}, {"test", "--quick", "-t", "30"}, {"bench", "a model"}, {"fuzz"}, {"demo"}};
    for (const auto& command : commands) {
        const ProgramResult r = start(command);
        std::string expected = "run.sh";
        for (const std::string& word : command) expected += " " + word;
        EXPECT_EQ(r.out, expected + "\n");
        EXPECT_EQ(r.code, 7);
    }
    // These are no words of run.sh: a folder of that name is a model, and so is the demo if there are flags.
    fs::create_directory(clone / "bench");
    std::ofstream(clone / "bench/config.json") << "{}";
    EXPECT_EQ(start({"bench", "-i", "x"}).code, 2);
    EXPECT_EQ(start({"demo", "-i", "x"}).code, 2);
}

TEST_F(CommandLine, GetpAnswersInOrderOneLineEach) {
    const ProgramResult r = run({"@model", "-m", "getp", "-n", "20", "-i", "@requests.txt", "-o", "@answers.txt"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(r.out, "");
    const std::string answers = folder->read("answers.txt");
    EXPECT_EQ(n_lines(answers), 2) << answers;
    EXPECT_EQ(answers.find_first_not_of("0123456789 \n"), std::string::npos) << answers;

    // The same once more compares equal, and a wrong reference does not.
    const ProgramResult same =
        run({"@model", "-m", "getp", "-n", "20", "-i", "@requests.txt", "-o", "@again.txt", "-v", "@answers.txt"});
    EXPECT_EQ(same.code, 0) << same.err;
    folder->write("wrong.txt", "1 2 3\n" + answers.substr(answers.find('\n') + 1));
    const ProgramResult wrong =
        run({"@model", "-m", "getp", "-n", "20", "-i", "@requests.txt", "-o", "@again.txt", "-v", "@wrong.txt"});
    EXPECT_EQ(wrong.code, 1) << wrong.err;
    for (const char* name : {"answers.txt", "again.txt", "wrong.txt"}) fs::remove(folder->path(name));
}

TEST_F(CommandLine, OneBadRequestFailsAndTheOthersGoOn) {
    folder->write("mixed.txt", "3\nfirst\n\nthird\n");
    const ProgramResult r = run({"@model", "-m", "getp", "-n", "20", "-i", "@mixed.txt", "-o", "@mixed.out"});
    EXPECT_EQ(r.code, 1);
    const std::string answers = folder->read("mixed.out");
    EXPECT_EQ(n_lines(answers), 3) << answers;
    EXPECT_NE(answers.find("\n\n"), std::string::npos) << "the second line is empty: " << answers;
    EXPECT_NE(r.err.find("mixed.txt"), std::string::npos) << r.err;
}

TEST_F(CommandLine, ScoreWritesToStdout) {
    folder->write("score.jsonl", "{\"prompt\": [65, 66, 67]}\n{\"prompt\": \"AB\"}\n");
    const ProgramResult r = run({"@model", "-m", "score", "-i", "@score.jsonl", "--logits", "@logits.f32"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(n_lines(r.out), 2) << r.out;
    EXPECT_NE(r.out.find("\"tokens\":[65,66,67]"), std::string::npos) << r.out;
    const auto bytes = fs::file_size(folder->path("logits.f32"));
    EXPECT_GT(bytes, 0u);
    EXPECT_EQ(bytes % (5 * sizeof(float)), 0u) << "5 positions, each with as many logits";
}

TEST_F(CommandLine, ChatEndsWithItsInput) {
    const ProgramResult r = run({"@model", "-m", "chat", "-n", "600"}, "hello\n");
    EXPECT_EQ(r.code, 0) << r.err;
}

TEST_F(CommandLine, ExportedModelsAnswerAlike) {
    // Short of the model's first end token: a legacy file cannot say which tokens end an answer.
    const std::string expected = run({"@model", "--raw", "-n", "12", "-i", "abc"}).out;
    for (const char* kind : {"bin", "hf", "original", "legacy-f32", "legacy-bf16"}) {
        const std::string copy = std::string("@") + kind;
        const ProgramResult exported = run({"export", "@model", copy, "--to", kind});
        EXPECT_EQ(exported.code, 0) << exported.err;
        const ProgramResult r = run({copy, "--raw", "-n", "12", "-i", "abc", "-z", "@model/tokenizer.json"});
        EXPECT_EQ(r.code, 0) << kind << ": " << r.err;
        EXPECT_EQ(r.out, expected) << kind;
        fs::remove_all(folder->path(kind));
    }
}

}  // namespace
