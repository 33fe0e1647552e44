// isa.h: matrix instructions of real GPUs. Each says, as the vendor's document does, where element (m, k) of an operand
// lives: (m, k) → (lane, element). include/gpu/mma_*.h says the inverse, lane → (row, k). Keep both: two statements of
// one fact check each other.
//
// Sources: AMD Instinct MI200 ISA, V_MFMA_F32_16X16X16_BF16_1K; AMD RDNA3 ISA, 7.9 "Wave Matrix Multiply Accumulate";
// NVIDIA PTX ISA, "Matrix fragments for mma.m16n8k16", "wgmma: register fragments and shared memory matrix layout".
// V_PERM_B32: any of AMD's.
#pragma once
#include <cstdint>
#include <cstring>

#include "emu/hip_runtime.h"

namespace emu {

struct Where {
    int lane, element;
};

// What one lane brings: bf16 pairs of both operands, and its share of the result.
struct MatrixShare {
    const uint32_t *a, *b;
    float* d;
};

using Four [[gnu::vector_size(16)]] = float;

// bf16 as f32.
inline float widened(uint16_t bf16_bits, bool flush) {
    uint32_t bits = uint32_t(bf16_bits) << 16;
    if (flush && (bits & 0x7f800000u) == 0) bits &= 0x80000000u;
    float f;
    std::memcpy(&f, &bits, sizeof f);
    return f;
}

inline float flushed(float f, bool flush) {
    return flush && fabsf(f) < 0x1p-126f ? copysignf(0.0f, f) : f;
}

// d[m][n] += Σ_k a[m][k] · b[n][k], k ascending, every addition rounded. Hardware adds in an order of its own. Isa: kM,
// kN, kK, kFlush (subnormals are zeros), a(m, k), b(n, k), d(m, n). Operands are collected first, as that takes most
// time; the rest is between small arrays, in loops that the compiler unrolls.
template <class Isa>
void multiply(void* const* shares) {
    constexpr int kM = Isa::kM, kN = Isa::kN, kK = Isa::kK;
    constexpr int kA = Isa::kElementsA, kB = Isa::kElementsB, kD = kM * kN / kWaveLanes;  // of a lane
    uint16_t a_of[kWaveLanes][kA], b_of[kWaveLanes][kB];
    float d_of[kWaveLanes][kD];
    for (int lane = 0; lane < kWaveLanes; lane++) {
        const auto* const share = static_cast<const MatrixShare*>(shares[lane]);
        std::memcpy(a_of[lane], share->a, sizeof a_of[lane]);
        std::memcpy(b_of[lane], share->b, sizeof b_of[lane]);
        std::memcpy(d_of[lane], share->d, sizeof d_of[lane]);
    }
    float a[kM][kK], b[kK][kN], d[kM][kN];
    for (int m = 0; m < kM; m++)
#pragma GCC unroll 16
        for (int k = 0; k < kK; k++) a[m][k] = widened(a_of[Isa::a(m, k).lane][Isa::a(m, k).element], Isa::kFlush);
    for (int n = 0; n < kN; n++)
#pragma GCC unroll 16
        for (int k = 0; k < kK; k++) b[k][n] = widened(b_of[Isa::b(n, k).lane][Isa::b(n, k).element], Isa::kFlush);
    for (int m = 0; m < kM; m++)
#pragma GCC unroll 16
        for (int n = 0; n < kN; n++) d[m][n] = flushed(d_of[Isa::d(m, n).lane][Isa::d(m, n).element], Isa::kFlush);
    for (int m = 0; m < kM; m++)
        for (int n = 0; n < kN; n += 4) {
            Four sum;
            std::memcpy(&sum, &d[m][n], sizeof sum);
#pragma GCC unroll 16
            for (int k = 0; k < kK; k++) {
                Four row;
                std::memcpy(&row, &b[k][n], sizeof row);
                sum += a[m][k] * row;
            }
            std::memcpy(&d[m][n], &sum, sizeof sum);
        }
    for (int m = 0; m < kM; m++)
#pragma GCC unroll 16
        for (int n = 0; n < kN; n++) d_of[Isa::d(m, n).lane][Isa::d(m, n).element] = flushed(d[m][n], Isa::kFlush);
    for (int lane = 0; lane < kWaveLanes; lane++)
        std::memcpy(static_cast<MatrixShare*>(shares[lane])->d, d_of[lane], sizeof d_of[lane]);
}

// Each byte of the selector says what the result's byte is: 0 to 7 a byte of {s0, s1}, s1 the lower; 8 to 11 eight
// times the sign of byte 1, 3, 5 or 7; 12 zero; more than that 0xff.
inline uint32_t v_perm_b32(uint32_t s0, uint32_t s1, uint32_t selector) {
    const uint64_t bytes = uint64_t(s0) << 32 | s1;
    uint32_t result = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t which = selector >> (8 * i) & 255;
        uint32_t byte = which == 12 ? 0 : 255;
        if (which < 8) byte = uint32_t(bytes >> (8 * which)) & 255;
        if (which >= 8 && which < 12) byte = bytes >> (16 * (which - 8) + 15) & 1 ? 255 : 0;
        result |= byte << (8 * i);
    }
    return result;
}

