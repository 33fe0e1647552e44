// test_job_resume.cpp: what a second run does with the first one's output: go on, refuse, start anew.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/checksum.h"
#include "error.h"
#include "mode_test.h"
#include "support/json.h"

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

class JobResume : public ModeTest {
  protected:
    JobResume() {
        go_on();
        options.steps = 24;
    }

    int run(const std::string& requests) { return run_mode(getp, requests); }
    std::string out() const { return folder.read("answers"); }
    int64_t n_lines() const {
        const std::string text = out();
        return std::count(text.begin(), text.end(), '\n');
    }
    void expect_refused(const std::string& requests, const std::vector<std::string>& words) {
        const std::string before = out(), job = folder.read("answers.job");
        EXPECT_EQ(run(requests), -1) << report;
        for (const std::string& word : words) EXPECT_NE(error.find(word), std::string::npos) << word << ": " << error;
        EXPECT_EQ(error.find('\n'), std::string::npos);
        EXPECT_EQ(out(), before);
        EXPECT_EQ(folder.read("answers.job"), job);
    }
    static std::string request(int i) {
        return R"({"custom_id":")" + std::to_string(i) + R"(","prompt":[)" + std::to_string(i + 65) +
               R"(],"max_tokens":4,"ignore_eos":true})" + "\n";
    }
    static std::string requests(int n) {
        std::string text;
        for (int i = 0; i < n; i++) text += request(i);
        return text;
    }
    static std::string texts(int n) {
        std::string text = std::to_string(n) + "\n";
        for (int i = 0; i < n; i++) text += "prompt " + std::to_string(i) + "\n";
        return text;
    }
    static std::string sorted(const std::string& text) {
        std::vector<std::string> all;
        std::istringstream stream(text);
        for (std::string line; std::getline(stream, line);) all.push_back(line + "\n");
        std::sort(all.begin(), all.end());
        std::string joined;
        for (const std::string& line : all) joined += line;
        return joined;
    }
    bool says(const std::string& text) const { return report.find(text) != std::string::npos; }
};

TEST_F(JobResume, ACompleteJobHasNothingToDo) {
    for (const std::string& input : {requests(5), texts(5)}) {
        ASSERT_EQ(run(input), kExitOk) << error;
        const std::string answers = out();
        const auto written = fs::last_write_time(options.output);
        EXPECT_EQ(run(input), kExitOk) << error;
        EXPECT_TRUE(says("5 requests are answered, 0 of them failed; 0 are left")) << report;
        EXPECT_EQ(out(), answers);
        EXPECT_EQ(fs::last_write_time(options.output), written);
        fs::remove(options.output);
    }
}

TEST_F(JobResume, HalfALineAndWhatIsNoneIsDropped) {
    ASSERT_EQ(run(requests(6)), kExitOk) << error;
    const std::string whole = out();
    const size_t second = whole.find('\n') + 1, third = whole.find('\n', second) + 1;
    const std::string damages[] = {
        whole.substr(0, whole.size() - 1),                                              // without its end
        whole.substr(0, whole.size() - 40),                                             // killed in mid-line
        whole.substr(0, second),                                                        // whole lines alone
        whole.substr(0, second) + std::string(300, '\0') + "\n" + whole.substr(third),  // lost by a disk
        whole.substr(0, second) + std::string(4096, '\0'),                              // likewise, the end
        whole.substr(0, second + 30) + whole.substr(third),                             // two halves in one
        whole + whole,                                                                  // everything twice
        whole + "\n\n{}\nwords\n",                                                      // of somebody else
    };
    for (const std::string& damage : damages) {
        folder.write("answers", damage);
        EXPECT_EQ(run(requests(6)), kExitOk) << error << report;
        EXPECT_EQ(sorted(out()), sorted(whole));
    }
}

TEST_F(JobResume, TheSameForTextsThatAreNotComplete) {
    ASSERT_EQ(run(texts(6)), kExitOk) << error;
    const std::string whole = out(), job = folder.read("answers.job");
    // As the journal has it: index, hash of the line, ids.
    std::vector<std::string> records;
    std::istringstream lines(whole);
    int i = 0;
    for (std::string line; std::getline(lines, line); i++)
        records.push_back(fmt::format("{} {:016x} {}\n", i, hash_of("prompt " + std::to_string(i)), line));
    const std::string unfinished = job.substr(0, job.find('\n') + 1);
    const std::string damages[] = {
        records[2] + records[0],
        records[5] + records[1].substr(0, records[1].size() - 1),  // the last id may lack a digit
        records[4] + std::string(100, '\0') + "\n" + records[3] + records[3],
        records[0] + "7 words\n" + records[5],
    };
    for (const std::string& damage : damages) {
        fs::remove(options.output);
        folder.write("answers.job", unfinished);
        folder.write("answers.part", damage);
        EXPECT_EQ(run(texts(6)), kExitOk) << error << report;
        EXPECT_EQ(out(), whole);
        EXPECT_FALSE(fs::exists(folder.path("answers.part")));
    }
}

