// test_process.cpp: the program where the machine gives little: few threads, small stacks, a bounded address space, a
// quota.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "process.h"
#include "subprocess.h"
#include "text_checks.h"

namespace {

// AddressSanitizer takes terabytes of addresses.
#ifdef SANITIZED
constexpr bool kCanLimitAddresses = false;
#else
constexpr bool kCanLimitAddresses = true;
#endif

using Settings = std::vector<std::pair<std::string, std::string>>;

Settings settings(const std::map<std::string, std::string>& environment, int n_cpus, double quota) {
    return openmp_settings(
        [&](const char* name) {
            const auto found = environment.find(name);
            return found == environment.end() ? nullptr : found->second.c_str();
        },
        n_cpus, quota);
}

TEST(Process, OpenMpSettings) {
    const std::pair<std::string, std::string> spin{"GOMP_SPINCOUNT", "10000"};
    const auto threads = [](const char* n) { return std::pair<std::string, std::string>{"OMP_NUM_THREADS", n}; };
    EXPECT_EQ(settings({}, 8, 0), Settings{spin});
    EXPECT_EQ(settings({}, 1, 0), Settings{}) << "one thread waits for nobody";
    EXPECT_EQ(settings({}, 8, 2), (Settings{threads("2"), spin}));
    EXPECT_EQ(settings({}, 8, 1.5), (Settings{threads("2"), spin}));
    EXPECT_EQ(settings({}, 8, 0.3), Settings{threads("1")});
    EXPECT_EQ(settings({}, 8, 8), Settings{spin}) << "a quota that bounds nothing";
    EXPECT_EQ(settings({{"OMP_NUM_THREADS", "4"}}, 8, 2), Settings{spin}) << "the user's stands";
    EXPECT_EQ(settings({{"OMP_NUM_THREADS", "1"}}, 8, 2), Settings{});
    for (const char* name : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}) EXPECT_EQ(settings({{name, "x"}}, 8, 0), Settings{});
}

// Runs the demo model under `limits`, shell commands.
ProgramResult run_under(const std::string& limits) {
    return run_program(
        {"bash", "-c", limits + "; exec " + built("run") + " demo -i 'Reverse the word garden.' --no-reasoning"});
}

TEST(Process, SettingsReachTheProgram) {
    // Whoever runs the tests may have settings of their own, which win.
    const ProgramResult r = run_program({"env", "-u", "OMP_NUM_THREADS", "-u", "OMP_WAIT_POLICY", "-u",
                                         "GOMP_SPINCOUNT", "OMP_DISPLAY_ENV=verbose", built("run"), "--help"});
    EXPECT_EQ(r.code, 0) << r.err;
    if (std::thread::hardware_concurrency() == 1) GTEST_SKIP() << "one thread waits for nobody";
    EXPECT_NE(r.err.find("GOMP_SPINCOUNT = '10000'"), std::string::npos) << r.err;
}

TEST(Process, SmallStacksAreEnough) {
    for (const char* stack : {"256", "500", "unlimited"}) {
        const ProgramResult r = run_under(std::string("export OMP_NUM_THREADS=2; ulimit -s ") + stack);
        EXPECT_EQ(r.out, "nedrag\n") << stack << " " << r.code << " " << r.err;
    }
}

TEST(Process, TinyStacksAreOneLine) {
    const ProgramResult r = run_under("ulimit -s 64");
    if (r.code == 0) GTEST_SKIP() << "this user may raise the limit again";
    EXPECT_EQ(r.code, 2);
    EXPECT_EQ(r.err, "run: stack: at least 256 KB are needed, and ulimit -s allows 64\n");
}

TEST(Process, LargeStacksInALimitedAddressSpace) {
    if (!kCanLimitAddresses) GTEST_SKIP();
    const ProgramResult r = run_under("export OMP_NUM_THREADS=2; ulimit -v 2000000; ulimit -S -s 1000000");
    EXPECT_EQ(r.out, "nedrag\n") << r.code << " " << r.err;
}

TEST(Process, ThreadsThatCannotBeHadAreOneLine) {
    if (!kCanLimitAddresses) GTEST_SKIP();
    const ProgramResult r = run_under("export OMP_NUM_THREADS=2000; ulimit -v 1000000");
    EXPECT_EQ(r.code, 2);
    EXPECT_EQ(r.err.find("run: threads: 2000 are needed, and "), 0u) << r.err;
    EXPECT_EQ(n_lines(r.err), 1) << r.err;
}

// Address spaces from too small to start in up to plenty: each gives an answer or one line.
TEST(Process, AnyAddressSpaceIsEnoughOrSaidNotToBe) {
    if (!kCanLimitAddresses) GTEST_SKIP();
    bool answered = false;
    for (const int megabytes : {60, 80, 100, 120, 150, 200, 300, 500, 1000}) {
        const ProgramResult r = run_under("export OMP_NUM_THREADS=2; ulimit -v " + std::to_string(megabytes * 1024));
        if (r.code == 0) {
            EXPECT_EQ(r.out, "nedrag\n") << megabytes;
            answered = true;
            continue;
        }
        EXPECT_FALSE(answered) << megabytes << " MB are too little, and fewer were not";
        EXPECT_TRUE(r.code == 1 || r.code == 2) << megabytes << ": " << r.code << " " << r.err;
        EXPECT_EQ(n_lines(r.err), 1) << megabytes << ": " << r.err;
        EXPECT_EQ(r.err.find("run: "), 0u) << megabytes << ": " << r.err;
        EXPECT_EQ(r.err.find("bad_alloc"), std::string::npos) << megabytes << ": " << r.err;
    }
    EXPECT_TRUE(answered);
}

}  // namespace
