// portable.cpp: the inner loops in plain C++, for any CPU. Multiplies and adds round separately, so its results
// differ in the last bits from those of the sets that have fused multiply-add.
#include "cpu/f32/loops.h"

namespace {

struct Portable {
    static constexpr int kLanes = 16;
    static constexpr const uint8_t (&kMxfp4Column)[32] = kEvenThenOdd.column;
    static constexpr int kRows = 1, kToks = 1;
    float v[kLanes];

    static Portable zero() { return {}; }
    static Portable set1(float f) {
        Portable a;
        for (float& e : a.v) e = f;
        return a;
    }
    static Portable load(const float* p) {
        Portable a;
        std::memcpy(a.v, p, sizeof a.v);
        return a;
    }
    static Portable load_bf16(const bf16* p) {
        Portable a;
        for (int i = 0; i < 16; i++) a.v[i] = to_f32(p[i]);
        return a;
    }
    static Portable load_f16(const f16* p) {
        Portable a;
        for (int i = 0; i < 16; i++) a.v[i] = to_f32(p[i]);
        return a;
    }
    static void store(float* p, const Portable& a) { std::memcpy(p, a.v, sizeof a.v); }
    static Portable fma(const Portable& a, const Portable& b, const Portable& c) {
        Portable d;
        for (int i = 0; i < 16; i++) d.v[i] = a.v[i] * b.v[i] + c.v[i];
        return d;
    }
    static float sum(const Portable& a) {
        float s[8];
        for (int i = 0; i < 8; i++) s[i] = a.v[i] + a.v[i + 8];
        for (int width = 4; width > 0; width /= 2)
            for (int i = 0; i < width; i++) s[i] += s[i + width];
        return s[0];
    }
    static void mxfp4(const uint8_t* codes, uint8_t scale, Portable (&part)[2]) {
        static constexpr float kValues[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                              -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
        for (int i = 0; i < 16; i++) {
            part[0].v[i] = kValues[codes[i] & 15] * kScale.value[scale];
            part[1].v[i] = kValues[codes[i] >> 4] * kScale.value[scale];
        }
    }
};

}  // namespace

const Kernels kPortableKernels{"portable",
                               "portable",
                               MakeKernels<Portable>::arrange,
                               MakeKernels<Portable>::dot,
                               MakeKernels<Portable>::accumulate,
                               nullptr};
