// test_report.cpp: rates, shares and percentiles from known sums; the file that --report names.
#include <gtest/gtest.h>

#include "mode_test.h"
#include "report.h"
#include "support/json.h"

namespace {

using Json = nlohmann::json;

TEST(Report, PercentilesAreValuesThatWereThere) {
    std::vector<float> hundred;
    for (int i = 100; i > 0; i--) hundred.push_back(float(i));
    EXPECT_EQ(percentile(hundred, 50), 50);
    EXPECT_EQ(percentile(hundred, 90), 90);
    EXPECT_EQ(percentile(hundred, 99), 99);
    EXPECT_EQ(percentile(hundred, 100), 100);
    EXPECT_EQ(percentile({3, 1, 2}, 50), 2);
    EXPECT_EQ(percentile({3, 1, 2}, 90), 3);
    EXPECT_EQ(percentile({1, 2}, 50), 1);
    for (const double p : {50.0, 90.0, 99.0}) {
        EXPECT_EQ(percentile({7}, p), 7) << "of one";
        EXPECT_EQ(percentile({}, p), 0) << "of none";
    }
}

Report some_report() {
    Report report;
    report.n_ok = 3;
    report.n_failed = 1;
    report.n_prompt = 60;
    report.n_generated = 90;
    report.hash = 0xabc;
    report.load_s = 1;
    report.warm_up_s = 3;
    report.inference_s = 4.5;
    report.first_token_s = {0.5f, 0.25f, 1};
    report.request_s = {2, 3, 4};
    EngineStats s;
    s.prompt_tokens = 40;
    s.reused_tokens = 20;
    s.new_tokens = 90;
    s.prefill_new_tokens = 10;
    s.prefill_steps = 2;
    s.decode_steps = 40;
    s.prefill_rows = 50;
    s.decode_rows = 80;
    s.prefill_s = 0.5;
    s.decode_s = 2;
    s.prefill_bytes = 1000;
    s.decode_bytes = 4000;
    s.device_s = 3;
    s.device_idle_s = 1;
    report.devices = {{"GPU 0: one, bf16", s}, {"GPU 1: another, bf16", s}};
    report.devices[1].stats.ops = {{"qkv", 2, 0, 0.5}, {"o", 2, 0, 1.5}};
    return report;
}

TEST(Report, RatesAndSharesFromSums) {
    Model model;
    model.path =
        "some/\xff"
        "model";  // not UTF-8, as a path may be
    model.gpt_oss().config.n_layers = 24;
    const Json json = json_of(report_json(some_report(), model));
    EXPECT_TRUE(json["error"].is_null());
    EXPECT_EQ(json["requests"], (Json{{"ok", 3}, {"failed", 1}}));
    EXPECT_EQ(json["tokens"], (Json{{"prompt", 60}, {"generated", 90}}));
    EXPECT_EQ(json["seconds"], (Json{{"load", 1.0}, {"warm_up", 2.0}, {"inference", 4.5}}));
    EXPECT_EQ(json["tokens_per_s"], 20);
    EXPECT_EQ(json["first_token_s"], (Json{{"p50", 0.5}, {"p90", 1.0}, {"p99", 1.0}}));
    EXPECT_EQ(json["request_s"]["p50"], 3);
    EXPECT_EQ(json["run_hash"], "0000000000000abc");
    EXPECT_EQ(json["model"]["layers"], 24);
    EXPECT_FALSE(json["machine"]["host"].get<std::string>().empty());
    EXPECT_FALSE(json["command"].empty());

    ASSERT_EQ(json["devices"].size(), 2u);
    const Json& first = json["devices"][0];
    EXPECT_EQ(first["name"], "GPU 0: one, bf16");
    EXPECT_EQ(first["prompt_tokens_computed"], 40);
    EXPECT_EQ(first["prompt_tokens_reused"], 20);
    EXPECT_EQ(first["prefill"], (Json{{"steps", 2}, {"seconds", 0.5}, {"tokens_per_s", 100.0}, {"mean_rows", 25.0}}));
    EXPECT_EQ(first["decode"], (Json{{"steps", 40}, {"seconds", 2.0}, {"tokens_per_s", 40.0}, {"mean_rows", 2.0}}));
    EXPECT_EQ(first["device_idle_share"], 0.25);
    EXPECT_EQ(first["bytes_per_s"], 2000);
    EXPECT_TRUE(first["roof_share"].is_null());
    EXPECT_EQ(json["devices"][1]["roof_share"], 0.5);
    EXPECT_EQ(json["total"]["tokens_generated"], 180);
    EXPECT_EQ(json["total"]["decode"]["steps"], 80);
}

TEST(Report, WithoutRequestsNothingIsDividedByZero) {
    const std::string text = report_json(Report{}, Model{});
    const Json json = json_of(text);
    EXPECT_EQ(json["tokens_per_s"], 0);
    EXPECT_EQ(json["request_s"]["p99"], 0);
    EXPECT_EQ(json["total"]["prefill"]["mean_rows"], 0);
    EXPECT_EQ(json["devices"].size(), 0u);
    testing::internal::CaptureStderr();
    print_report(Report{});
    const std::string lines = testing::internal::GetCapturedStderr();
    EXPECT_NE(lines.find("achieved throughput TPS (tok/s): 0.000000\n"), std::string::npos) << lines;
    EXPECT_EQ(lines.find("nan"), std::string::npos) << lines;
}

class ReportFile : public ModeTest {
  protected:
    ReportFile() {
        options.report = folder.path("report.json");
        options.steps = 8;
        options.temperature = 0;
    }
};

TEST_F(ReportFile, SaysWhatTheRunDid) {
    for (const int n : {0, 1, 5}) {
        std::string requests = std::to_string(n) + "\n";
        for (int i = 0; i < n; i++) requests += "abc\n";
        ASSERT_EQ(run_mode(getp, requests), kExitOk) << error << report;
        const Json json = json_of(folder.read("report.json"));
        EXPECT_EQ(json["requests"], (Json{{"ok", n}, {"failed", 0}}));
        EXPECT_EQ(json["tokens"], (Json{{"prompt", 3 * n}, {"generated", json["total"]["tokens_generated"]}}));
        EXPECT_EQ(json["devices"].size(), 1u);
        EXPECT_EQ(json["total"]["tokens_generated"] > 0, n > 0) << "without the warm-up";
        const Json& total = json["total"];
        EXPECT_EQ(total["prompt_tokens_computed"].get<int>() + total["prompt_tokens_reused"].get<int>(), 3 * n);
        if (n == 1) {
            EXPECT_EQ(total["prefill"]["mean_rows"], 3) << "the prompt, and not the token that comes of it";
        }
        EXPECT_GT(json["seconds"]["load"], 0);
        EXPECT_GT(json["seconds"]["warm_up"], 0);
        EXPECT_LE(json["first_token_s"]["p50"], json["request_s"]["p50"]);
        EXPECT_EQ(json["request_s"]["p50"] > 0, n > 0);
        EXPECT_EQ(json["model"]["path"], tiny->path());
    }
}

TEST_F(ReportFile, IsNoFileThatIsNeeded) {
    for (const std::string& path : {tiny->path() + "/config.json", options.input, options.output}) {
        options.report = path;
        folder.write("answers", "");
        EXPECT_EQ(run_mode(getp, "1\nabc\n"), -1) << path;
        EXPECT_EQ(error.rfind("--report: ", 0), 0u) << error;
    }
}

}  // namespace