TEST_F(JobResume, AnotherJobIsRefusedAndSaysWhatDiffers) {
    ASSERT_EQ(run(requests(3)), kExitOk) << error;
    const auto differs = [&](const char* field, const auto& change) {
        const Options before = options;
        change();
        expect_refused(requests(3), {field, "--overwrite"});
        options = before;
    };
    differs("seed is 5 there and 6 here", [&] { options.seed = 6; });
    differs("temperature is null there and 0.5 here", [&] { options.temperature = 0.5f; });
    differs("top_p", [&] { options.top_p = 0.5f; });
    differs("steps is 24 there and 25 here", [&] { options.steps = 25; });
    differs("reasoning is \"medium\" there and \"high\" here", [&] { options.effort = Effort::kHigh; });
    differs("instructions", [&] { options.instructions = "Be brief."; });
    differs("precision", [&] { options.precision = Precision::kBF16; });
    differs("reference", [&] { options.reference = true; });
    differs("strict_fields", [&] { options.strict_fields = true; });
    expect_refused(texts(3), {"format is \"JSON lines\" there and \"text\" here"});

    Model other = tiny->model();
    other.gpt_oss().config.max_context--;
    EXPECT_NE(error_of([&] { getp(options, other); }).find("model_checksum"), std::string::npos);
    other = tiny->model();
    other.gpt_oss().config.experts_per_token--;
    EXPECT_NE(error_of([&] { getp(options, other); }).find("model_checksum"), std::string::npos);
    options.max_in_flight = 1;  // no answer depends on it
    EXPECT_EQ(run(requests(3)), kExitOk) << error;
}

TEST_F(JobResume, AnInputThatHasGrownGoesOn) {
    for (const bool is_text : {false, true}) {
        const auto some = [&](int n) { return is_text ? texts(n) : requests(n); };
        ASSERT_EQ(run(some(8)), kExitOk) << error;
        const std::string all = out();
        fs::remove(options.output);
        for (const int n : {2, 3, 8}) {
            ASSERT_EQ(run(some(n)), kExitOk) << error << report;
        }
        EXPECT_TRUE(says("3 requests are answered, 0 of them failed; 5 are left")) << report;
        if (is_text)
            EXPECT_EQ(out(), all);
        else
            EXPECT_EQ(n_lines(), 8);
        expect_refused(some(7), {"expected the 8 requests", "found 7"});
        fs::remove(options.output);
    }
}

TEST_F(JobResume, ALineThatHasChangedIsRefused) {
    ASSERT_EQ(run("\n" + requests(4)), kExitOk) << error;
    std::string changed = "\n" + requests(4);
    changed.replace(changed.find("\"prompt\":[67]"), 13, "\"prompt\":[99]");
    const std::string line_4 = options.input + ":4: expected the line that " + folder.path("answers.job") + " is about";
    expect_refused(changed, {line_4, "--overwrite"});
    expect_refused(changed + request(9), {line_4, "--overwrite"});
    const std::string whole = out();
    folder.write("answers", "");
    folder.write("answers", whole.substr(0, whole.find('\n') + 1));
    expect_refused(changed, {line_4});  // although it has no answer yet
    folder.write("answers", whole);
    // An input that had not been seen to its end when it changed: the line is named.
    const std::string job = folder.read("answers.job");
    Json identity = json_of(job.substr(0, job.find('\n')));
    Checksum none;
    identity["requests"] = 0;
    identity["requests_hash"] = none.hex();
    folder.write("answers.job", identity.dump() + "\n");
    expect_refused(changed, {options.input + ":4: expected the line that " + options.output + " has an answer to"});
}

// The line that has changed is found among many, in an input that has grown, too.
TEST_F(JobResume, ALineThatHasChangedInTexts) {
    ASSERT_EQ(run(texts(40)), kExitOk) << error;
    ASSERT_EQ(run(texts(60)), kExitOk) << error;
    for (const int i : {0, 39, 40, 59}) {
        std::string changed = texts(70);
        const std::string prompt = "prompt " + std::to_string(i) + "\n";
        changed.replace(changed.find(prompt), prompt.size(), "another\n");
        expect_refused(changed, {fmt::format("{}:{}: expected the line that", options.input, i + 2)});
    }
}

