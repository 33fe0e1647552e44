// group_mma.h: matrix instructions of a group of waves (NVIDIA Hopper's wgmma). They take weights from registers and
// activations from LDS, and run while the waves go on. The bits are those of mma_weights, in the same order of k.
//
//   kGroupWaves       waves of a group; the first one's number is a multiple of it. 0: no such instructions here
//   group_place(k)    where k of 32 stands in a row of activations for these instructions: in its first 16 elements the
//                     k of the first one
//   group_stage_bytes(n)      LDS for the activations of one depth step, n rows × 64 k, aligned to kStageAlign, as what
//                             GPU_LDS names is
//   stage_unit(stage, row, u) where the row's elements 8 u to 8 u + 7 belong
//   StageRef          a stage as multiply() takes it; ref.after(bytes) is a stage behind it
//   GroupMma          products with N rows of activations, a multiple of 32 up to 256. Each wave multiplies its own
//                     operand of 16 rows of weights; group_pair says which N / 2 results a lane has
//     .begin()        before the first multiply() of a batch: the registers are ready
//     .multiply<N>(acc, w, half, stage, k16, add)   acc = (add ? acc : 0) + the products of 16 of the stage's k;
//                     w.run[half] holds the weights, k16 = 2 · (which 32 k) + half
//     .commit()       ends a batch
//     .wait<n, N>(acc)   waits for all batches but the last n. Their weights' registers and their stage are free then;
//                     acc is one of theirs, to be read next
//   group_pair(lane, i)  of N / 4 pairs of results pair i, acc[group_sum(i, tile)], is that of row .row of the
//                     activations and column .col + 8 · part of the slab's two tiles
//   group_weights(acc, first)  the results of pairs first to first + 7, of 32 rows of activations, rounded, as an
//                     operand of 32 k in the order of those rows
#pragma once
#include "gpu/mma.h"

#if defined(GPU_EMULATE_SM80) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
constexpr int kGroupWaves = 4;
#else
constexpr int kGroupWaves = 0;
#endif

// Whether a program built like this one may meet a device that has them; host code asks gpu::device_info.
#if defined(GPU_EMULATE_SM80) || defined(__CUDACC__)
constexpr bool kBuiltForGroups = true;
#else
constexpr bool kBuiltForGroups = false;
#endif

// An instruction's lane q of four has elements 2q, 2q + 1, 2q + 8 and 2q + 9 of 16. A run of 8 k is spread so that all
// of it comes to one lane, as in a Frag (k_slot).
__device__ constexpr int group_place(int k) {
    return (k >> 3) * 2 + (k >> 2 & 1) * 16 + (k >> 1 & 1) * 8 + (k & 1);
}

// A row's 64 k are 128 bytes in units of 16, of which row r has unit u at place u ^ r % 8: eight rows' units of one
// place lie in different banks. PTX ISA, "128-byte swizzling".
constexpr int kStageAlign = 1024;
constexpr int group_stage_bytes(int n_rows) {
    return 128 * n_rows;
}
__device__ inline char* stage_unit(char* stage, int row, int u) {
    return stage + 128 * row + 16 * (u ^ row % 8);
}

__device__ constexpr At group_pair(int lane, int i) {
    return {8 * (i / 2) + 2 * (lane % 4) + i % 2, lane / 4};
}
__device__ constexpr int group_sum(int i, int tile) {
    return i / 2 * 4 + 2 * tile + i % 2;
}

#if defined(GPU_EMULATE_SM80) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
__device__ inline WeightFrag group_weights(const float* acc, int first) {
    WeightFrag w;
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int i = first + 4 * half + 2 * (j / 2);
            w.run[half].pair[j] = narrow_pair(acc[group_sum(i, j % 2)], acc[group_sum(i + 1, j % 2)]);
        }
    return w;
}
#else
__device__ inline WeightFrag group_weights(const float*, int) {
    return {};
}
#endif

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#include "gpu/wgmma.h"

// PTX ISA, "Matrix descriptor": 128-byte swizzle, 8 rows are 1024 bytes; offsets in units of 16 bytes.
struct StageRef {
    uint64_t descriptor;

    __device__ StageRef(const char* stage)
        : descriptor((__cvta_generic_to_shared(stage) >> 4 & 0x3fff) | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 |
                     uint64_t(1) << 62) {}
    __device__ StageRef after(int bytes) const {
        StageRef ref = *this;
        ref.descriptor += uint32_t(bytes) >> 4;
        return ref;
    }
};

struct GroupMma {
    __device__ void begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
    template <int N>
    __device__ void multiply(float* acc, const WeightFrag& w, int half, StageRef stage, int k16, bool add) {
        wgmma_k16<N>(acc, w.run[half].pair, stage.after(32 * k16).descriptor, add);
    }
    __device__ void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
    template <int kLeft, int N>
    __device__ void wait(float* acc) {
        asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
#pragma unroll
        for (int i = 0; i < N / 2; i++) asm volatile("" : "+f"(acc[i])::"memory");
    }
};

#elif defined(GPU_EMULATE_SM80)

struct StageRef {
    const char* at;

    StageRef(const char* stage) : at(stage) {}
    StageRef after(int bytes) const { return at + bytes; }
};

// Work is done when it is waited for, the latest moment that hardware may choose: who reads too soon, or overwrites a
// stage too soon, is found out.
struct GroupMma {
    static constexpr int kMost = 16;
    emu::Wgmma waiting[kMost];
    int n_waiting = 0, n_batches = 0;

    void begin() {}
    template <int N>
    void multiply(float* acc, const WeightFrag& w, int half, StageRef stage, int k16, bool add) {
        if (n_waiting == kMost) emu::complain("wgmma: more than 16 at once");
        emu::Wgmma& work = waiting[n_waiting++];
        work = {acc, {}, stage.after(32 * k16).at, N, add, n_batches};
        for (int i = 0; i < 4; i++) work.a[i] = w.run[half].pair[i];
    }
    void commit() { n_batches++; }
    template <int kLeft, int N>
    void wait(float*) {
        int n_done = 0;
        while (n_done < n_waiting && waiting[n_done].batch < n_batches - kLeft)
            emu::wgmma_k16_f32_bf16(&waiting[n_done++]);
        for (int i = n_done; i < n_waiting; i++) waiting[i - n_done] = waiting[i];
        n_waiting -= n_done;
    }
};

#else

// Names only: no launcher chooses a kernel that needs them.
struct StageRef {
    __device__ StageRef(const char*) {}
    __device__ StageRef after(int) const { return *this; }
};
struct GroupMma {
    __device__ void begin() {}
    template <int N>
    __device__ void multiply(float*, const WeightFrag&, int, StageRef, int, bool) {}
    __device__ void commit() {}
    template <int kLeft, int N>
    __device__ void wait(float*) {}
};

#endif
