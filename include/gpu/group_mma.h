// group_mma.h: matrix instructions of a group of waves (NVIDIA Hopper's wgmma). They take weights from registers and
// activations from LDS, and run while the waves go on. The bits are those of mma_weights, in the same order of k.
//
//   kGroupWaves       waves of a group; the first one's number is a multiple of it. 0: no such instructions here
//   group_stage_bytes(n)         LDS for the activations of one depth step, n rows × 64 k
//   stage_run(stage, n, row, r, run)   stores one row's run r of 8, k from 8 r on
//   publish_stage()   after a thread's last stage_run, before the barrier: makes the stage visible to the instructions
//   GroupMma<N>       products with N rows of activations; hardware takes N = 96. Each wave multiplies its own 16 rows
//                     of weights; a lane's element i of N / 2 is product_at(lane, i)
//     .begin()        before the first multiply() of a batch: the registers are ready
//     .multiply(acc, w, half, stage, k16, add)   acc = (add ? acc : 0) + the products of 16 of the stage's k;
//                     w.run[half] holds the weights, k16 = 2 · (which 32 k) + half
//     .commit()       ends a batch
//     .wait<n>(acc)   waits for all batches but the last n. Their weights' registers and their stage are free then; for
//                     n = 0, acc too
//   copied(w, n)      w in registers of its own, n ≥ 0. For weights loaded straight from memory: without the copy the
//                     compiler would load the next ones over registers in use, and make every instruction wait
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

// A stage is 8 columns of 16-byte units, one unit a row. A unit is 8 k of the instruction: one pair of each of 4 runs,
// as in a Frag (k_slot). Columns are padded by one unit, so that stage_run's writes have no bank conflicts.
constexpr int group_column_bytes(int n_rows) {
    return 16 * (n_rows + 1);
}
constexpr int group_stage_bytes(int n_rows) {
    return 8 * group_column_bytes(n_rows);
}

__device__ inline void stage_run(char* stage, int n_rows, int row, int r, const Run& run) {
#pragma unroll
    for (int j = 0; j < 4; j++)
        *reinterpret_cast<uint32_t*>(stage + (r / 4 * 4 + j) * group_column_bytes(n_rows) + 16 * row + 4 * (r % 4)) =
            run.pair[j];
}

__device__ inline void publish_stage() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

__device__ inline WeightFrag copied(WeightFrag w, int n) {
#pragma unroll
    for (int r = 0; r < kRuns; r++)
#pragma unroll
        for (int j = 0; j < 4; j++) w.run[r].pair[j] ^= uint32_t(n) >> 31;
    return w;
}

constexpr int kGroupCoreBytes = 128;  // 8 rows of a column

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// The instruction for N rows; operands: N / 2 results, 4 registers of weights, where the activations are, whether to
// add.
template <int N>
__device__ void wgmma_k16(float* d, const uint32_t* a, uint64_t b, int add);

#define GPU_D8(i)                                                                                               \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
        "+f"(d[i + 7])
template <>
__device__ inline void wgmma_k16<96>(float* d, const uint32_t* a, uint64_t b, int add) {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, %53, 0; wgmma.mma_async.sync.aligned.m64n96k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,"
        "%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47}, "
        "{%48,%49,%50,%51}, %52, p, 1, 1, 0;}"
        : GPU_D8(0), GPU_D8(8), GPU_D8(16), GPU_D8(24), GPU_D8(32), GPU_D8(40)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}
#undef GPU_D8

template <int N>
struct GroupMma {
    __device__ void begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
    __device__ void multiply(float* acc, const WeightFrag& w, int half, const char* stage, int k16, bool add) {
        // PTX ISA, "Matrix descriptor": no swizzle, k innermost; offsets in units of 16 bytes.
        const auto at = uint32_t(__cvta_generic_to_shared(stage)) + uint32_t(2 * k16 * group_column_bytes(N));
        const uint64_t place =
            (at >> 4 & 0x3fff) | uint64_t(group_column_bytes(N) >> 4) << 16 | uint64_t(kGroupCoreBytes >> 4) << 32;
        wgmma_k16<N>(acc, w.run[half].pair, place, add);
    }
    __device__ void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
    template <int kLeft>
    __device__ void wait(float* acc) {
        asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
        if (kLeft == 0)
#pragma unroll
            for (int i = 0; i < N / 2; i++) asm volatile("" : "+f"(acc[i])::"memory");
    }
};

#elif defined(GPU_EMULATE_SM80)

// Work is done when it is waited for, the latest moment that hardware may choose: who reads too soon, or overwrites a
// stage too soon, is found out.
template <int N>
struct GroupMma {
    emu::Wgmma waiting[8];
    int n_waiting = 0, n_batches = 0;

    void begin() {}
    void multiply(float* acc, const WeightFrag& w, int half, const char* stage, int k16, bool add) {
        if (n_waiting == 8) emu::complain("wgmma: more than 8 at once");
        emu::Wgmma& work = waiting[n_waiting++];
        work = {acc, {},       stage + 2 * k16 * group_column_bytes(N), N, group_column_bytes(N), kGroupCoreBytes,
                add, n_batches};
        for (int i = 0; i < 4; i++) work.a[i] = w.run[half].pair[i];
    }
    void commit() { n_batches++; }
    template <int kLeft>
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
template <int N>
struct GroupMma {
    __device__ void begin() {}
    __device__ void multiply(float*, const WeightFrag&, int, const char*, int, bool) {}
    __device__ void commit() {}
    template <int kLeft>
    __device__ void wait(float*) {}
};

#endif
