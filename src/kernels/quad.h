// quad.h: four neighbours of an f32 row, one 16-byte load, and the norm that rmsnorm.hip and router.hip share.
#pragma once
#include "gpu/group_mma.h"
#include "gpu/wave.h"

struct alignas(16) Quad {
    float v[4];
};

// Four neighbours of a bf16 row.
struct alignas(8) PairQuad {
    uint32_t pair[2];
};

__device__ inline PairQuad narrow_quad(const Quad& q) {
    return {{narrow_pair(q.v[0], q.v[1]), narrow_pair(q.v[2], q.v[3])}};
}

// The place of element k in a row.
__device__ inline int place_of(int k, bool grouped) {
    return kGroupWaves > 0 && grouped ? int(unsigned(k) / 32 * 32) + group_place(int(unsigned(k) % 32)) : k;
}

// Elements 4 q to 4 q + 3 of a row.
__device__ inline void store_quad(bf16* row, int q, const PairQuad& v, bool grouped) {
    if (kGroupWaves == 0 || !grouped) {
        reinterpret_cast<PairQuad*>(row)[q] = v;
        return;
    }
    auto* const pairs = reinterpret_cast<uint32_t*>(row);
    for (int i = 0; i < 2; i++) pairs[place_of(4 * q + 2 * i, grouped) / 2] = v.pair[i];
}

__device__ inline float add_squares(float sum, const Quad& q) {
    for (int i = 0; i < 4; i++) sum = fmaf(q.v[i], q.v[i], sum);
    return sum;
}

// 1 / rms of a row of hidden_dim values.
__device__ inline float norm_scale(float squares, int hidden_dim, float eps) {
    return 1.0f / sqrtf(squares / float(hidden_dim) + eps);
}

// It has products only, so there is no sum that a compiler could fuse with one.
__device__ inline Quad normed(const Quad& x, float scale, const Quad& gain) {
    Quad h;
    for (int i = 0; i < 4; i++) h.v[i] = x.v[i] * scale * gain.v[i];
    return h;
}
