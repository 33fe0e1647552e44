// matrix_checks.h: matrices for tests of products: made, packed, and multiplied in double.
#pragma once
#include <algorithm>
#include <cmath>

#include "device_array.h"
#include "kernels/kernels.h"

inline std::vector<bf16> random_bf16(uint64_t seed, int64_t n, float scale = 1) {
    std::vector<bf16> v(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; i++) v[size_t(i)] = to_bf16(scale * noise(seed, uint64_t(i)));
    return v;
}

inline std::vector<float> random_f32(uint64_t seed, int64_t n) {
    std::vector<float> v(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; i++) v[size_t(i)] = noise(seed, uint64_t(i));
    return v;
}

// Rows of activations with zeros up to the depth that kernels read.
inline std::vector<bf16> padded_rows(const std::vector<bf16>& rows, int n_in) {
    const size_t n = rows.size() / size_t(n_in), stride = size_t(round_up(n_in, kDepthStep));
    std::vector<bf16> out(n * stride, bf16{0});
    for (size_t r = 0; r < n; r++) std::copy_n(&rows[r * size_t(n_in)], n_in, &out[r * stride]);
    return out;
}

// Which k of each 32 stands at a place of rows of KOrder::kGrouped: an instruction's 16 k are two pairs of each run of
// eight, the first pairs before the second.
constexpr int kPlainPlace[32] = {0, 1, 8,  9,  16, 17, 24, 25, 2, 3, 10, 11, 18, 19, 26, 27,
                                 4, 5, 12, 13, 20, 21, 28, 29, 6, 7, 14, 15, 22, 23, 30, 31};

// Padded rows as a product of that order reads them, and back.
inline std::vector<bf16> in_order(std::vector<bf16> rows, KOrder order) {
    const std::vector<bf16> plain = rows;
    if (order == KOrder::kGrouped)
        for (size_t i = 0; i < rows.size(); i++) rows[i] = plain[i / 32 * 32 + size_t(kPlainPlace[i % 32])];
    return rows;
}
inline std::vector<bf16> in_plain_order(std::vector<bf16> rows, KOrder order) {
    const std::vector<bf16> ordered = rows;
    if (order == KOrder::kGrouped)
        for (size_t i = 0; i < rows.size(); i++) rows[i / 32 * 32 + size_t(kPlainPlace[i % 32])] = ordered[i];
    return rows;
}

// A matrix in the file's form, and what its elements are.
struct TestMatrix {
    bool mxfp4, stays_packed = true;
    int n_out, n_in, n_experts;
    std::vector<bf16> values;            // (E, n_out, n_in)
    std::vector<uint8_t> codes, scales;  // MXFP4
    std::vector<float> bias;             // (E, n_out)

    TestMatrix(bool is_mxfp4, int rows, int depth, int experts, uint64_t seed)
        : mxfp4(is_mxfp4), n_out(rows), n_in(depth), n_experts(experts) {
        const int64_t n = int64_t(experts) * rows * depth;
        bias = random_f32(seed + 1, int64_t(experts) * rows);
        if (!mxfp4) {
            values = random_bf16(seed, n);
            return;
        }
        const float kCode[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
        codes.resize(size_t(n / 2));
        scales.resize(size_t(n / 32));
        values.resize(size_t(n));
        for (size_t b = 0; b < scales.size(); b++) scales[b] = uint8_t(121 + int(4 * (noise(seed + 2, b) + 1)));
        for (size_t i = 0; i < values.size(); i++) {
            const int code = int(8 * (noise(seed, i) + 1)) & 15;
            codes[i / 2] = uint8_t(codes[i / 2] | code << (4 * (i % 2)));
            const float magnitude = std::ldexp(kCode[code & 7], int(scales[i / 32]) - 127);
            values[i] = to_bf16(code & 8 ? -magnitude : magnitude);
        }
    }
    float value(int e, int row, int k) const {
        return to_f32(values[(size_t(e) * size_t(n_out) + size_t(row)) * size_t(n_in) + size_t(k)]);
    }
};

// The same on the device, packed.
struct OnDevice {
    Guarded<uint8_t> tiles, scales;
    Guarded<float> bias;
    PackedMatrix matrix;

    OnDevice(const TestMatrix& m, SlabRows rows, int head_dim, bool transposed = false)
        : tiles(size_t(m.n_experts * packed_tile_bytes(m.mxfp4 && m.stays_packed, m.n_out, m.n_in))),
          scales(m.mxfp4 ? size_t(m.n_experts * packed_scale_bytes(m.n_out, m.n_in)) : 1),
          bias(m.bias) {
        matrix.mxfp4 = m.mxfp4 && m.stays_packed;
        matrix.n_out = m.n_out;
        matrix.n_in = m.n_in;
        matrix.n_experts = m.n_experts;
        matrix.tiles = tiles.data();
        matrix.scales = reinterpret_cast<uint32_t*>(scales.data());
        matrix.bias = bias.data();
        const size_t per_expert = size_t(m.n_out) * size_t(m.n_in);
        for (int e = 0; e < m.n_experts; e++) {
            uint8_t* const to = tiles.data() + e * packed_tile_bytes(matrix.mxfp4, m.n_out, m.n_in);
            auto* const to_scales =
                reinterpret_cast<uint32_t*>(scales.data() + e * packed_scale_bytes(m.n_out, m.n_in));
            if (m.mxfp4) {
                const auto from = m.codes.begin() + long(size_t(e) * per_expert / 2);
                const auto from_scales = m.scales.begin() + long(size_t(e) * per_expert / 32);
                Guarded<uint8_t> codes(std::vector<uint8_t>(from, from + long(per_expert / 2)));
                Guarded<uint8_t> codes_scales(std::vector<uint8_t>(from_scales, from_scales + long(per_expert / 32)));
                pack_matrix(to, m.stays_packed ? to_scales : nullptr, codes.data(), codes_scales.data(),
                            SourceType::kMXFP4, false, m.n_out, m.n_in, rows, head_dim, nullptr);
                gpu::synchronize(nullptr);
            } else {
                std::vector<bf16> plain(per_expert);
                for (int r = 0; r < m.n_out; r++)
                    for (int k = 0; k < m.n_in; k++)
                        plain[transposed ? size_t(k) * size_t(m.n_out) + size_t(r)
                                         : size_t(r) * size_t(m.n_in) + size_t(k)] = to_bf16(m.value(e, r, k));
                Guarded<bf16> source(plain);
                pack_matrix(to, nullptr, source.data(), nullptr, SourceType::kBF16, transposed, m.n_out, m.n_in, rows,
                            head_dim, nullptr);
                gpu::synchronize(nullptr);
            }
        }
    }
};

// Sum and sum of magnitudes of row `row` times x.
struct Sum {
    double value, magnitude;
};
inline Sum product(const TestMatrix& w, int e, int row, const bf16* x) {
    Sum sum{0, 0};
    for (int k = 0; k < w.n_in; k++) {
        const double p = double(w.value(e, row, k)) * to_f32(x[k]);
        sum.value += p;
        sum.magnitude += std::fabs(p);
    }
    const double b = w.bias[size_t(e) * size_t(w.n_out) + size_t(row)];
    return {sum.value + b, sum.magnitude + std::fabs(b)};
}

// n_in additions in f32, in any order: 2^-23 and not 2^-24 each, since matrix cores may truncate where the CPU rounds.
inline double bound(const Sum& sum, int n_in) {
    return (n_in + 10) * std::ldexp(sum.magnitude, -23);
}
