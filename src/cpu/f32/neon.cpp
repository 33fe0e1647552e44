// neon.cpp: the inner loops with NEON, which every aarch64 CPU has: 4 floats in one register, 32 registers.
#include <arm_neon.h>

#include "cpu/f32/loops.h"
#include "cpu/mxfp4_bf16.h"

namespace {

struct Neon {
    static constexpr int kLanes = 4;
    static constexpr const uint8_t (&kMxfp4Column)[32] = kEvenThenOdd.column;
    static constexpr int kRows = 4, kToks = 4;  // 16 sums: four multiply-adds a cycle, each four cycles long
    float32x4_t v;

    static Neon zero() { return {vdupq_n_f32(0)}; }
    static Neon set1(float f) { return {vdupq_n_f32(f)}; }
    static Neon load(const float* p) { return {vld1q_f32(p)}; }
    static Neon load_bf16(const bf16* p) {
        uint16x4_t bits;
        std::memcpy(&bits, p, sizeof bits);
        return {vreinterpretq_f32_u32(vshll_n_u16(bits, 16))};
    }
    static Neon load_f16(const f16* p) {
        uint16x4_t bits;
        std::memcpy(&bits, p, sizeof bits);
        return {vcvt_f32_f16(vreinterpret_f16_u16(bits))};
    }
    static void store(float* p, Neon a) { vst1q_f32(p, a.v); }
    static Neon fma(Neon a, Neon b, Neon c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
    static float sum(Neon a) { return vaddvq_f32(a.v); }

    // As in avx2.cpp, two look-ups give the two bytes of a bf16, the upper half of a float.
    static void mxfp4(const uint8_t* codes, uint8_t scale, Neon (&part)[8]) {
        const uint8x16_t low = vld1q_u8(kMxfp4Bytes.of[scale].low), high = vld1q_u8(kMxfp4Bytes.of[scale].high);
        const auto eight = [](uint8x16_t bytes, Neon& first, Neon& second) {
            const uint16x8_t halves = vreinterpretq_u16_u8(bytes);
            first.v = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(halves), 16));
            second.v = vreinterpretq_f32_u32(vshll_high_n_u16(halves, 16));
        };
        const auto sixteen = [&](uint8x16_t code, Neon* out) {
            const uint8x16_t l = vqtbl1q_u8(low, code), h = vqtbl1q_u8(high, code);
            eight(vzip1q_u8(l, h), out[0], out[1]);
            eight(vzip2q_u8(l, h), out[2], out[3]);
        };
        const uint8x16_t both = vld1q_u8(codes);
        sixteen(vandq_u8(both, vdupq_n_u8(15)), part);
        sixteen(vshrq_n_u8(both, 4), part + 4);
    }
};

}  // namespace

const Kernels kNeonKernels{
    "NEON", "neon", MakeKernels<Neon>::arrange, MakeKernels<Neon>::dot, MakeKernels<Neon>::accumulate, nullptr};