// OUT.job has three letters a request, which a start that finds the same requests need not write again.
TEST_F(JobResume, EachStartAddsAFewBytesToTheJobsFile) {
    ASSERT_EQ(run(requests(30)), kExitOk) << error;
    const std::string whole = out(), job = folder.read("answers.job");
    const std::string unfinished = job.substr(0, job.find('\n') + 1), finished = job.substr(unfinished.size());
    folder.write("answers.job", unfinished);  // as a process leaves it that is killed
    for (const char* const more : {"", "{\"finished\":false}\n"}) {
        folder.write("answers", whole.substr(0, whole.find('\n') + 1));
        const std::string before = folder.read("answers.job");
        ASSERT_EQ(run(requests(30)), kExitOk) << error;
        EXPECT_EQ(folder.read("answers.job"), before + more + finished);
    }
    EXPECT_EQ(sorted(out()), sorted(whole));
}

// A job's file whose marks are of more lines than the input has, all of them as they were.
TEST_F(JobResume, AnInputThatIsShorterThanTheMarks) {
    ASSERT_EQ(run(requests(4)), kExitOk) << error;
    Json identity = json_of(folder.read("answers.job").substr(0, folder.read("answers.job").find('\n')));
    identity["requests"] = 2;
    folder.write("answers.job", identity.dump() + "\n");
    expect_refused(requests(3), {options.input + ": expected the 2 requests that", "found others"});
}

// Advice that is followed must help.
TEST_F(JobResume, AJobsFileThatIsNoneIsNotTouched) {
    for (const char* const other : {"notes\n", "notes without an end", "{\"a\": 1}\n", "[1]\n",
                                    "{\"nightly\": \"somebody else's\"}", "{\"version\": 1}"}) {
        fs::remove(options.output);
        folder.write("answers.job", other);
        for (const bool overwrite : {false, true}) {
            options.overwrite = overwrite;
            expect_refused(requests(2), {"answers.job: expected", "delete it"});
        }
        fs::remove(folder.path("answers.job"));
        EXPECT_EQ(run(requests(2)), kExitOk) << error;
        options.overwrite = false;
        fs::remove(folder.path("answers.job"));
    }
}

// A process that is killed may leave any part of what it writes, and a disk zeros.
TEST_F(JobResume, HalfOfAJobsFileIsNoOthers) {
    ASSERT_EQ(run(requests(2)), kExitOk) << error;
    const std::string job = folder.read("answers.job"), whole = out();
    const size_t first = job.find('\n') + 1;
    for (const size_t n : {size_t(1), size_t(5), size_t(40), first - 1}) {
        fs::remove(options.output);
        folder.write("answers.job", job.substr(0, n));
        EXPECT_EQ(run(requests(2)), kExitOk) << n << ": " << error;
        EXPECT_EQ(folder.read("answers.job").substr(0, 11), job.substr(0, 11));
    }
    fs::remove(options.output);
    folder.write("answers.job", std::string(100, '\0'));
    EXPECT_EQ(run(requests(2)), kExitOk) << error;
    for (const size_t n : {first + 1, first + 9, job.size() - 1}) {
        folder.write("answers", whole);
        folder.write("answers.job", job.substr(0, n));
        EXPECT_EQ(run(requests(2)), kExitOk) << n << ": " << error;
        EXPECT_EQ(folder.read("answers.job"), job);
    }
}

TEST_F(JobResume, AFileOfUnknownOriginIsNotTouched) {
    folder.write("answers", "last night's\n");
    expect_refused(requests(2), {"answers.job", "--overwrite"});
    expect_refused(texts(2), {"answers.job", "--overwrite"});
    fs::remove(options.output);
    folder.write("answers.part", "1 2 3\n");
    expect_refused(texts(2), {"answers.job", "--overwrite"});
    fs::remove(folder.path("answers.part"));
    folder.write("answers", "");
    EXPECT_EQ(run(requests(2)), kExitOk) << "nothing can be lost: " << error;
}

TEST_F(JobResume, OverwriteStartsAnew) {
    folder.write("answers", "last night's\n");
    options.overwrite = true;
    ASSERT_EQ(run(requests(2)), kExitOk) << error;
    EXPECT_EQ(n_lines(), 2);
    options.seed = 6;
    ASSERT_EQ(run(texts(3)), kExitOk) << error;
    EXPECT_EQ(out().find('{'), std::string::npos);
    EXPECT_TRUE(says("requests: 3 ok")) << report;
    ASSERT_EQ(run(texts(3)), kExitOk) << error;
    EXPECT_TRUE(says("requests: 3 ok")) << "again, although they had answers: " << report;
}

