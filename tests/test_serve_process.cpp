// test_serve_process.cpp: `run serve` as a process: its flags, its first line, signals, exit codes.
#include "job_process.h"
#include "serve_client.h"
#include "text_checks.h"

namespace {

class ServeProcess : public SmallModelTest {
  protected:
    std::vector<std::string> command(const std::vector<std::string>& more = {}) const {
        std::vector<std::string> args = {built("run"), "serve", made->path("model"), "--port", "0"};
        args.insert(args.end(), more.begin(), more.end());
        return args;
    }
    // The port that the process says, as soon as it does; 0 if it does not.
    int port() const {
        for (int i = 0; i < 6000; i++) {
            const std::string text = folder.read("log"), mark = "http://127.0.0.1:";
            const size_t at = text.find(mark);
            if (at != std::string::npos && text.find('\n', at) != std::string::npos)
                return std::stoi(text.substr(at + mark.size()));
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return 0;
    }
    static HttpAnswer get(int port, const std::string& path) {
        HttpClient client(port);
        client.get(path);
        return client.answer();
    }
    static bool is_ready(int port) {
        for (int i = 0; i < 6000; i++) {
            if (get(port, "/health").status == 200) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }
    std::string log = folder.path("log");
};

TEST_F(ServeProcess, ServesUntilASignal) {
    JobProcess process(command(), log);
    const int at = port();
    ASSERT_TRUE(is_ready(at)) << folder.read("log");
    EXPECT_EQ(get(at, "/v1/models").json()["data"][0]["id"], "model");
    HttpClient client(at);
    client.post("/v1/completions", R"({"prompt": [1, 2], "max_tokens": 3, "ignore_eos": true})");
    EXPECT_EQ(client.answer().json()["usage"]["completion_tokens"], 3);
    HttpClient running(at);
    running.post("/v1/completions", R"({"prompt": [1, 2], "max_tokens": 40, "ignore_eos": true, "stream": true})");
    EXPECT_EQ(running.head_of_answer().status, 200);
    process.send(SIGTERM);
    EXPECT_EQ(running.events().back(), "[DONE]") << "what has begun ends";
    EXPECT_EQ(process.wait(), 0) << folder.read("log");
    const std::string text = folder.read("log");
    EXPECT_NE(text.find("POST /v1/completions 200: prompt 2 (0 reused), new 3"), std::string::npos) << text;
}

TEST_F(ServeProcess, ASecondSignalEndsItAtOnce) {
    JobProcess process(command({"--grace", "1000"}), log);
    const int at = port();
    ASSERT_TRUE(is_ready(at)) << folder.read("log");
    HttpClient running(at);
    running.post("/v1/completions", R"({"prompt": [1, 2], "max_tokens": 100000, "ignore_eos": true, "stream": true})");
    EXPECT_EQ(running.head_of_answer().status, 200);
    process.send(SIGTERM);
    for (int i = 0; i < 6000 && HttpClient(at).connected(); i++)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_FALSE(HttpClient(at).connected()) << "it takes no more";
    process.send(SIGINT);
    EXPECT_EQ(process.wait(), 1) << folder.read("log");
}

TEST_F(ServeProcess, BadFlags) {
    const auto error = [&](const std::vector<std::string>& more) {
        const ProgramResult result = run_program(command(more));
        EXPECT_EQ(result.code, 2) << result.err;
        return result.err;
    };
    EXPECT_NE(error({"--host", "0.0.0.0"}).find("--no-auth"), std::string::npos);
    EXPECT_NE(error({"--port", "70000"}).find("--port"), std::string::npos);
    EXPECT_NE(error({"--max-body", "x"}).find("--max-body"), std::string::npos);
    EXPECT_NE(error({"--api-key-file", folder.path("none")}).find("--api-key-file"), std::string::npos);
    EXPECT_NE(error({"-o", "x"}).find("--output: for getp, score only"), std::string::npos);
    EXPECT_NE(error({"--reasoning-field", "thoughts"}).find("--reasoning-field"), std::string::npos);
    EXPECT_NE(error({"--host", ""}).find("--host: expected an address"), std::string::npos);
    for (const std::string flag : {"--port", "--store"}) {
        const ProgramResult other = run_program({built("run"), made->path("model"), flag, "0", "-i", "x"});
        EXPECT_EQ(other.code, 2) << flag;
        EXPECT_NE(other.err.find(flag + ": for serve only"), std::string::npos) << other.err;
    }
}

TEST_F(ServeProcess, HelpListsWhatServeObeys) {
    const ProgramResult result = run_program({built("run"), "serve", "--help"});
    EXPECT_EQ(result.code, 0);
    for (const char* flag :
         {"--host", "--port", "--api-key", "--queue", "--cors", "--grace", "--in-flight", "--kv-memory"})
        EXPECT_NE(result.out.find(flag), std::string::npos) << flag;
    for (const char* flag : {"--retry-failed", "--shard", "--overwrite", "--logits"})
        EXPECT_EQ(result.out.find(flag), std::string::npos) << flag;
}

}  // namespace
