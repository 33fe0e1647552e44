// test_time_limit.cpp: runs this test program again, with time left for it and with none.
#include <gtest/gtest.h>

#include "subprocess.h"

namespace {

ProgramResult wave_tests(const std::string& seconds) {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    return run_program({"env", "-u", "GTEST_TOTAL_SHARDS", "-u", "GTEST_SHARD_INDEX", "GPU_TESTS_SECONDS=" + seconds,
                        self, "--gtest_color=no", "--gtest_filter=*/Wave.*"});
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST(TimeLimit, NoTestStartsWhenTimeIsOver) {
    const ProgramResult r = wave_tests("0");
    EXPECT_EQ(r.code, 0);
    EXPECT_TRUE(contains(r.out, "Running ")) << r.out;
    EXPECT_TRUE(contains(r.out, "time is over\n")) << r.out;
    EXPECT_FALSE(contains(r.out, "OK ]")) << r.out;
}

TEST(TimeLimit, AllRunInTime) {
    const ProgramResult r = wave_tests("1000");
    EXPECT_EQ(r.code, 0);
    EXPECT_TRUE(contains(r.out, "OK ]")) << r.out;
    EXPECT_FALSE(contains(r.out, "time is over")) << r.out;
}

}  // namespace
