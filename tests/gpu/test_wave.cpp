// test_wave.cpp: collectives of lanes and waves (gpu/wave.h), on a device, real or emulated.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "device_array.h"
#include "kernels/kernels.h"
#include "probe.h"

namespace {

class Wave : public testing::TestWithParam<int> {};  // threads of the block

TEST_P(Wave, LanesHearEachOther) {
    const int n = GetParam(), wave = compiled_wave(nullptr);
    std::vector<float> value(static_cast<size_t>(n));  // whole numbers: sums are exact in any order
    for (size_t i = 0; i < value.size(); i++) value[i] = std::floor(100 * noise(1, i));
    Guarded<float> d_value(value);
    Guarded<WaveAnswers> d_answers(value.size());
    probe_wave(d_answers.data(), d_value.data(), n, nullptr);
    const std::vector<WaveAnswers> answers = d_answers.download("answers");

    for (int t = 0; t < n; t++) {
        const WaveAnswers& a = answers[size_t(t)];
        const int lane = t % wave;
        const float* const of_wave = value.data() + t / wave * wave;
        unsigned long long ballot = 0;
        for (int l = 0; l < wave; l++) ballot |= (of_wave[l] > 0 ? 1ull : 0ull) << l;
        EXPECT_EQ(a.lane, lane);
        EXPECT_EQ(a.wave, t / wave);
        EXPECT_EQ(a.n_waves, n / wave);
        EXPECT_EQ(a.from_5_on, of_wave[(lane + 5) % wave]) << "thread " << t;
        EXPECT_EQ(a.from_xor_3, of_wave[lane ^ 3]) << "thread " << t;
        EXPECT_EQ(a.ballot, ballot) << "thread " << t;
        EXPECT_EQ(a.sum, std::accumulate(of_wave, of_wave + wave, 0.0f)) << "thread " << t;
        EXPECT_EQ(a.block_sum, std::accumulate(value.begin(), value.end(), 0.0f)) << "thread " << t;
    }
}

INSTANTIATE_TEST_SUITE_P(Blocks, Wave, testing::Values(64, 256, 1024));

}  // namespace
