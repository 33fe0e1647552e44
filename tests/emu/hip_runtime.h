// hip_runtime.h: the part of a GPU's runtime that unchanged kernels need on a CPU: g++ -x c++ -DGPU_EMULATE.
//
// Each lane is a fiber. It runs until it comes to a collective of its wave or a barrier of its block, or returns; then
// another one runs. Blocks are spread over OpenMP threads. What a GPU leaves undefined stops the program with one line:
// a collective that not all lanes of a wave come to, a barrier that not all lanes of a block come to, a write past the
// LDS of the launch.
#pragma once
#include <math.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <type_traits>

#define __global__ static
#define __device__
#define __host__
#define __shared__ static thread_local  // a block runs on one OS thread
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned n_x = 1, unsigned n_y = 1, unsigned n_z = 1) : x(n_x), y(n_y), z(n_z) {}
};
inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emu {

#if defined(GPU_EMULATE_CDNA)
constexpr int kWaveLanes = 64;
constexpr size_t kLdsBytes = 64 << 10;  // that a launch may have
constexpr const char* kTarget = "CDNA";
#elif defined(GPU_EMULATE_RDNA3)
constexpr int kWaveLanes = 32;
constexpr size_t kLdsBytes = 64 << 10;
constexpr const char* kTarget = "RDNA3";
#elif defined(GPU_EMULATE_SM80)
constexpr int kWaveLanes = 32;
constexpr size_t kLdsBytes = 227 << 10;  // of sm_90, which kernels for wave groups count on
constexpr const char* kTarget = "SM80";
#else
#error "hip_runtime.h: compile with -DGPU_EMULATE_CDNA, _RDNA3 or _SM80"
#endif

// What is launched, and where the host's code says so.
struct Site {
    const char* kernel;
    const char* file;
    int line;
};

// Runs `body` in every lane of a grid. Returns when all is done: a stream has nothing to wait for.
void run_grid(const Site& site, void* stream, const dim3& grid, const dim3& block, size_t lds_bytes,
              const std::function<void()>& body);

// As on a device, arguments are taken once, by value, as the types of the kernel's parameters.
template <class... Params, class... Args>
void launch(const Site& site, void* stream, const dim3& grid, const dim3& block, size_t lds_bytes,
            void (*kernel)(Params...), const Args&... args) {
    const std::tuple<Params...> values(args...);
    run_grid(site, stream, grid, block, lds_bytes, [&] { std::apply(kernel, values); });
}

// In which order blocks, waves and lanes take turns. kRandom depends on the seed alone, and changes waves between
// barriers too. kCheck runs each launch twice from the same device memory, in ascending and in descending order, so
// that of any two accesses without a barrier between them each comes first once. LDS at every barrier and all device
// memory at the end must be equal, else the launch has a race, or relies on an order of its blocks. At start: the
// environment variable EMU_ORDER: empty, check, or a seed.
enum class Turns { kAscending, kDescending, kRandom, kCheck };
struct Order {
    Turns turns = Turns::kAscending;
    uint64_t seed = 0;
};
Order order();
void set_order(const Order& order);

char* dynamic_lds();
void barrier();

// Waits until all lanes of the wave have come here; the last one calls compute(share of each lane).
using Compute = void (*)(void* const* shares);
void meet(const char* what, void* share, Compute compute);

// Copies into LDS that go on by themselves. They are done when somebody waits for them, the latest moment that hardware
// may choose.
void copy_later(char* to, const void* from, size_t bytes);
void end_batch();               // this lane's copies since the last call are a batch
void wait_batches(int n_left);  // for all of this lane's batches but the last n_left
void wait_copies();             // for all of this lane's

// In LDS: passed when it was arrived at n_arrivals times.
struct Barrier {
    uint16_t n_arrivals, n_missing;
    uint32_t n_passed;
};
void arrive(Barrier& barrier);
void arrive_with_copies(Barrier& barrier);     // once the lane's copies so far are done
void wait(Barrier& barrier, uint32_t parity);  // until it was passed an even number of times (parity 1) or an odd one

// Prints where we are (kernel, block, lane) and what is wrong, and aborts.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void complain(const char* format, ...);

// Exact as ldexpf and much faster; n as kernels have it, between -1000 and 1000.
inline float ldexp_small(float x, int n) {
    const uint64_t bits = uint64_t(1023 + n) << 52;
    double power;
    __builtin_memcpy(&power, &bits, sizeof power);
    return float(x * power);
}

template <class T>
T shuffle(const char* what, T value, int from) {
    static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "what GPUs shuffle");
    if (from < 0 || from >= kWaveLanes) complain("%s: from lane %d of %d", what, from, kWaveLanes);
    struct Share {
        T value, result;
        int from;
    } share = {value, {}, from};
    meet(what, &share, [](void* const* shares) {
        for (int lane = 0; lane < kWaveLanes; lane++) {
            auto* const mine = static_cast<Share*>(shares[lane]);
            mine->result = static_cast<const Share*>(shares[mine->from])->value;
        }
    });
    return share.result;
}

}  // namespace emu

inline void __syncthreads() {
    emu::barrier();
}

template <class T>
T __shfl(T value, int lane) {
    return emu::shuffle("shfl", value, lane);
}

template <class T>
T __shfl_xor(T value, int mask) {
    return emu::shuffle("shfl_xor", value, int(threadIdx.x) % emu::kWaveLanes ^ mask);
}

inline unsigned long long __ballot(bool predicate) {
    struct Share {
        bool predicate;
        unsigned long long result;
    } share = {predicate, 0};
    emu::meet("ballot", &share, [](void* const* shares) {
        unsigned long long bits = 0;
        for (int lane = 0; lane < emu::kWaveLanes; lane++)
            bits |= static_cast<unsigned long long>(static_cast<const Share*>(shares[lane])->predicate) << lane;
        for (int lane = 0; lane < emu::kWaveLanes; lane++) static_cast<Share*>(shares[lane])->result = bits;
    });
    return share.result;
}

inline int atomicAdd(int* address, int value) {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
inline unsigned atomicAdd(unsigned* address, unsigned value) {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

inline int __popcll(unsigned long long bits) {
    return __builtin_popcountll(bits);
}
inline int min(int a, int b) {
    return a < b ? a : b;
}
inline int max(int a, int b) {
    return a > b ? a : b;
}
#define rsqrtf(x) (1.0f / sqrtf(x))
#define ldexpf(x, n) emu::ldexp_small(x, n)
