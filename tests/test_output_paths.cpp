// test_output_paths.cpp: the program and its output paths: what -o, --logits and export refuse, and what is left of a
// run that cannot start or cannot go on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "error.h"
#include "options.h"
#include "requests.h"
#include "small_model_test.h"
#include "subprocess.h"

namespace fs = std::filesystem;

namespace {

// A folder with a small model as a snapshot and as a .bin, and requests. "@name" in an argument is a path in it.
class OutputPaths : public SmallModelTest {
  protected:
    void SetUp() override {
        fs::copy(made->path("model"), folder.path("model"));
        folder.write("requests.jsonl", "{\"prompt\": [65], \"max_tokens\": 2, \"ignore_eos\": true}\n");
        folder.write("answers", "last night's\n");
    }

    ProgramResult run(const std::vector<std::string>& args) const {
        std::vector<std::string> command = {built("run")};
        for (const std::string& arg : args) command.push_back(arg[0] == '@' ? folder.path(arg.substr(1)) : arg);
        return run_program(command);
    }
    ProgramResult getp(const std::string& output) const {
        return run({"@model", "-m", "getp", "-i", "@requests.jsonl", "-o", output, "--overwrite"});
    }
    ProgramResult shell(const std::string& line) const {
        return run_program({"bash", "-c", "cd " + folder.path() + "; RUN=" + built("run") + "; " + line});
    }
    static void expect_refused(const ProgramResult& r, const std::string& word) {
        EXPECT_EQ(r.code, 2) << r.err;
        EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
        EXPECT_NE(r.err.find(word), std::string::npos) << r.err;
    }
};

TEST_F(OutputPaths, NoOutputIsAFileOfTheModel) {
    std::map<std::string, std::string> before;
    for (const auto& entry : fs::directory_iterator(folder.path("model"))) {
        const std::string name = entry.path().filename();
        before[name] = folder.read("model/" + name);
    }
    ASSERT_GE(before.size(), 3u);
    fs::create_hard_link(folder.path("model/model.safetensors"), folder.path("hard"));
    fs::create_symlink("model/tokenizer.json", folder.path("soft"));
    std::vector<std::string> outputs = {"@hard", "@soft"};
    for (const auto& [name, content] : before) outputs.push_back("@model/" + name);
    for (const std::string& output : outputs) {
        SCOPED_TRACE(output);
        expect_refused(getp(output), "--output: expected a file other than the model's");
        expect_refused(run({"@model", "-m", "score", "-i", "@requests.jsonl", "--logits", output}),
                       "--logits: expected a file other than the model's");
        for (const char* overwrite : {"--overwrite", "--to=bin"})
            EXPECT_EQ(run({"export", "@model", output, overwrite}).code, 2);
    }
    for (const auto& [name, content] : before) EXPECT_TRUE(folder.read("model/" + name) == content) << name;
}

TEST_F(OutputPaths, NorIsStdout) {
    const std::string config = folder.read("model/config.json");
    for (const char* command :
         {"-i Hi", "-m chat -i Hi", "-m getp -i requests.jsonl -o -", "-m score -i requests.jsonl"})
        expect_refused(shell("$RUN model " + std::string(command) + " >> model/config.json < /dev/null"),
                       "expected a file other than the model's");
    EXPECT_EQ(folder.read("model/config.json"), config);
}

TEST_F(OutputPaths, NorATokenizerThatWasAskedFor) {
    const std::string tokenizer = folder.read("model/tokenizer.json");
    folder.write("other.json", tokenizer);
    expect_refused(run({"@model", "-z", "@other.json", "-m", "getp", "-i", "@requests.jsonl", "-o", "@other.json"}),
                   "the model's");
    EXPECT_TRUE(folder.read("other.json") == tokenizer);
    ASSERT_EQ(run({"export", "@model", "@model.bin"}).code, 0);
    folder.write("tokenizer.json", tokenizer);  // beside a .bin, it is the model's
    expect_refused(run({"@model.bin", "-m", "getp", "-i", "@requests.jsonl", "-o", "@tokenizer.json"}), "the model's");
    expect_refused(run({"@model.bin", "-m", "getp", "-i", "@requests.jsonl", "-o", "@model.bin"}), "the model's");
    EXPECT_TRUE(folder.read("tokenizer.json") == tokenizer);
}

TEST_F(OutputPaths, ARunThatCannotStartKeepsTheOldAnswers) {
    for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{
             {"-z", "@nowhere"}, {"-v", "@nowhere"}, {"-v", "@requests.jsonl"}, {"-i", "@nowhere"}}) {
        std::vector<std::string> args = {"@model", "-m", "getp", "-o", "@answers", "--overwrite"};
        if (more[0] != "-i") args.insert(args.end(), {"-i", "@requests.jsonl"});
        args.insert(args.end(), more.begin(), more.end());
        expect_refused(run(args), "");
        EXPECT_EQ(folder.read("answers"), "last night's\n") << more[0];
        args[4] = "@new";
        EXPECT_EQ(run(args).code, 2);
        EXPECT_FALSE(fs::exists(folder.path("new")));
    }
}

