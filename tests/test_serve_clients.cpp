// test_serve_clients.cpp: programs that people use, npm packages, talk to the server: OpenAI's, with its stream
// helpers, and two that run tools in a loop. The model says what they expect.
#include <fstream>
#include <regex>

#include "base/file.h"
#include "job_process.h"
#include "support/scripted_model.h"

namespace {

const std::string kNext = "<|end|><|start|>assistant";

// A thought before each answer; a preamble before the call.
const std::vector<Script> kScripts = {
    {"Go.", "<|channel|>analysis<|message|>A greeting." + kNext + "<|channel|>final<|message|>Hello there.<|return|>"},
    {"Add.", "<|channel|>analysis<|message|>I need the tool." + kNext + "<|channel|>commentary<|message|>Let me add." +
                 kNext +
                 "<|channel|>commentary to=functions.add <|constrain|>json<|message|>{\"a\":2,\"b\":3}<|call|>"},
    {"5", "<|channel|>final<|message|>The sum is 5.<|return|>", "functions.add"},
    {"Count.",
     "<|channel|>final<|message|>ten twenty thirty forty fifty sixty seventy eighty ninety one two three four five six "
     "seven eight nine zero a b c d e f g h i j k l m n o p q r s t u v w x y z<|return|>"},
};

// The program as a server on a free port.
class ServerProcess {
  public:
    explicit ServerProcess(const std::string& model)
        : log_(folder_.path("log")),
          process_({built("run"), "serve", model, "--port", "0", "--served-name", "model", "-T", "0"}, log_) {
        const std::regex address("http://127\\.0\\.0\\.1:([0-9]+)");
        for (int i = 0; i < 3000 && url_.empty(); i++) {
            std::smatch found;
            const std::string text = log();
            const bool is_ready = text.find("serve: ready") != std::string::npos;
            if (is_ready && std::regex_search(text, found, address)) url_ = found.str() + "/v1";
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    }
    const std::string& url() const { return url_; }  // "": it did not start
    std::string log() const {
        std::ifstream file(log_);
        return {std::istreambuf_iterator<char>(file), {}};
    }

  private:
    TempFolder folder_;
    std::string log_;
    JobProcess process_;
    std::string url_;
};

class ServeClients : public testing::TestWithParam<const char*> {};

}  // namespace

TEST_P(ServeClients, GetWhatTheModelSays) {
    const std::string script = std::string("tests/peers/out/clients/") + GetParam() + ".js";
    ASSERT_TRUE(is_file(script)) << "this test needs npm's packages; run: make peers";
    const ScriptedModel model(kScripts);
    const ServerProcess server(model.path());
    ASSERT_NE(server.url(), "") << server.log();
    const ProgramResult client = run_program({"node", script, server.url()});
    EXPECT_EQ(client.code, 0) << client.out << client.err << server.log();
}

INSTANTIATE_TEST_SUITE_P(Packages, ServeClients, testing::Values("openai", "agents", "ai_sdk"),
                         [](const auto& test) { return std::string(test.param); });
