// test_emulator.hip: what the emulator (tests/emu/) runs. Only built for the emulations.
#include <gtest/gtest.h>

#include <vector>

#include "device_array.h"
#include "gpu/wave.h"

namespace {

using testing::Values;

const dim3 kTwoWaves(2 * kWave);

// Every test in every order.
class Emulator : public testing::TestWithParam<emu::Order> {
  protected:
    void SetUp() override { emu::set_order(GetParam()); }
    void TearDown() override { emu::set_order(before_); }

  private:
    const emu::Order before_ = emu::order();
};
INSTANTIATE_TEST_SUITE_P(Orders, Emulator,
                         Values(emu::Order{}, emu::Order{emu::Turns::kDescending}, emu::Order{emu::Turns::kRandom, 1},
                                emu::Order{emu::Turns::kRandom, 2}, emu::Order{emu::Turns::kCheck}));

__global__ void places_kernel(int* out) {
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    out[block * blockDim.x + threadIdx.x] = int(1000 * (blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z) + threadIdx.x);
}

TEST_P(Emulator, EveryLaneOfEveryBlockRunsInItsPlace) {
    const dim3 grid(3, 2, 4);
    Guarded<int> out(size_t(24 * 2 * kWave));
    GPU_LAUNCH(places_kernel, grid, kTwoWaves, 0, nullptr, out.data());
    const std::vector<int> got = out.download("out");
    size_t i = 0;
    for (int z = 0; z < 4; z++)
        for (int y = 0; y < 2; y++)
            for (int x = 0; x < 3; x++)
                for (int lane = 0; lane < 2 * kWave; lane++) EXPECT_EQ(got[i++], 1000 * (x + 10 * y + 100 * z) + lane);
}

// Each round every lane takes its neighbour's number, from another wave at the ends.
__global__ void rotate_kernel(int* out, int n_rounds) {
    GPU_LDS(lds);
    auto* const numbers = reinterpret_cast<int*>(lds);
    const int me = int(threadIdx.x), n = int(blockDim.x);
    int number = me;
    for (int round = 0; round < n_rounds; round++) {
        numbers[me] = number;
        block_sync();
        number = numbers[(me + 1) % n];
        block_sync();
    }
    out[int(blockIdx.x) * n + me] = number;
}

TEST_P(Emulator, BarriersKeepBlocksInStep) {
    const int n = 2 * kWave;
    Guarded<int> out(size_t(5 * n));
    GPU_LAUNCH(rotate_kernel, dim3(5), kTwoWaves, size_t(n) * sizeof(int), nullptr, out.data(), 7);
    const std::vector<int> got = out.download("out");
    for (int i = 0; i < 5 * n; i++) EXPECT_EQ(got[size_t(i)], (i + 7) % n) << i;
}

__global__ void collectives_kernel(uint64_t* ballots, int* sums) {
    const int lane = lane_id();
    int sum = lane;
    for (int mask = 1; mask < kWave; mask *= 2) sum += shfl_xor(sum, mask);
    ballots[threadIdx.x] = wave_ballot(lane % 3 == wave_id());
    sums[threadIdx.x] = shfl(sum + lane, 5);
}

TEST_P(Emulator, ShufflesAndBallotsAreOfTheWave) {
    Guarded<uint64_t> ballots(size_t(2 * kWave));
    Guarded<int> sums(size_t(2 * kWave));
    GPU_LAUNCH(collectives_kernel, dim3(1), kTwoWaves, 0, nullptr, ballots.data(), sums.data());
    const std::vector<uint64_t> got = ballots.download("ballots");
    for (int t = 0; t < 2 * kWave; t++) {
        uint64_t want = 0;
        for (int lane = 0; lane < kWave; lane++) want |= uint64_t(lane % 3 == t / kWave) << lane;
        EXPECT_EQ(got[size_t(t)], want) << t;
    }
    for (const int sum : sums.download("sums")) EXPECT_EQ(sum, kWave * (kWave - 1) / 2 + 5);
}

__global__ void count_kernel(int* total, unsigned* of_block) {
    __shared__ int counted;
    if (threadIdx.x == 0) counted = 0;
    block_sync();
    atomicAdd(&counted, 1);
    atomicAdd(total, 2);
    block_sync();
    if (threadIdx.x == 0) of_block[blockIdx.x] = unsigned(counted);
}

TEST_P(Emulator, AtomicsCountAllAndSharedIsOfTheBlock) {
    Guarded<int> total(std::vector<int>{0});
    Guarded<unsigned> of_block(50);
    GPU_LAUNCH(count_kernel, dim3(50), kTwoWaves, 0, nullptr, total.data(), of_block.data());
    EXPECT_EQ(total.download("total")[0], 50 * 2 * kWave * 2);
    for (const unsigned n : of_block.download("of_block")) EXPECT_EQ(n, unsigned(2 * kWave));
}

__global__ void lds_kernel(float* seen) {
    GPU_LDS(lds);
    auto* const values = reinterpret_cast<float*>(lds);
    seen[blockIdx.x * blockDim.x + threadIdx.x] = values[threadIdx.x];
    values[threadIdx.x] = 1;
}

TEST_P(Emulator, LdsIsNanBeforeItIsWritten) {
    Guarded<float> seen(size_t(6 * kWave));
    GPU_LAUNCH(lds_kernel, dim3(3), kTwoWaves, size_t(2 * kWave) * sizeof(float), nullptr, seen.data());
    for (const float v : seen.download("seen")) EXPECT_NE(v, v);
}

__global__ void deep_kernel(int* out) {
    volatile char large[100 << 10];
    for (size_t i = 0; i < sizeof large; i += 1000) large[i] = char(threadIdx.x);
    block_sync();
    int same = 0;
    for (size_t i = 0; i < sizeof large; i += 1000) same += large[i] == char(threadIdx.x);
    out[threadIdx.x] = same;
}

TEST_P(Emulator, LanesHaveStacksOfTheirOwn) {
    Guarded<int> out(size_t(2 * kWave));
    GPU_LAUNCH(deep_kernel, dim3(1), kTwoWaves, 0, nullptr, out.data());
    for (const int same : out.download("out")) EXPECT_EQ(same, 103);
}

TEST(EmulatorMemory, IsAlignedUnsetAndCounted) {
    const int64_t free_before = gpu::device_info(0).free_bytes;
    auto* const a = static_cast<float*>(gpu::try_allocate(1000));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 256, 0u);
    EXPECT_NE(a[0], a[0]);
    EXPECT_EQ(gpu::device_info(0).free_bytes, free_before - 1000);
    gpu::release(a);
    EXPECT_EQ(gpu::device_info(0).free_bytes, free_before);
    EXPECT_EQ(gpu::try_allocate(free_before + 1), nullptr);
}

