// test_emulator_groups.hip: the emulator's wave groups and rings in LDS: when their work is done, and what it finds.
#include <gtest/gtest.h>

#include <vector>

#include "device_array.h"
#include "gpu/group_mma.h"
#include "gpu/lds_ring.h"
#include "gpu/wave.h"

#if defined(GPU_EMULATE_SM80)

namespace {

using testing::Values;

// Every test in every order.
class EmulatorGroups : public testing::TestWithParam<emu::Order> {
  protected:
    void SetUp() override { emu::set_order(GetParam()); }
    void TearDown() override { emu::set_order(before_); }

  private:
    const emu::Order before_ = emu::order();
};
INSTANTIATE_TEST_SUITE_P(Orders, EmulatorGroups,
                         Values(emu::Order{}, emu::Order{emu::Turns::kDescending}, emu::Order{emu::Turns::kRandom, 1},
                                emu::Order{emu::Turns::kRandom, 2}, emu::Order{emu::Turns::kCheck}));

constexpr int kRows = 32;

// Weights all 2, activations all 3; before: what is seen of the results before the work is waited for.
__global__ void group_kernel(float* before, float* after) {
    GPU_LDS(lds);
    char* const stage = lds + (kStageAlign - uint32_t(reinterpret_cast<uintptr_t>(lds)) % kStageAlign) % kStageAlign;
    const Run threes = {{0x40404040u, 0x40404040u, 0x40404040u, 0x40404040u}};
    for (int i = int(threadIdx.x); i < kRows * 8; i += int(blockDim.x))
        *reinterpret_cast<Run*>(stage_unit(stage, i / 8, i % 8)) = threes;
    block_sync();
    WeightFrag twos;
    for (auto& run : twos.run) run = {{0x40004000u, 0x40004000u, 0x40004000u, 0x40004000u}};
    GroupMma matrix;
    float acc[kRows / 2] = {};
    matrix.begin();
    matrix.multiply<kRows>(acc, twos, 0, stage, 0, false);
    matrix.commit();
    before[threadIdx.x] = acc[0];
    matrix.multiply<kRows>(acc, twos, 1, stage, 1, true);
    matrix.commit();
    matrix.wait<1, kRows>(acc);
    before[threadIdx.x] += acc[0];
    matrix.wait<0, kRows>(acc);
    after[threadIdx.x] = acc[0];
}

TEST_P(EmulatorGroups, WorkIsDoneWhenItIsWaitedFor) {
    const int n = kGroupWaves * kWave;
    Guarded<float> before(static_cast<size_t>(n)), after(static_cast<size_t>(n));
    GPU_LAUNCH(group_kernel, dim3(1), dim3(unsigned(n)), size_t(group_stage_bytes(kRows) + kStageAlign), nullptr,
               before.data(), after.data());
    for (const float sum : before.download("before")) EXPECT_EQ(sum, 16 * 6.0f);  // the first batch, in the end
    for (const float sum : after.download("after")) EXPECT_EQ(sum, 32 * 6.0f);
}

constexpr int kStages = 3;

struct RingInLds {
    LdsBarrier full[kStages], empty[kStages];
    uint32_t data[kStages][kWave][4];
};

// Wave 0 brings n_steps times 16 bytes a lane, wave 1 adds up the first words; each goes around the ring several times.
__global__ void ring_kernel(uint32_t* sums, const uint32_t* data, int n_steps) {
    GPU_LDS(lds);
    auto* const ring = reinterpret_cast<RingInLds*>(lds);
    if (threadIdx.x == 0)
        for (int s = 0; s < kStages; s++) {
            ring->full[s].start(kWave);
            ring->empty[s].start(1);
        }
    block_sync();
    const int lane = lane_id();
    uint32_t sum = 0;
    for (int step = 0; step < n_steps; step++) {
        const int stage = step % kStages;
        const uint32_t parity = uint32_t(step / kStages % 2);
        if (wave_id() == 0) {
            ring->empty[stage].wait(parity ^ 1);
            copy_run(reinterpret_cast<char*>(ring->data[stage][lane]), data + (step * kWave + lane) * 4);
            ring->full[stage].arrive_with_copies();
        } else {
            ring->full[stage].wait(parity);
            see_copies();
            sum += ring->data[stage][lane][0];
            if (shfl(lane, 0) == lane) ring->empty[stage].arrive();  // all lanes have read
        }
    }
    if (wave_id() == 1) sums[lane] = sum;
}

TEST_P(EmulatorGroups, RingBringsEveryStepOnce) {
    for (const int n_steps : {0, 1, kStages, 4 * kStages + 1}) {
        std::vector<uint32_t> data(size_t(n_steps * kWave * 4 + 4));
        for (size_t i = 0; i < data.size(); i++) data[i] = uint32_t(i * i);
        Guarded<uint32_t> from(data), sums(size_t{kWave});
        GPU_LAUNCH(ring_kernel, dim3(1), dim3(2 * kWave), sizeof(RingInLds), nullptr, sums.data(), from.data(),
                   n_steps);
        const std::vector<uint32_t> got = sums.download("sums");
        for (int lane = 0; lane < kWave; lane++) {
            uint32_t want = 0;
            for (int step = 0; step < n_steps; step++) want += data[size_t(step * kWave + lane) * 4];
            EXPECT_EQ(got[size_t(lane)], want) << n_steps << " steps, lane " << lane;
        }
    }
}

// A copy is seen no sooner than its barrier is passed.
__global__ void early_kernel(uint32_t* seen, const uint32_t* data) {
    GPU_LDS(lds);
    auto* const word = reinterpret_cast<uint32_t*>(lds);
    word[4 * threadIdx.x] = 7;
    copy_run(lds + 16 * threadIdx.x, data + 4 * threadIdx.x);
    seen[2 * threadIdx.x] = word[4 * threadIdx.x];
    wait_copies();
    seen[2 * threadIdx.x + 1] = word[4 * threadIdx.x];
}

TEST_P(EmulatorGroups, CopiesAreDoneWhenTheyAreWaitedFor) {
    Guarded<uint32_t> data(std::vector<uint32_t>(size_t{4 * kWave}, 9)), seen(size_t{2 * kWave});
    GPU_LAUNCH(early_kernel, dim3(1), dim3(kWave), size_t{16 * kWave}, nullptr, seen.data(), data.data());
    const std::vector<uint32_t> got = seen.download("seen");
    for (size_t i = 0; i < got.size(); i++) EXPECT_EQ(got[i], i % 2 ? 9u : 7u) << i;
}

// Three batches of one copy each: how many have arrived before and after each wait.
__global__ void batches_kernel(uint32_t* seen, const uint32_t* data) {
    GPU_LDS(lds);
    auto* const words = reinterpret_cast<uint32_t*>(lds) + 4 * threadIdx.x;
    for (int i = 0; i < 3; i++) {
        words[i] = 7;
        copy_word(reinterpret_cast<char*>(words + i), data + i);
        end_batch();
    }
    const auto n_arrived = [&] { return (words[0] == 9) + (words[1] == 9) + (words[2] == 9); };
    seen[4 * threadIdx.x] = n_arrived();
    wait_batches<2>();
    seen[4 * threadIdx.x + 1] = words[0] == 9 ? n_arrived() : 100;
    wait_batches<1>();
    seen[4 * threadIdx.x + 2] = n_arrived();
    end_batch();  // an empty one
    wait_batches<1>();
    seen[4 * threadIdx.x + 3] = n_arrived();
}

TEST_P(EmulatorGroups, BatchesOfCopiesAreDoneInOrder) {
    Guarded<uint32_t> data(std::vector<uint32_t>(3, 9)), seen(size_t{4 * kWave});
    GPU_LAUNCH(batches_kernel, dim3(1), dim3(kWave), size_t{16 * kWave}, nullptr, seen.data(), data.data());
    const std::vector<uint32_t> got = seen.download("seen");
    for (size_t i = 0; i < got.size(); i++) EXPECT_EQ(got[i], uint32_t(i % 4)) << i;
}

__global__ void deadlock_kernel(int n_arrivals) {
    GPU_LDS(lds);
    auto* const barrier = reinterpret_cast<LdsBarrier*>(lds);
    if (threadIdx.x == 0) barrier->start(n_arrivals);
    block_sync();
    if (threadIdx.x == 0) barrier->arrive();
    barrier->wait(0);
}

TEST(EmulatorGroupsDeath, WaitsForAnArrivalThatNeverComes) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(GPU_LAUNCH(deadlock_kernel, dim3(1), dim3(2 * kWave), sizeof(LdsBarrier), nullptr, 2),
                 "deadlock_kernel.*no lane can run: all wait for barriers in LDS");
}

}  // namespace

#endif
