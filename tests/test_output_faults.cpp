// test_output_faults.cpp: outputs on a disk that fails, is full, or does half of what it is asked.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/output_file.h"
#include "base/staged_output.h"
#include "support/io_faults.h"
#include "temp_folder.h"
#include "text_checks.h"

namespace {

class Faults : public testing::Test {
  protected:
    static void start(Fault what) { io_faults().start(what); }
    void TearDown() override { io_faults().stop(); }

    // With no more faults, whatever comes of `write`.
    template <class Write>
    std::string error_after(Write write) {
        const std::string error = error_of(write);
        io_faults().stop();
        return error;
    }
    // Writes lines until one fails, or all ten.
    std::string error_of_lines() {
        return error_after([&] {
            OutputFile out("--output", folder.path("out"), {}, OutputFile::Use::kAppend);
            for (int i = 0; i < 10 && !out.failed(); i++) out.append("answer " + std::to_string(i) + "\n");
            out.finish();
        });
    }
    std::string error_of_staged() {
        return error_after([&] {
            AtomicFile file(folder.path("staged"), Existing::kRefuse);
            for (int i = 0; i < 10; i++) file.write("bytes " + std::to_string(i) + "\n");
            file.commit();
        });
    }

    TempFolder folder;
};

TEST_F(Faults, WhatPassesCostsNothing) {
    std::string lines, bytes;
    for (int i = 0; i < 10; i++) {
        lines += "answer " + std::to_string(i) + "\n";
        bytes += "bytes " + std::to_string(i) + "\n";
    }
    for (const Fault passing : {Fault::kShort, Fault::kInterrupted, Fault::kBusy}) {
        start(passing);
        EXPECT_EQ(error_of_lines(), "");
        EXPECT_EQ(folder.read("out"), lines) << int(passing);
    }
    for (const Fault passing : {Fault::kShort, Fault::kInterrupted}) {
        start(passing);
        EXPECT_EQ(error_of_staged(), "");
        EXPECT_EQ(folder.read("staged"), bytes);
        std::filesystem::remove(folder.path("staged"));
    }
}

// Half a line of token ids looks like a short answer.
TEST_F(Faults, AFailureLeavesWholeLinesAlone) {
    for (const Fault deadly : {Fault::kBroken, Fault::kNothing}) {
        start(deadly);
        EXPECT_NE(error_of_lines().find("/out: cannot write: Input/output error"), std::string::npos);
        EXPECT_EQ(folder.read("out"), "answer 0\nanswer 1\n") << int(deadly);
    }
}

TEST_F(Faults, WhatIsLostLateIsAnErrorToo) {
    for (const Fault late : {Fault::kLostAtSync, Fault::kLostAtClose}) {
        start(late);
        EXPECT_NE(error_of_lines().find("/out: cannot write: Input/output error"), std::string::npos) << int(late);
    }
}

TEST_F(Faults, AStagedFileThatIsNotCompleteGetsNoName) {
    for (const Fault deadly : {Fault::kBroken, Fault::kNothing, Fault::kLostAtSync, Fault::kLostAtClose}) {
        start(deadly);
        EXPECT_NE(error_of_staged().find("Input/output error"), std::string::npos) << int(deadly);
        EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << int(deadly);
    }
}

// Nothing is cut if others have written behind it.
TEST_F(Faults, AFailureTakesBackNothingOfOthers) {
    folder.write("log", "theirs\n");
    const int fd = open(folder.path("log").c_str(), O_WRONLY | O_APPEND);
    OutputFile out("--output", "/dev/fd/" + std::to_string(fd), {}, OutputFile::Use::kAppend);
    start(Fault::kBroken);
    for (int i = 0; i < 3; i++) out.append("answer\n");
    io_faults().stop();
    EXPECT_TRUE(out.failed());
    EXPECT_EQ(folder.read("log"), "theirs\nanswer\nanswer\n");
    close(fd);
}

}  // namespace
