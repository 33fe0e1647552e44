// convert.h: bf16 on a device, rounded as bf16.h does: to nearest, ties to even; quotients and powers of two.
#pragma once
#include "bf16.h"
#include "gpu/platform.h"

__device__ inline float bits_to_f32(uint32_t bits) {
    float f;
    __builtin_memcpy(&f, &bits, sizeof f);
    return f;
}

__device__ inline uint32_t f32_to_bits(float f) {
    uint32_t bits;
    __builtin_memcpy(&bits, &f, sizeof bits);
    return bits;
}

__device__ inline float widen(bf16 h) {
    return bits_to_f32(uint32_t(h.bits) << 16);
}

// The two halves of a pair as run.pair holds it.
__device__ inline float widen_low(uint32_t pair) {
    return bits_to_f32(pair << 16);
}
__device__ inline float widen_high(uint32_t pair) {
    return bits_to_f32(pair & 0xffff0000u);
}

__device__ inline bf16 narrow(float f) {
#if defined(__CUDA_ARCH__)
    bf16 h;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
    return h;
#else
    const uint32_t u = f32_to_bits(f), rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    return {uint16_t((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40 : rounded)};  // no branch: lanes would diverge
#endif
}

// a / b but for some units in the last place, b no subnormal. No branch, as a division may have.
__device__ inline float quotient(float a, float b) {
#if defined(__CUDA_ARCH__)
    float inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(b));
    return a * inverse;
#elif defined(__HIP_DEVICE_COMPILE__)
    return a * __builtin_amdgcn_rcpf(b);
#else
    return a / b;
#endif
}

// 2^x but for some units in the last place; 0 where that is no normal number. One instruction, as exp2f() is not: that
// keeps subnormals.
__device__ inline float exp2_flushed(float x) {
#if defined(__CUDA_ARCH__)
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
#elif defined(__HIP_DEVICE_COMPILE__) && __has_builtin(__builtin_amdgcn_exp2f)
    return __builtin_amdgcn_exp2f(x);
#elif defined(__HIP_DEVICE_COMPILE__)  // gfx90a's older compiler, where no wait belongs behind it
    float power;
    asm("v_exp_f32 %0, %1" : "=v"(power) : "v"(x));
    return power;
#else
    return x < -126 ? 0 : exp2f(x);
#endif
}

// Two neighbours, rounded: `low` is the first in memory.
__device__ inline uint32_t narrow_pair(float low, float high) {
#if defined(__CUDA_ARCH__)
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return uint32_t(narrow(low).bits) | uint32_t(narrow(high).bits) << 16;
#endif
}