TEST_F(JobResume, RetryFailedRunsTheFailedAlone) {
    ASSERT_EQ(run(requests(3)), kExitOk) << error;
    const std::string whole = out();
    // As if the engine could not run the second one: a device without memory, say.
    Json failed;
    std::string others;
    std::istringstream lines(whole);
    for (std::string line; std::getline(lines, line);) {
        const Json answer = json_of(line);
        if (answer["custom_id"] == "1")
            failed = answer;
        else
            others += line + "\n";
    }
    const std::string error_line =
        R"({"id":"batch_req_1","custom_id":"1","response":{"status_code":500,"request_id":)" +
        failed["response"]["request_id"].dump() + R"(,"body":{}},"error":null})" + "\n";
    folder.write("answers", error_line + others);
    EXPECT_EQ(run(requests(3)), kExitRequestFailed) << "it stays failed";
    EXPECT_TRUE(says("3 requests are answered, 1 of them failed; 0 are left")) << report;
    options.retry_failed = true;
    EXPECT_EQ(run(requests(3)), kExitOk) << error << report;
    EXPECT_TRUE(says("requests: 1 ok, 0 failed")) << report;
    EXPECT_EQ(sorted(out()), sorted(whole));
}

TEST_F(JobResume, RetryFailedInTexts) {
    const std::string input = "3\nfirst\n\nthird\n";
    ASSERT_EQ(run(input), kExitRequestFailed) << error;
    const std::string before = out();
    options.retry_failed = true;
    EXPECT_EQ(run(input), kExitRequestFailed) << "it is as bad as it was";
    EXPECT_TRUE(says("requests: 0 ok, 1 failed")) << report;
    EXPECT_EQ(out(), before);
}

TEST_F(JobResume, SeedAndTimeOfTheFirstStartStay) {
    options.seed_given = false;
    options.temperature = 1;
    ASSERT_EQ(run(requests(6)), kExitOk) << error;
    const std::string whole = out();
    folder.write("answers", whole.substr(0, whole.find('\n') + 1));
    options.seed = 99;  // as a later start takes it from the clock
    ASSERT_EQ(run(requests(6)), kExitOk) << error;
    EXPECT_EQ(sorted(out()), sorted(whole));
}

// Killed after OUT was complete, before OUT.part was removed.
TEST_F(JobResume, WhatACompleteJobLeftGoes) {
    ASSERT_EQ(run(texts(3)), kExitOk) << error;
    folder.write("answers.part", "0 0123456789abcdef 1\n");
    EXPECT_EQ(run(texts(3)), kExitOk) << error;
    EXPECT_FALSE(fs::exists(folder.path("answers.part")));
}

TEST_F(JobResume, VerifyComparesWhatIsThere) {
    ASSERT_EQ(run(texts(5)), kExitOk) << error;
    options.verify = folder.write("reference", out());
    EXPECT_EQ(run(texts(5)), kExitOk) << report;
    EXPECT_TRUE(says("verify: 5 of 5 requests equal")) << report;
    EXPECT_EQ(run(texts(7)), kExitRequestFailed) << "two are not in the reference: " << report;

    options.verify = "";
    fs::remove(options.output);
    std::string json;
    for (int i = 0; i < 5; i++) json += "{\"prompt\":\"prompt " + std::to_string(i) + "\"}\n";
    options.temperature = 0;
    ASSERT_EQ(run(json), kExitOk) << error;
    const std::string first = out().substr(0, out().find('\n') + 1);
    folder.write("answers", first);
    options.verify = folder.path("reference");
    EXPECT_EQ(run(json), kExitOk) << report;
    EXPECT_TRUE(says("verify: 4 of 4 requests equal")) << report;
    EXPECT_TRUE(says("verify: 1 were answered by an earlier run")) << report;
}

TEST_F(JobResume, TheJobsFileIsNoOtherFile) {
    options.output = folder.path("a");
    options.input = folder.path("a.job");
    folder.write("a.job", requests(2));
    EXPECT_NE(error_of([&] { getp(options, tiny->model()); }).find("--input's"), std::string::npos);
    EXPECT_EQ(folder.read("a.job"), requests(2));
}

TEST_F(JobResume, PipesAreNotJournals) {
    options.output = "/dev/null";
    EXPECT_EQ(run(requests(2)), kExitOk) << error;
    EXPECT_TRUE(says("cannot go on after it has been stopped")) << report;
    EXPECT_FALSE(fs::exists("/dev/null.job"));
}

}  // namespace
