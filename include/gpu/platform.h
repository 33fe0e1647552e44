// platform.h: which toolchain compiles a kernel: HIP, CUDA, or g++ for the emulation on a CPU. Kernels include it
// through gpu/mma.h or gpu/wave.h; host code includes gpu/runtime.h, which names no vendor.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if defined(GPU_EMULATE)
#include "emu/hip_runtime.h"  // tests/: fibers stand in for lanes
#elif defined(__HIP__)
#include <hip/hip_runtime.h>
#elif defined(__CUDACC__)
#include "gpu/hip_on_cuda.h"
#else
#error "platform.h: compile with hipcc, nvcc, or -DGPU_EMULATE"
#endif

#include "bf16.h"
#include "gpu/runtime.h"

// LDS of a unit, which the blocks at work on it share; NVIDIA's is sm_90's.
#if defined(__CUDACC__) || defined(GPU_EMULATE_SM80)
constexpr int kUnitLdsBytes = 227 << 10;
#else
constexpr int kUnitLdsBytes = 64 << 10;
#endif

// What only a bug can cause: print the expression and stop.
#define GPU_REQUIRE(cond) \
    ((cond) ? (void)0     \
            : (std::fprintf(stderr, "%s:%d: requirement failed: %s\n", __FILE__, __LINE__, #cond), std::abort()))
// What a broken device can cause too: gpu::DeviceError, with the expression.
#define GPU_CHECK(expr) GPU_CHECK_NAMED(#expr, expr)
#define GPU_CHECK_NAMED(what, expr)                                                            \
    do {                                                                                       \
        const hipError_t gpu_status = (expr);                                                  \
        if (gpu_status != hipSuccess) gpu::device_failed(what, hipGetErrorString(gpu_status)); \
    } while (0)

// kernel: a function, or a local variable that holds one (a template's arguments have commas). stream: gpu::Stream.
// GPU_LAUNCH_CHAINED: for kernels that call wait_for_previous(), see gpu/wave.h.
#ifdef GPU_EMULATE
#define GPU_LAUNCH(kernel, grid, block, lds_bytes, stream, ...) \
    emu::launch({#kernel, __FILE__, __LINE__}, stream, grid, block, lds_bytes, kernel, __VA_ARGS__)
#define GPU_LAUNCH_CHAINED GPU_LAUNCH
#define GPU_LDS(name) char* const name = emu::dynamic_lds()
#else
#define GPU_LAUNCH(kernel, grid, block, lds_bytes, stream, ...)                            \
    do {                                                                                   \
        gpu::allow_lds(reinterpret_cast<const void*>(kernel), lds_bytes);                  \
        kernel<<<grid, block, lds_bytes, static_cast<hipStream_t>(stream)>>>(__VA_ARGS__); \
        GPU_CHECK_NAMED("launch of " #kernel " in " __FILE__, hipGetLastError());          \
    } while (0)
#ifdef __CUDACC__
#define GPU_LAUNCH_CHAINED(kernel, grid, block, lds_bytes, stream, ...)                                     \
    do {                                                                                                    \
        gpu::allow_lds(reinterpret_cast<const void*>(kernel), lds_bytes);                                   \
        GPU_CHECK_NAMED(                                                                                    \
            "launch of " #kernel " in " __FILE__,                                                           \
            launch_chained(kernel, grid, block, lds_bytes, static_cast<hipStream_t>(stream), __VA_ARGS__)); \
    } while (0)
#else
#define GPU_LAUNCH_CHAINED GPU_LAUNCH
#endif
// The launch's lds_bytes; aligned as stages of gpu/group_mma.h must be, where there are any.
#ifdef __CUDACC__
#define GPU_LDS(name) extern __shared__ __attribute__((aligned(1024))) char name[]
#else
#define GPU_LDS(name) extern __shared__ __attribute__((aligned(16))) char name[]
#endif
#endif
