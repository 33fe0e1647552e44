// mxfp4_bf16.h: MXFP4's values as bf16, for tables made by the compiler. For the anonymous namespace see scratch.h.
#pragma once
#include <cstdint>

namespace {

// Bits of the bf16 that E2M1 code `code` (4 bits) has under E8M0 scale `scale`: exact, but infinite from 2^128 on.
constexpr uint16_t mxfp4_bf16(int code, int scale) {
    const int sign = (code & 8) << 12, magnitude = code & 7;
    if (scale == 255) return 0x7fc0;  // NaN
    if (magnitude == 0) return uint16_t(sign);
    const int exponent = scale + (magnitude >> 1) - 1, mantissa = magnitude == 1 ? 0 : (magnitude & 1) << 6;
    if (exponent >= 255) return uint16_t(sign | 0x7f80);
    return uint16_t(sign | (exponent > 0 ? exponent << 7 | mantissa : (0x80 | mantissa) >> (1 - exponent)));
}

// The bytes of all codes under every scale, for instructions that look up 16 bytes.
struct Mxfp4Bytes {
    struct alignas(32) {
        uint8_t low[16] = {}, high[16] = {};
    } of[256];
    constexpr Mxfp4Bytes() {
        for (int scale = 0; scale < 256; scale++)
            for (int code = 0; code < 16; code++) {
                of[scale].low[code] = uint8_t(mxfp4_bf16(code, scale));
                of[scale].high[code] = uint8_t(mxfp4_bf16(code, scale) >> 8);
            }
    }
};
constexpr Mxfp4Bytes kMxfp4Bytes;

}  // namespace
