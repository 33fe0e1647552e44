// test_score.cpp: log-probabilities against the softmax of the logits that transformers computes for the same random
// model (tests/golden), and the files of scores and logits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "mode_test.h"
#include "support/json.h"

namespace {

using Json = nlohmann::json;

constexpr double kLogitTolerance = 2e-4;  // of f32 logits whose rms is 2

class Score : public ModeTest {
  protected:
    std::vector<Json> run(const std::string& requests, int expected_code = kExitOk) {
        const int code = run_mode(score, requests);
        EXPECT_EQ(code, expected_code) << error << report;
        std::vector<Json> scores;
        std::istringstream stream(folder.read("answers"));
        for (std::string line; std::getline(stream, line);) scores.push_back(json_of(line));
        return scores;
    }

    static std::vector<float> floats(const std::string& bytes) {
        std::vector<float> values(bytes.size() / sizeof(float));
        std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
        return values;
    }
};

// By the definition, in long double: no shift by the largest logit, which e^20 does not need.
double log_softmax(const float* logits, int n, int id) {
    long double sum = 0;
    for (int i = 0; i < n; i++) sum += std::exp(static_cast<long double>(logits[i]));
    return double(logits[id] - std::log(sum));
}

TEST_F(Score, LogProbabilitiesFollowFromTheLogits) {
    options.logits = folder.path("logits");
    std::string requests;
    std::vector<std::vector<int>> prompts;
    for (const size_t length : {7, 1, 40, 2, 300, 13}) {
        prompts.emplace_back();
        for (size_t i = 0; i < length; i++) prompts.back().push_back(int((i * 131 + length) % 1003));
        requests += Json{{"prompt", prompts.back()}}.dump() + "\n";
    }
    for (const int in_flight : {1, 4}) {
        options.max_in_flight = in_flight;
        const std::vector<Json> scores = run(requests);
        ASSERT_EQ(scores.size(), prompts.size());
        const std::vector<float> logits = floats(folder.read("logits"));
        const int n_vocab = tiny->model().common().vocab_size;
        ASSERT_EQ(logits.size(), size_t(7 + 1 + 40 + 2 + 300 + 13) * size_t(n_vocab));

        const float* row = logits.data();
        for (size_t r = 0; r < prompts.size(); r++) {
            SCOPED_TRACE(r);
            EXPECT_EQ(scores[r]["index"], r) << "in order";
            EXPECT_EQ(scores[r]["tokens"], Json(prompts[r]));
            ASSERT_EQ(scores[r]["logprobs"].size(), prompts[r].size());
            EXPECT_EQ(scores[r]["logprobs"][0], nullptr);
            double sum = 0;
            for (size_t i = 1; i < prompts[r].size(); i++, row += n_vocab) {
                const double expected = log_softmax(row, n_vocab, prompts[r][i]);
                EXPECT_NEAR(scores[r]["logprobs"][i].get<double>(), expected, 1e-12);
                sum += expected;
            }
            row += n_vocab;  // after the last token, where nothing is to be scored
            if (prompts[r].size() == 1)
                EXPECT_EQ(scores[r]["perplexity"], nullptr);
            else
                EXPECT_NEAR(scores[r]["perplexity"].get<double>() / std::exp(-sum / double(prompts[r].size() - 1)), 1,
                            1e-12);
        }
    }
}

TEST_F(Score, LogitsAreThoseOfTransformers) {
    options.logits = folder.path("logits");
    Json golden;
    std::ifstream("tests/golden/tiny/reference.json") >> golden;
    std::ostringstream golden_bytes;
    golden_bytes << std::ifstream("tests/golden/tiny/logits.f32", std::ios::binary).rdbuf();
    std::string requests;
    for (const Json& c : golden["cases"]) requests += Json{{"prompt", c["prompt"]}}.dump() + "\n";
    run(requests);
    const std::vector<float> logits = floats(folder.read("logits")), expected = floats(golden_bytes.str());
    const auto n_vocab = size_t(golden["vocab_size"]);
    size_t first_row = 0;
    for (const Json& c : golden["cases"]) {
        const Json& place = c["logits"];
        const size_t n = size_t(place["shape"][0]) * n_vocab, offset = size_t(place["offset"]) / sizeof(float);
        const size_t begin = (first_row + size_t(place["first_position"])) * n_vocab;
        ASSERT_LE(begin + n, logits.size());
        double worst = 0;
        for (size_t i = 0; i < n; i++)
            worst = std::max(worst, std::fabs(double(logits[begin + i]) - expected[offset + i]));
        EXPECT_LT(worst, kLogitTolerance) << "prompt of " << c["prompt"].size();
        first_row += c["prompt"].size();
    }
    EXPECT_EQ(logits.size(), first_row * n_vocab);
}

TEST_F(Score, TextIsScoredLikeItsTokens) {
    const std::vector<Json> text = run("{\"prompt\": \"Hello\"}\n"), ids = run("{\"prompt\": [72,101,108,108,111]}\n"),
                            file = run("1\nHello\n");
    EXPECT_EQ(text, ids);
    EXPECT_EQ(file, ids);
    const std::vector<Json> chat = run("{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}\n");
    EXPECT_GT(chat[0]["tokens"].size(), 5u) << "a conversation is scored as it is rendered";
}

TEST_F(Score, BadRequestsFailAndTheOthersGoOn) {
    options.logits = folder.path("logits");
    const std::vector<Json> scores =
        run("{\"prompt\": [1, 2]}\n{\"prompt\": []}\n{\"prompt\": [9999]}\n{\"prompt\": [3]}\n", kExitRequestFailed);
    ASSERT_EQ(scores.size(), 4u);
    for (size_t i = 0; i < 4; i++) EXPECT_EQ(scores[i]["index"], i);
    EXPECT_FALSE(scores[0].contains("error"));
    EXPECT_NE(scores[1]["error"].get<std::string>().find("empty"), std::string::npos);
    EXPECT_NE(scores[2]["error"].get<std::string>().find("9999"), std::string::npos);
    EXPECT_FALSE(scores[1].contains("logprobs"));
    EXPECT_EQ(folder.read("logits").size(), 3 * 1003 * sizeof(float)) << "failed requests have no rows";
    EXPECT_NE(report.find(options.input + ":2: "), std::string::npos) << report;
    EXPECT_NE(report.find("2 scored, 2 failed"), std::string::npos) << report;
}

TEST_F(Score, SummaryIsOverAllTokens) {
    const std::vector<Json> scores = run("2\nabc\nde\n");
    double sum = 0;
    for (const Json& s : scores)
        for (size_t i = 1; i < s["logprobs"].size(); i++) sum += s["logprobs"][i].get<double>();
    const size_t at = report.find("perplexity of all 3 scored tokens: ");
    ASSERT_NE(at, std::string::npos) << report;
    // Six decimals are shown.
    EXPECT_NEAR(std::stod(report.substr(report.find(": ", at) + 2)), std::exp(-sum / 3), 5.1e-7);
    run("0\n");
    EXPECT_NE(report.find("perplexity of all 0 scored tokens: null"), std::string::npos) << report;
}

TEST_F(Score, BadUsage) {
    options.output = options.input;
    run("1\na\n", -1);
    EXPECT_NE(error.find("--output"), std::string::npos);
    EXPECT_EQ(folder.read("requests"), "1\na\n");
    options.output = folder.path("answers");
    options.logits = options.output;
    run("1\na\n", -1);
    EXPECT_NE(error.find("--logits"), std::string::npos);
    options.logits = "/dev/full";
    run("1\na\n", -1);
    EXPECT_NE(error.find("/dev/full: cannot write"), std::string::npos);
    options.logits = "";
    options.input = "";
    run("1\na\n", -1);
    EXPECT_NE(error.find("--input"), std::string::npos);
}

}  // namespace
