// test_getp.cpp: files of requests through the engine, against transformers' greedy continuations of the same random
// model (tests/golden), and against themselves under other batch sizes and orders.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "mode_test.h"
#include "support/json.h"

namespace {

using Json = nlohmann::json;

struct GetpResult {
    int code = -1;
    std::string error;   // of an Error
    std::string report;  // stderr
    std::string out;     // the answers' file
};

class Getp : public ModeTest {
  protected:
    static void SetUpTestSuite() {
        ModeTest::SetUpTestSuite();
        std::ifstream("tests/golden/tiny/reference.json") >> golden;
    }

    Getp() {
        options.steps = 24;
        options.seed = 5;
        options.temperature = 0;
    }

    GetpResult run(const std::string& requests) {
        GetpResult result;
        result.code = run_mode(getp, requests);
        result.error = error;
        result.report = report;
        if (std::filesystem::is_regular_file(options.output)) result.out = folder.read("answers");
        return result;
    }

    static std::vector<std::string> lines(const std::string& text) {
        std::vector<std::string> all;
        std::istringstream stream(text);
        for (std::string line; std::getline(stream, line);) all.push_back(line);
        return all;
    }
    // The rest of the report's line after `label`.
    static std::string reported(const GetpResult& run, const std::string& label) {
        const size_t at = run.report.find(label);
        if (at == std::string::npos) return "";
        return run.report.substr(at + label.size(), run.report.find('\n', at) - at - label.size());
    }
    // The golden prompts as lines of JSON, in order or backwards.
    static std::string golden_requests(bool backwards = false) {
        std::vector<std::string> all;
        for (size_t i = 0; i < golden["cases"].size(); i++)
            all.push_back(Json{
                {"custom_id", std::to_string(i)},
                {"prompt", golden["cases"][i]["prompt"]},
                {"max_tokens", golden["cases"][i]["greedy"].size()},
                {"ignore_eos", true},
                {"return_token_ids",
                 true}}.dump());
        if (backwards) std::reverse(all.begin(), all.end());
        std::string text;
        for (const std::string& line : all) text += line + "\n";
        return text;
    }
    // The answers' ids by custom_id.
    static std::map<std::string, Json> token_ids(const std::string& out) {
        std::map<std::string, Json> ids;
        for (const std::string& line : lines(out)) {
            const Json answer = json_of(line);
            const std::string id = answer["custom_id"];
            EXPECT_EQ(ids.count(id), 0u) << "one answer a request";
            ids[id] = answer["response"]["body"]["choices"][0]["token_ids"];
        }
        return ids;
    }

