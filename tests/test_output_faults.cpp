// test_output_faults.cpp: faults of a disk, made by functions that replace the C library's in the whole test program;
// they pass everything on unless a test asks for a fault.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/output_file.h"
#include "base/staged_output.h"
#include "temp_folder.h"
#include "text_checks.h"

namespace {

enum class Fault {
    kNone,
    kShort,        // a few bytes at a time
    kInterrupted,  // EINTR, two times of three
    kBusy,         // EAGAIN, as of a full pipe, two times of three
    kNothing,      // 0 from the third write on
    kBroken,       // half of the third write, then EIO
    kLostAtSync,   // all is taken, and fsync() says that it could not be kept
    kLostAtClose,  // the same, said by close()
};
Fault fault = Fault::kNone;
int n_writes = 0;

bool is_file(int fd) {
    struct stat file {};
    return fd > STDERR_FILENO && fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
}

ssize_t refuse(int error) {
    errno = error;
    return -1;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t n) {
    if (fault != Fault::kNone && is_file(fd)) {
        n_writes++;
        if (fault == Fault::kShort && n > 3) n = 3;
        if (fault == Fault::kInterrupted && n_writes % 3 != 0) return refuse(EINTR);
        if (fault == Fault::kBusy && n_writes % 3 != 0) return refuse(EAGAIN);
        if (fault == Fault::kNothing && n_writes >= 3) return 0;
        if (fault == Fault::kBroken && n_writes == 3) n /= 2;
        if (fault == Fault::kBroken && n_writes > 3) return refuse(EIO);
    }
    return syscall(SYS_write, fd, data, n);
}

int fsync(int fd) {
    if (fault == Fault::kLostAtSync && is_file(fd)) return int(refuse(EIO));
    return int(syscall(SYS_fsync, fd));
}

int close(int fd) {
    const bool lost = fault == Fault::kLostAtClose && is_file(fd);
    const int result = int(syscall(SYS_close, fd));
    return lost ? int(refuse(EIO)) : result;
}
}

namespace {

class Faults : public testing::Test {
  protected:
    static void start(Fault what) {
        n_writes = 0;
        fault = what;
    }
    void TearDown() override { fault = Fault::kNone; }

    // With no more faults, whatever comes of `write`.
    template <class Write>
    std::string error_after(Write write) {
        const std::string error = error_of(write);
        fault = Fault::kNone;
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
    fault = Fault::kNone;
    EXPECT_TRUE(out.failed());
    EXPECT_EQ(folder.read("log"), "theirs\nanswer\nanswer\n");
    close(fd);
}

}  // namespace