TEST_F(OutputPaths, StdoutIsAsTheShellMadeIt) {
    const std::string getp = "$RUN model -m getp -i requests.jsonl -o ";
    ASSERT_EQ(shell(getp + "/dev/stdout >> answers").code, 0);
    EXPECT_EQ(folder.read("answers").find("last night's\n{"), 0u) << "appended: " << folder.read("answers");
    for (const char* name : {"-", "/dev/stdout", "/dev/fd/1"}) {
        const ProgramResult r = shell(getp + name);
        EXPECT_EQ(r.code, 0) << r.err;
        EXPECT_EQ(r.out.find("{\"id\""), 0u) << r.out;
    }
    EXPECT_EQ(shell(getp + "/dev/null").code, 0);
    ASSERT_EQ(mkfifo(folder.path("pipe").c_str(), 0600), 0);
    const ProgramResult piped = shell("cat pipe & " + getp + "pipe; wait");
    EXPECT_EQ(piped.out.find("{\"id\""), 0u) << piped.out << piped.err;
    const ProgramResult model = shell(getp + "- >> model/config.json");
    expect_refused(model, "the model's");
}

TEST_F(OutputPaths, AReaderThatGoesEndsTheRun) {
    std::string requests;
    for (int i = 0; i < 200; i++) requests += "{\"prompt\": [65], \"max_tokens\": 300, \"ignore_eos\": true}\n";
    folder.write("requests.jsonl", requests);
    const ProgramResult r = shell("$RUN model -m getp -i requests.jsonl -o - -b 2 | head -n 1; echo ${PIPESTATUS[0]}");
    EXPECT_EQ(r.out.find("{\"id\""), 0u) << r.out;
    EXPECT_EQ(r.out.substr(r.out.find('\n') + 1), "2\n") << r.err;
    EXPECT_NE(r.err.find("cannot write: Broken pipe"), std::string::npos) << r.err;
}

TEST_F(OutputPaths, TwoRunsOnOneOutput) {
    const int fd = open(folder.path("answers").c_str(), O_WRONLY);
    ASSERT_EQ(flock(fd, LOCK_EX), 0);  // as another run does
    expect_refused(getp("@answers"), "another run");
    EXPECT_EQ(folder.read("answers"), "last night's\n");
    close(fd);
    EXPECT_EQ(getp("@answers").code, 0);
    EXPECT_EQ(folder.read("answers").find("{\"id\""), 0u);
}

// The answers of the first requests are out when the disk is full; the last one would run for minutes.
TEST_F(OutputPaths, AFullDiskEndsTheRun) {
    folder.write("requests.jsonl",
                 "{\"prompt\": [65], \"max_tokens\": 2, \"ignore_eos\": true}\n"
                 "{\"prompt\": [65], \"max_tokens\": 100000, \"ignore_eos\": true}\n");
    const ProgramResult r = getp("/dev/full");
    EXPECT_EQ(r.code, 2) << "SIGALRM, if it went on: " << r.err;
    EXPECT_NE(r.err.find("/dev/full: cannot write: No space"), std::string::npos) << r.err;
    EXPECT_EQ(r.err.find("requests:"), std::string::npos) << "no report of answers that are lost: " << r.err;
}

// No answer can be written any more, and the pipe is silent: without an interrupt the run would wait for its next line.
TEST_F(OutputPaths, AFullDiskEndsARunThatWaitsForAPipe) {
    for (const char* mode : {"getp", "score"}) {
        const std::string script = fmt::format(
            "mkfifo {0}.{3}; exec 7<> {0}.{3}; echo '{{\"prompt\": [65, 66], \"max_tokens\": 2}}' >&7; "
            "timeout 60 {1} {2} -m {3} -i {0}.{3} -o /dev/full",
            folder.path("pipe"), built("run"), folder.path("model"), mode);
        const ProgramResult r = run_program({"bash", "-c", script});
        EXPECT_EQ(r.code, 2) << mode << ", 124 if it went on waiting: " << r.err;
        EXPECT_NE(r.err.find("/dev/full: cannot write: No space"), std::string::npos) << mode << ": " << r.err;
    }
}

