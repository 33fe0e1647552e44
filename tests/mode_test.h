// mode_test.h: a tiny model that knows text, for tests of the modes that read files of requests.
#pragma once
#include <gtest/gtest.h>

#include "options.h"
#include "support/byte_tokenizer.h"
#include "text_checks.h"
#include "tiny_model.h"

class ModeTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        tiny = new TinyModel("mxfp4");
        std::ofstream(tiny->path() + "/tokenizer.json", std::ios::binary) << byte_tokenizer_json();
    }
    static void TearDownTestSuite() {
        delete tiny;
        tiny = nullptr;
    }

    ModeTest() {
        options.input = folder.path("requests");
        options.output = folder.path("answers");
        options.overwrite = true;             // tests run several jobs on one output
        options.precision = Precision::kF32;  // the oracle's
    }

    // As the program takes a job: it goes on where it was, with a seed that the command gives.
    void go_on() {
        options.overwrite = false;
        options.seed = 5;
        options.seed_given = true;
    }

    // Runs `mode` on `requests`; its exit code, or -1 if it throws an Error, which is `error` then. Stderr: `report`.
    int run_mode(int (*mode)(const Options&, const Model&), const std::string& requests) {
        folder.write("requests", requests);
        testing::internal::CaptureStderr();
        int code = -1;
        error = error_of([&] { code = mode(options, tiny->model()); });
        report = testing::internal::GetCapturedStderr();
        return code;
    }

    TempFolder folder;
    Options options;
    std::string error, report;
    static inline TinyModel* tiny = nullptr;
};