    static inline Json golden;
};

const char* const kPrompts = "6\nOnce upon a time\na\nThe quick brown fox\n!!\nfive\nthe sixth prompt\n";

TEST_F(Getp, GreedyAnswersAreThoseOfTransformers) {
    for (const bool backwards : {false, true})
        for (const int in_flight : {1, 3, 32}) {
            options.max_in_flight = in_flight;
            const GetpResult r = run(golden_requests(backwards));
            EXPECT_EQ(r.code, kExitOk) << r.error << r.report;
            const std::map<std::string, Json> ids = token_ids(r.out);
            ASSERT_EQ(ids.size(), golden["cases"].size());
            for (size_t i = 0; i < golden["cases"].size(); i++)
                EXPECT_EQ(ids.at(std::to_string(i)), golden["cases"][i]["greedy"])
                    << "case " << i << ", " << in_flight << " in flight";
        }
}

TEST_F(Getp, TheReferencePathSaysTheSame) {
    options.reference = true;
    options.max_requests = 2;  // the short ones, as it is slow
    const GetpResult r = run(golden_requests());
    EXPECT_EQ(r.code, kExitOk) << r.error << r.report;
    const std::map<std::string, Json> ids = token_ids(r.out);
    ASSERT_EQ(ids.size(), 2u);
    for (size_t i = 0; i < 2; i++) EXPECT_EQ(ids.at(std::to_string(i)), golden["cases"][i]["greedy"]);
}

TEST_F(Getp, TextFormatIsALineARequestInOrder) {
    const GetpResult r = run(kPrompts);
    EXPECT_EQ(r.code, kExitOk) << r.error << r.report;
    const std::vector<std::string> answers = lines(r.out);
    ASSERT_EQ(answers.size(), 6u);
    EXPECT_EQ(r.out.back(), '\n');

    // The same prompts, one by one and as token ids, are the expected answers.
    const std::vector<std::string> prompts = lines(kPrompts);
    int n_ids = 0;
    for (size_t i = 0; i < answers.size(); i++) {
        const std::string& prompt = prompts[i + 1];
        const GetpResult one =
            run(Json{{"prompt", std::vector<int>(prompt.begin(), prompt.end())}, {"return_token_ids", true}}.dump());
        std::string expected;
        const Json answer = json_of(one.out);
        for (const Json& id : answer["response"]["body"]["choices"][0]["token_ids"])
            expected += (expected.empty() ? "" : " ") + id.dump();
        EXPECT_EQ(answers[i], expected) << prompt;
        const auto n = int(std::count(answers[i].begin(), answers[i].end(), ' ')) + 1;
        EXPECT_LE(n + int(prompt.size()), options.steps);
        n_ids += n;
    }
    EXPECT_EQ(reported(r, "requests: "), "6 ok, 0 failed");
    EXPECT_NE(reported(r, "tokens: ").find(std::to_string(n_ids) + " generated"), std::string::npos) << r.report;
    EXPECT_GT(std::stod(reported(r, "achieved throughput TPS (tok/s): ")), 0);
    EXPECT_GT(std::stod(reported(r, "warm-up (s): ")), 0);
    EXPECT_GT(std::stod(reported(r, "elapsed (s): ")), 0);
    EXPECT_EQ(r.report.find('\r'), std::string::npos) << "no progress line, as stderr is no terminal";
}

TEST_F(Getp, SampledAnswersDependOnNothingElseInTheBatch) {
    options.temperature = 1;
    options.top_p = 1;
    options.max_in_flight = 1;
    const GetpResult alone = run(kPrompts);
    options.max_in_flight = 6;
    const GetpResult together = run(kPrompts);
    EXPECT_EQ(alone.out, together.out);
    EXPECT_EQ(reported(alone, "run hash: "), reported(together, "run hash: "));
    EXPECT_EQ(reported(alone, "run hash: ").size(), 16u);

    options.seed = 6;
    const GetpResult other = run(kPrompts);
    EXPECT_NE(other.out, alone.out);
    EXPECT_NE(reported(other, "run hash: "), reported(alone, "run hash: "));

    const GetpResult twins =
        run("{\"prompt\": [65], \"return_token_ids\": true}\n{\"prompt\": [65], \"return_token_ids\": true}\n"
            "{\"prompt\": [65], \"return_token_ids\": true, \"seed\": 1}\n"
            "{\"prompt\": [65], \"return_token_ids\": true, \"seed\": 1}\n");
    std::map<std::string, Json> by_id;
    for (const std::string& line : lines(twins.out)) {
        const Json answer = json_of(line);
        by_id[answer["id"]] = answer["response"]["body"]["choices"][0]["token_ids"];
    }
    EXPECT_NE(by_id.at("batch_req_0"), by_id.at("batch_req_1")) << "a stream each";
    EXPECT_EQ(by_id.at("batch_req_2"), by_id.at("batch_req_3")) << "the seed that they ask for";
}

TEST_F(Getp, MoreTokensThanStepsIfARequestAsksForThem) {
    // Longer than --steps and the sliding window together: the cache must be made for it.
    options.steps = 8;
    EXPECT_EQ(run(golden_requests()).code, kExitOk);
    const auto ids = token_ids(run(golden_requests()).out);
    for (size_t i = 0; i < golden["cases"].size(); i++)
        EXPECT_EQ(ids.at(std::to_string(i)), golden["cases"][i]["greedy"]);
}

TEST_F(Getp, BadRequestsFailAndTheOthersGoOn) {
    GetpResult r = run("4\nfirst\n\nx\xff\nfourth\n");
    EXPECT_EQ(r.code, kExitRequestFailed);
    const std::vector<std::string> answers = lines(r.out);
    ASSERT_EQ(answers.size(), 4u);
    EXPECT_NE(answers[0], "");
    EXPECT_EQ(answers[1], "");
    EXPECT_EQ(answers[2], "");
    EXPECT_NE(answers[3], "");
    EXPECT_NE(r.report.find(options.input + ":3: the prompt is empty\n"), std::string::npos) << r.report;
    EXPECT_NE(r.report.find(options.input + ":4: "), std::string::npos) << r.report;
    EXPECT_EQ(reported(r, "requests: "), "2 ok, 2 failed");

    r = run(
        "{\"custom_id\": \"a\", \"prompt\": [65]}\n{\"custom_id\": \"b\", \"prompt\": [65], \"max_tokens\": -3}\n{\n");
    EXPECT_EQ(r.code, kExitRequestFailed);
    std::map<Json, Json> by_id;
    for (const std::string& line : lines(r.out)) {
        const Json answer = json_of(line);
        by_id[answer["custom_id"]] = answer;
    }
    ASSERT_EQ(by_id.size(), 3u);
    EXPECT_EQ(by_id["a"]["error"], nullptr);
    EXPECT_EQ(by_id["a"]["response"]["status_code"], 200);
    EXPECT_EQ(by_id["b"]["error"], nullptr);
    EXPECT_EQ(by_id["b"]["response"]["status_code"], 400);
    EXPECT_EQ(by_id["b"]["response"]["body"]["error"]["param"], "max_tokens");
    EXPECT_EQ(by_id[nullptr]["response"]["body"]["error"]["message"].get<std::string>().substr(0, 8), "line 3: ");
}

TEST_F(Getp, StopStringsEndAnAnswer) {
    // The greedy text, cut before a character from its middle.
    const std::string request = R"({"prompt": "Once upon", "max_tokens": 40, "ignore_eos": true)";
    const std::string whole = json_of(run(request + "}").out)["response"]["body"]["choices"][0]["text"];
    size_t begin = whole.size() / 2;
    while (begin > 0 && (whole[begin] & 0xc0) == 0x80) begin--;
    size_t end = begin + 1;
    while (end < whole.size() && (whole[end] & 0xc0) == 0x80) end++;
    const std::string stop = whole.substr(begin, end - begin);
    ASSERT_LT(end, whole.size());

    const Json answer = json_of(run(request + ", \"stop\": " + Json(stop).dump() + "}").out);
    const Json& choice = answer["response"]["body"]["choices"][0];
    EXPECT_EQ(choice["text"], whole.substr(0, whole.find(stop)));
    EXPECT_EQ(choice["finish_reason"], "stop");
    EXPECT_LT(answer["response"]["body"]["usage"]["completion_tokens"], 40);
}

TEST_F(Getp, NothingToDo) {
    for (const char* requests : {"0\n", "0"}) {
        folder.write("answers", "old");
        const GetpResult r = run(requests);
        EXPECT_EQ(r.code, kExitOk) << r.error;
        EXPECT_EQ(r.out, "") << "the old answers are gone";
        EXPECT_EQ(reported(r, "requests: "), "0 ok, 0 failed");
    }
    options.max_requests = 0;
    EXPECT_EQ(run(kPrompts).out, "");
}

TEST_F(Getp, Verify) {
    const std::string answers = run(kPrompts).out;
    options.verify = folder.write("reference", answers);
    GetpResult r = run(kPrompts);
    EXPECT_EQ(r.code, kExitOk) << r.report;
    EXPECT_EQ(reported(r, "verify: "), "6 of 6 requests equal");
    const std::string output = std::exchange(options.output, "/dev/null");
    EXPECT_EQ(reported(run(kPrompts), "verify: "), "6 of 6 requests equal") << "where nothing is kept";
    options.output = output;

    // One token of the third answer is another; the requests are the JSON form of the same prompts.
    std::vector<std::string> reference = lines(answers);
    const std::string found = reference[2].substr(0, reference[2].find(' '));
    reference[2] = (found == "1" ? "2" : "1") + reference[2].substr(found.size());
    folder.write("reference", fmt::format("{}\n", fmt::join(reference, "\n")));
    std::string json;
    for (const std::string& prompt : lines(kPrompts))
        if (prompt != "6") json += Json{{"prompt", prompt}}.dump() + "\n";
    r = run(json);
    EXPECT_EQ(r.code, kExitRequestFailed);
    EXPECT_NE(r.report.find("verify: request 2: token 0: expected "), std::string::npos) << r.report;
    EXPECT_NE(r.report.find("verify: 5 of 6 requests equal"), std::string::npos) << r.report;

    folder.write("reference", answers + "1 2 3\n");
    EXPECT_EQ(run(kPrompts).code, kExitRequestFailed) << "more lines than requests";
    options.max_requests = 2;
    EXPECT_EQ(run(kPrompts).code, kExitOk) << "which is as asked for here";
    options.max_requests = -1;
    folder.write("reference", answers.substr(0, answers.find('\n') + 1));
    r = run(kPrompts);
    EXPECT_EQ(r.code, kExitRequestFailed) << "fewer lines";
    EXPECT_NE(r.report.find("verify: 1 of 6 requests equal"), std::string::npos) << r.report;
}

TEST_F(Getp, BadUsageTouchesNothing) {
    folder.write("answers", "old");
    options.verify = folder.write("reference", "no ids\n");
    EXPECT_NE(run(kPrompts).error, "");
    options.verify = options.output;
    EXPECT_NE(run(kPrompts).error.find("--verify"), std::string::npos);
    options.verify = "";
    options.tokenizer = folder.path("nowhere");
    EXPECT_NE(run(kPrompts).error.find("nowhere"), std::string::npos);
    options.tokenizer = "";
    EXPECT_NE(run("2\nonly one\n").error, "");
    EXPECT_EQ(folder.read("answers"), "old");

    options.output = options.input;
    EXPECT_NE(run(kPrompts).error.find("--output"), std::string::npos);
    EXPECT_EQ(folder.read("requests"), kPrompts);
    options.output = "";
    EXPECT_NE(run(kPrompts).error.find("--output"), std::string::npos);
    options.output = folder.path("answers");
    options.input = "";
    EXPECT_NE(run(kPrompts).error.find("--input"), std::string::npos);
}

TEST_F(Getp, AFullDiskIsAnError) {
    options.output = "/dev/full";
    EXPECT_NE(run(kPrompts).error.find("/dev/full: cannot write"), std::string::npos);
}

}  // namespace