TEST_F(OutputPaths, ExportFromWhereTheFoundingDocumentsSay) {
    EXPECT_EQ(run({"export", "--snapshot", "@model", "-o", "@a.bin"}).code, 0);
    EXPECT_EQ(run({"export", "@model", "@b.bin"}).code, 0);
    EXPECT_EQ(run({"export", "--snapshot", "@model", "@c.bin"}).code, 0);
    EXPECT_EQ(run({"export", "-o", "@d.bin", "@model"}).code, 0);
    for (const char* name : {"b.bin", "c.bin", "d.bin"}) EXPECT_TRUE(folder.read(name) == folder.read("a.bin")) << name;
    expect_refused(run({"export", "--snapshot", "@model", "-o", "@a.bin"}), "--overwrite");
    EXPECT_EQ(run({"export", "--snapshot", "@model", "-o", "@a.bin", "--overwrite"}).code, 0);
    expect_refused(run({"export", "--snapshot", "@model", "-o", "@e.bin", "@model"}), "model");
}

TEST_F(OutputPaths, ExportFromTheHubsCache) {
    const std::string cached = "hub/models--openai--gpt-oss-20b/";
    fs::create_directories(folder.path(cached + "refs"));
    fs::create_directories(folder.path(cached + "snapshots"));
    folder.write(cached + "refs/main", "1f3a");
    fs::copy(folder.path("model"), folder.path(cached + "snapshots/1f3a"));
    const std::string home = "HF_HUB_CACHE= HF_HOME=. $RUN export ";
    const ProgramResult r = shell(home + "--model-id openai/gpt-oss-20b -o cached.bin");
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(run({"export", "@model", "@direct.bin"}).code, 0);
    EXPECT_TRUE(folder.read("cached.bin") == folder.read("direct.bin"));
    expect_refused(shell(home + "--model-id openai/gpt-oss-120b -o x.bin"), "models--openai--gpt-oss-120b");
    expect_refused(shell(home + "--model-id openai/gpt-oss-20b --snapshot model -o x.bin"), "twice");
    EXPECT_FALSE(fs::exists(folder.path("x.bin")));
}

// The reader counts at its start, and reads blocks of 1 MiB later.
TEST(RequestIntake, AnInputThatShrinksIsNoticed) {
    const TempFolder folder;
    const std::string line =
        "{\"custom_id\": \"%\", \"prompt\": [1], \"note\": \"" + std::string(50'000, 'x') + "\"}\n";
    std::string json, text = "100\n";
    for (int i = 0; i < 100; i++) {
        json += line.substr(0, line.find('%')) + std::to_string(i) + line.substr(line.find('%') + 1);
        text += std::string(50'000, 'a') + "\n";
    }
    Config config;
    config.vocab_size = 1000;
    config.max_context = 100'000;
    const TextCodec codec(Tokenizer::open("demo/tokenizer.json"));
    for (const std::string& content : {json, text}) {
        RequestOptions options;
        options.input = folder.write("requests", content);
        RequestReader reader(options, config, codec, Purpose::kAnswer);
        RequestIntake intake(reader);
        fs::resize_file(options.input, uintmax_t(content.size() / 2));
        int64_t n = 0;
        while (intake.next()) n++;
        EXPECT_LT(n, 60);
        EXPECT_GT(n, 40);
        const std::string missing = intake.missing(options.input, n);
        EXPECT_NE(missing.find("changed during the run"), std::string::npos) << missing;
        EXPECT_EQ(missing.find('\n'), std::string::npos);
        EXPECT_FALSE(intake.next()) << "it stays at its end";
    }
}

TEST(RequestIntake, AnswersThatAreMissingAreNoticed) {
    const TempFolder folder;
    RequestOptions options;
    options.input = folder.write("requests", "{\"prompt\": [1]}\n{\"prompt\": [2]}\n");
    Config config;
    config.vocab_size = 10;
    config.max_context = 100;
    const TextCodec codec("no tokenizer");
    RequestReader reader(options, config, codec, Purpose::kAnswer);
    RequestIntake intake(reader);
    while (intake.next()) continue;
    EXPECT_EQ(intake.missing(options.input, 2), "");
    EXPECT_NE(intake.missing(options.input, 1).find("expected 2 answers"), std::string::npos);
}

}  // namespace