TEST(EmulatorMatrix, SubnormalsAreZerosAsOnTheDevice) {
    const bool flushes = kWave == 64;
    for (const uint32_t bits : {0x00000001u, 0x007f0000u, 0x807f0000u}) {
        const float f = emu::widened(uint16_t(bits >> 16), flushes);
        EXPECT_EQ(f, flushes ? 0.0f : bits_to_f32(bits & 0xffff0000u));
    }
    EXPECT_EQ(emu::flushed(0x1p-127f, flushes), flushes ? 0.0f : 0x1p-127f);
    EXPECT_EQ(emu::flushed(-0x1p-126f, flushes), -0x1p-126f);
}

TEST(EmulatorPermute, EverySelectorByte) {
    const uint32_t upper = 0x77e6d504u,
                   lower = 0x43b22110u;  // bytes 1, 3, 5, 7: positive, positive, negative, positive
    EXPECT_EQ(emu::v_perm_b32(upper, lower, 0x03020100u), lower);
    EXPECT_EQ(emu::v_perm_b32(upper, lower, 0x07060504u), upper);
    EXPECT_EQ(emu::v_perm_b32(upper, lower, 0x04000703u), 0x04107743u);
    EXPECT_EQ(emu::v_perm_b32(upper, lower, 0x0b0a0908u), 0x00ff0000u) << "signs of bytes 1, 3, 5, 7";
    EXPECT_EQ(emu::v_perm_b32(upper, lower, 0xff100d0cu), 0xffffff00u) << "constants";
}

}  // namespace
