// test_emulator_faults.hip: what the emulator (tests/emu/) refuses, and which races it finds. Only built for the
// emulations.
#include <gtest/gtest.h>

#include "device_array.h"
#include "gpu/wave.h"

namespace {

const dim3 kTwoWaves(2 * kWave);

// ---- what a GPU leaves undefined ----

class EmulatorDeath : public testing::Test {
  protected:
    void SetUp() override {
        testing::FLAGS_gtest_death_test_style = "threadsafe";
        emu::set_order({});
    }
    void TearDown() override { emu::set_order(before_); }

    const emu::Order before_ = emu::order();
};

template <class Kernel>
void run_one_block(Kernel kernel, size_t lds_bytes = 1024) {
    Guarded<int> out(size_t(2 * kWave));
    emu::run_grid({"a kernel", __FILE__, __LINE__}, nullptr, dim3(1), kTwoWaves, lds_bytes,
                  [&] { kernel(out.data()); });
}

TEST_F(EmulatorDeath, LaneReturnsBeforeACollective) {
    const auto kernel = [](int*) {
        if (threadIdx.x != 3) wave_ballot(true);
    };
    EXPECT_DEATH(
        run_one_block(kernel),
        "test_emulator_faults.hip:[0-9]+: kernel a kernel, block .0, 0, 0., lane 3: returns while other lanes of the "
        "wave wait in ballot");
}

TEST_F(EmulatorDeath, CollectiveAfterALaneReturned) {
    const auto kernel = [](int*) {
        if (threadIdx.x != 0) shfl(1, 2);
    };
    EXPECT_DEATH(run_one_block(kernel), "lane 1: shfl: lane 0 has returned");
}

TEST_F(EmulatorDeath, DifferentCollectives) {
    const auto kernel = [](int*) {
        if (lane_id() == 7)
            shfl_xor(1, 1);
        else
            wave_ballot(true);
    };
    EXPECT_DEATH(run_one_block(kernel), "lane 7: shfl_xor: other lanes wait in ballot");
}

TEST_F(EmulatorDeath, MatrixInstructionWithoutALane) {
    const auto kernel = [](int*) {
        Acc acc = {};
        const Frag frag = {};
        if (lane_id() != kWave - 1) mma(acc, frag, frag);
    };
    EXPECT_DEATH(run_one_block(kernel), "returns while other lanes of the wave wait in (mfma|wmma|mma.sync)");
}

TEST_F(EmulatorDeath, BarrierAgainstCollective) {
    const auto kernel = [](int*) {
        if (lane_id() == 0)
            block_sync();
        else
            wave_ballot(true);
    };
    EXPECT_DEATH(run_one_block(kernel), "lane 1: ballot: lane 0 waits at a barrier");
}

TEST_F(EmulatorDeath, CollectiveAgainstBarrier) {
    const auto kernel = [](int*) {
        if (lane_id() == 0)
            wave_ballot(true);
        else
            block_sync();
    };
    EXPECT_DEATH(run_one_block(kernel), "lane 1: barrier: other lanes of the wave wait in ballot");
}

TEST_F(EmulatorDeath, WaveThatSkipsABarrier) {
    const auto kernel = [](int*) {
        if (wave_id() == 0) block_sync();
    };
    EXPECT_DEATH(run_one_block(kernel), "lane [0-9]+: returns while lane [0-9]+ waits at a barrier");
}

TEST_F(EmulatorDeath, BarrierAfterAWaveReturned) {
    const auto kernel = [](int*) {
        if (wave_id() == 1) block_sync();
    };
    EXPECT_DEATH(run_one_block(kernel), "barrier: lane [0-9]+ has returned");
}

TEST_F(EmulatorDeath, ShuffleFromNowhere) {
    EXPECT_DEATH(run_one_block([](int*) { shfl(1, kWave); }), "shfl: from lane [0-9]+ of [0-9]+");
}

__global__ void empty_kernel(float*) {}

TEST_F(EmulatorDeath, BlocksOfOtherSizes) {
    EXPECT_DEATH(GPU_LAUNCH(empty_kernel, dim3(1), dim3(kWave + 1), 0, nullptr, nullptr), "a block of whole waves");
    EXPECT_DEATH(GPU_LAUNCH(empty_kernel, dim3(1), dim3(2048), 0, nullptr, nullptr), "up to 1024 lanes");
    EXPECT_DEATH(GPU_LAUNCH(empty_kernel, dim3(1), dim3(kWave, 2), 0, nullptr, nullptr), "a block of whole waves");
}

TEST_F(EmulatorDeath, MoreLdsThanThereIs) {
    EXPECT_DEATH(run_one_block([](int*) {}, emu::kLdsBytes + 1), "expected at most [0-9]+ bytes of LDS, found [0-9]+");
}

TEST_F(EmulatorDeath, WritePastTheLds) {
    const auto kernel = [](int*) { emu::dynamic_lds()[1024] = 1; };
    EXPECT_DEATH(run_one_block(kernel), "LDS was written at byte 1024, past the 1024|use-after-poison");
}

TEST_F(EmulatorDeath, ReleaseTwice) {
    void* const p = gpu::try_allocate(100);
    gpu::release(p);
    EXPECT_DEATH(gpu::release(p), "release of what is no device memory");
}

// ---- races ----

class EmulatorRace : public EmulatorDeath {
  protected:
    void SetUp() override {
        EmulatorDeath::SetUp();
        emu::set_order({emu::Turns::kCheck});
    }
};

TEST_F(EmulatorRace, ReadsANeighbourWithoutABarrier) {
    const auto kernel = [](int* out) {
        auto* const numbers = reinterpret_cast<int*>(emu::dynamic_lds());
        numbers[threadIdx.x] = int(threadIdx.x);
        out[threadIdx.x] = numbers[(threadIdx.x + 1) % blockDim.x];
    };
    EXPECT_DEATH(run_one_block(kernel),
                 "kernel a kernel: order: device memory depends on the order of lanes: byte [0-9]+");
}

TEST_F(EmulatorRace, ReadsAnotherWaveWithoutABarrier) {
    const auto kernel = [](int* out) {
        auto* const numbers = reinterpret_cast<int*>(emu::dynamic_lds());
        numbers[threadIdx.x] = int(threadIdx.x);
        wave_ballot(true);  // lanes of one wave are in step, waves are not
        out[threadIdx.x] = numbers[(threadIdx.x + kWave) % blockDim.x];
    };
    EXPECT_DEATH(run_one_block(kernel), "device memory depends on the order");
}

TEST_F(EmulatorRace, BothWriteTheSameWord) {
    const auto kernel = [](int* out) {
        auto* const numbers = reinterpret_cast<int*>(emu::dynamic_lds());
        numbers[threadIdx.x] = int(threadIdx.x);
        block_sync();
        numbers[40] = int(threadIdx.x);
        block_sync();
        if (threadIdx.x == 0) numbers[40] = 0;
        block_sync();
        out[threadIdx.x] = numbers[40];
    };
    EXPECT_DEATH(run_one_block(kernel), "order: LDS byte 160 depends on the order of lanes, seen at barrier 1");
}

TEST_F(EmulatorRace, BlocksWriteTheSameWord) {
    const auto kernel = [](int* out) { *out = int(blockIdx.x); };
    Guarded<int> out(1);
    EXPECT_DEATH(
        emu::run_grid({"a kernel", __FILE__, __LINE__}, nullptr, dim3(20), kTwoWaves, 0, [&] { kernel(out.data()); }),
        "byte 25[6-9] of the 516");
}

TEST_F(EmulatorRace, ReadsWhatIsOverwrittenTooEarly) {
    const auto kernel = [](int* out) {
        auto* const numbers = reinterpret_cast<int*>(emu::dynamic_lds());
        numbers[threadIdx.x] = int(threadIdx.x);
        block_sync();
        const int read = numbers[blockDim.x - 1 - threadIdx.x];
        numbers[threadIdx.x] = 0;
        out[threadIdx.x] = read;
    };
    EXPECT_DEATH(run_one_block(kernel), "depends on the order of lanes");
}

// A kernel reads the memory of another device.
TEST_F(EmulatorDeath, MemoryOfAnotherDevice) {
    const auto kernel = [](int* out) { out[threadIdx.x] = 0; };
    const auto touch = [&](int device) {
        setenv("EMU_DEVICES", "2", 1);
        gpu::set_device(1);
        Guarded<int> on_second(size_t(2 * kWave));
        gpu::set_device(device);
        emu::run_grid({"a kernel", __FILE__, __LINE__}, nullptr, dim3(1), kTwoWaves, 0,
                      [&] { kernel(on_second.data()); });
        std::exit(0);
    };
    EXPECT_DEATH(touch(0), "a kernel: device 0 touches memory of device 1");
    EXPECT_EXIT(touch(1), testing::ExitedWithCode(0), "");
}

TEST_F(EmulatorDeath, SaysWhichRandomOrder) {
    emu::set_order({emu::Turns::kRandom, 17});
    const auto kernel = [](int*) {
        if (lane_id() != 3) wave_ballot(true);
    };
    EXPECT_DEATH(run_one_block(kernel), "EMU_ORDER=17");
}

}  // namespace
