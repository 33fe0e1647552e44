// time_limit.cpp: with GPU_TESTS_SECONDS=N set, no test starts later than N seconds after the program, so that a slow
// device does not take for ever. Linked into gpu_tests, it needs no call.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

class TimeLimit : public testing::EmptyTestEventListener {
  public:
    explicit TimeLimit(double seconds) : end_(Clock::now() + std::chrono::duration<double>(seconds)) {}

    // GoogleTest knows no way to leave out the tests that are left.
    void OnTestStart(const testing::TestInfo&) override {
        if (Clock::now() < end_) return;
        std::puts("time is over");
        std::fflush(nullptr);
        std::_Exit(testing::UnitTest::GetInstance()->Failed() ? 1 : 0);
    }

  private:
    using Clock = std::chrono::steady_clock;
    const std::chrono::time_point<Clock, std::chrono::duration<double>> end_;
};

const bool added = [] {
    const char* const seconds = std::getenv("GPU_TESTS_SECONDS");
    if (seconds) testing::UnitTest::GetInstance()->listeners().Append(new TimeLimit(std::atof(seconds)));
    return seconds != nullptr;
}();

}  // namespace