#if defined(GPU_EMULATE_CDNA)

// MI200 takes and gives subnormals as zeros; MI300 keeps them. The stricter one is emulated.
struct Mfma16x16x16 {
    static constexpr int kM = 16, kN = 16, kK = 16, kElementsA = 4, kElementsB = 4;
    static constexpr bool kFlush = true;
    static constexpr Where a(int m, int k) { return {m + 16 * (k / 4), k % 4}; }
    static constexpr Where b(int n, int k) { return {n + 16 * (k / 4), k % 4}; }
    static constexpr Where d(int m, int n) { return {n + 16 * (m / 4), m % 4}; }
};

// d[4], a[2] and b[2]: 4 k.
inline void mfma_f32_16x16x16_bf16_1k(float* d, const uint32_t* a, const uint32_t* b) {
    MatrixShare share = {a, b, d};
    meet("mfma", &share, multiply<Mfma16x16x16>);
}

#elif defined(GPU_EMULATE_RDNA3)

struct Wmma16x16x16 {
    static constexpr int kM = 16, kN = 16, kK = 16, kElementsA = 16, kElementsB = 16;
    static constexpr bool kFlush = false;
    static constexpr Where a(int m, int k) { return {m, k}; }
    static constexpr Where b(int n, int k) { return {n, k}; }
    static constexpr Where d(int m, int n) { return {n + 16 * (m % 2), m / 2}; }
};

// d[8], a[8] and b[8]: all 16 k, and lanes 16–31 must bring the same as lanes 0–15.
inline void wmma_f32_16x16x16_bf16_w32(float* d, const uint32_t* a, const uint32_t* b) {
    MatrixShare share = {a, b, d};
    meet("wmma", &share, [](void* const* shares) {
        for (int lane = 0; lane < 16; lane++) {
            const auto* const low = static_cast<const MatrixShare*>(shares[lane]);
            const auto* const high = static_cast<const MatrixShare*>(shares[lane + 16]);
            if (std::memcmp(low->a, high->a, 32) != 0 || std::memcmp(low->b, high->b, 32) != 0)
                complain("wmma: lane %d does not repeat the operands of lane %d", lane + 16, lane);
        }
        multiply<Wmma16x16x16>(shares);
    });
}

#else

struct Mma16x8x16 {
    static constexpr int kM = 16, kN = 8, kK = 16, kElementsA = 8, kElementsB = 4;
    static constexpr bool kFlush = false;
    static constexpr Where a(int m, int k) { return {4 * (m % 8) + k % 8 / 2, 4 * (k / 8) + 2 * (m / 8) + k % 2}; }
    static constexpr Where b(int n, int k) { return {4 * n + k % 8 / 2, 2 * (k / 8) + k % 2}; }
    static constexpr Where d(int m, int n) { return {4 * (m % 8) + n / 2, 2 * (m / 8) + n % 2}; }
};

// d[4], a[4], b[2].
inline void mma_m16n8k16_f32_bf16(float* d, const uint32_t* a, const uint32_t* b) {
    MatrixShare share = {a, b, d};
    meet("mma.sync", &share, multiply<Mma16x8x16>);
}

// A wave's quarter of wgmma.mma_async.m64nNk16 with A in registers: 16 rows. B lies in LDS, rows of 128 bytes, whose
// 16-byte units are swizzled: bits 4 to 6 of an address are those of the unit xor bits 7 to 9.
struct Wgmma {
    float* d;  // n / 2 of a lane
    uint32_t a[4];
    const char* b;
    int n;
    bool add;
    int batch;  // the caller's
};

inline void wgmma_k16_f32_bf16(Wgmma* share) {
    meet("wgmma", share, [](void* const* shares) {
        const auto of = [&](int lane) { return static_cast<const Wgmma*>(shares[lane]); };
        const Wgmma& first = *of(0);
        float b[256][16];
        for (int n = 0; n < first.n; n++)
            for (int k = 0; k < 16; k++) {
                uint16_t bits;
                const auto at = reinterpret_cast<uintptr_t>(first.b) + uintptr_t(n * 128 + 2 * k);
                std::memcpy(&bits, reinterpret_cast<const char*>(at ^ (at >> 7 & 7) << 4), 2);
                b[n][k] = widened(bits, false);
            }
        for (int m = 0; m < 16; m++) {
            float a[16];
            for (int k = 0; k < 16; k++) {
                const Where at = Mma16x8x16::a(m, k);
                a[k] = widened(uint16_t(of(at.lane)->a[at.element / 2] >> (16 * (at.element % 2))), false);
            }
            for (int n = 0; n < first.n; n++) {
                float& d = of(4 * (m % 8) + n % 8 / 2)->d[4 * (n / 8) + 2 * (m / 8) + n % 2];
                float sum = first.add ? d : 0;
#pragma GCC unroll 16
                for (int k = 0; k < 16; k++) sum += a[k] * b[n][k];
                d = sum;
            }
        }
    });
}

#endif

}  // namespace emu
