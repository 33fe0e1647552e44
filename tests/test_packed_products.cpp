// test_packed_products.cpp: products of packed activations, for each instruction set that has them, against sums in
// double; neither neighbours nor the cut into panels and rows may change a bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>

#include "cpu/linear.h"
#include "cpu/moe.h"
#include "product_case.h"

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<const Kernels*> sets_with_products() {
    std::vector<const Kernels*> sets;
    for (const Kernels* kernels : available_kernels())
        if (kernels->packed) sets.push_back(kernels);
    return sets;
}

enum class Kind { kBF16, kTransposed, kMXFP4 };

struct KindWeights : MadeUpWeights {
    KindWeights(Kind kind, int64_t n_out, int64_t n_in)
        : MadeUpWeights(kind == Kind::kMXFP4 ? DType::kMXFP4 : DType::kBF16, n_out, n_in) {
        matrix.transposed = kind == Kind::kTransposed;
    }
};

const ProductCase kCases[] = {
    {1, 1, 32, "one element of everything"},
    {1, 64, 2880, "gpt-oss depth, one token"},
    {2, 16, 64, "a whole tile of rows"},
    {15, 17, 32, "one row past a tile, one token short of a panel"},
    {16, 32, 256, "a whole slab, a whole panel"},
    {17, 33, 288, "one past each"},
    {32, 31, 96, "two panels"},
    {20, 70, 2880, "gpt-oss depth, two panels; two slabs of rows and a part"},
    {33, 48, 384, "three panels, the last of one token"},
    {63, 7, 64, "twice two panels, the last short, of a part of a slab"},
    {64, 40, 192, "twice two panels, one whole slab"},
    {65, 33, 544, "three panels and two, the last of one token; three slabs"},
    {81, 33, 384, "twice three panels, two whole slabs"},
    {97, 64, 2880, "gpt-oss depth, three panels and twice two"},
    {128, 40, 320, "twice three and two panels, the most at once"},
};
const ProductCase kRaggedCases[] = {
    {1, 3, 1, "a single column"},
    {3, 17, 31, "one short of a step"},
    {17, 5, 33, "one past a step"},
    {5, 20, 48, "half a step"},
    {18, 33, 289, "one past a step, two panels"},
    {60, 33, 193, "one past a slab, twice two panels"},
};

F32Rows activations(int64_t n_tok, int64_t n_in) {
    F32Rows x(n_in);
    x.resize(n_tok);
    for (int64_t t = 0; t < n_tok; t++)
        for (int64_t k = 0; k < n_in; k++) x.row(t)[k] = noise(4, uint64_t(t * n_in + k));
    return x;
}

// x[k] as a set rounds it for such weights. AMX: to bf16. The others, for MXFP4, blocks of 32 to multiples of 2^-13 of
// the power of two below their largest; for bf16 weights to bf16, or nothing without an instruction for bf16.
double rounded(const Kernels& kernels, DType weights, const float* x, int64_t k) {
    const std::string set = kernels.flag;
    if (weights != DType::kMXFP4 && (set == "avx2" || set == "avx512-vnni")) return x[k];
    if (weights != DType::kMXFP4 || set == "amx") return to_f32(to_bf16(x[k]));
    const float* block = x + k / kBlock * kBlock;
    float largest = 0;
    for (int i = 0; i < kBlock; i++) largest = std::max(largest, std::fabs(block[i]));
    const double unit = std::ldexp(1.0, std::ilogb(largest) - 13);
    return unit * std::nearbyint(x[k] / unit);
}

// n_in products and additions in f32 in any order: n_in · 2^-23 · Σ|x w|.
void expect_dot(const Kernels& kernels, Kind kind, const ProductCase& c) {
    SCOPED_TRACE(std::string(kernels.flag) + " kind " + std::to_string(int(kind)) + ": " + c.why);
    const KindWeights w(kind, c.n_out, c.n_in);
    const F32Rows x = activations(c.n_tok, c.n_in);
    PackedRows packed;
    pack(*kernels.packed, packed, x, w.matrix.dtype);
    std::vector<float> bias, y(size_t(c.n_tok * (c.n_out + 3)), kNan);
    for (int64_t o = 0; o < c.n_out; o++) bias.push_back(noise(5, uint64_t(o)));
    kernels.packed->dot(y.data(), c.n_out + 3, packed.data(packed.spans()[0]), c.n_tok, w.matrix, bias.data(), 0,
                        c.n_out);
    for (int64_t t = 0; t < c.n_tok; t++) {
        const float* row = &y[size_t(t * (c.n_out + 3))];
        for (int64_t o = 0; o < c.n_out; o++) {
            double sum = bias[size_t(o)], magnitude = std::fabs(sum);
            for (int64_t k = 0; k < c.n_in; k++) {
                const double p = rounded(kernels, w.matrix.dtype, x.row(t), k) * w.matrix.at(o, k);
                sum += p;
                magnitude += std::fabs(p);
            }
            ASSERT_NEAR(row[o], sum, double(c.n_in + 1) * std::ldexp(magnitude, -23)) << "t " << t << " o " << o;
        }
        for (int64_t o = c.n_out; o < c.n_out + 3; o++) ASSERT_TRUE(std::isnan(row[o])) << "written past the row";
    }
}

TEST(PackedProducts, MatchDouble) {
    for (const Kernels* kernels : sets_with_products())
        for (const ProductCase& c : kCases)
            for (const Kind kind : {Kind::kBF16, Kind::kTransposed, Kind::kMXFP4}) expect_dot(*kernels, kind, c);
}

TEST(PackedProducts, OfRowsThatEndInsideAStep) {
    for (const Kernels* kernels : sets_with_products())
        for (const ProductCase& c : kRaggedCases)
            for (const Kind kind : {Kind::kBF16, Kind::kTransposed}) expect_dot(*kernels, kind, c);
}

// Alone, by twos and threes, and by two and three panels: some sets have ways of their own for a few tokens.
TEST(PackedProducts, TokensAndRowsTogetherEqualTokensAndRowsAlone) {
    const ProductCase c{70, 45, 608, ""};
    for (const Kernels* kernels : sets_with_products())
        for (const Kind kind : {Kind::kBF16, Kind::kTransposed, Kind::kMXFP4}) {
            const KindWeights w(kind, c.n_out, c.n_in);
            const F32Rows x = activations(c.n_tok, c.n_in);
            const std::vector<float> bias(size_t(c.n_out), 0.5f);
            PackedRows packed, packed_few;
            pack(*kernels->packed, packed, x, w.matrix.dtype);
            std::vector<float> all(size_t(c.n_tok * c.n_out));
            kernels->packed->dot(all.data(), c.n_out, packed.data(packed.spans()[0]), c.n_tok, w.matrix, bias.data(), 0,
                                 c.n_out);
            for (const int64_t n_few : {1, 2, 3, 17, 33}) {
                std::vector<float> by_few(all.size());
                for (int64_t t = 0; t < c.n_tok; t += n_few) {
                    F32Rows few(c.n_in);
                    few.resize(std::min(n_few, c.n_tok - t));
                    for (int64_t i = 0; i < few.n(); i++) std::copy(x.row(t + i), x.row(t + i) + c.n_in, few.row(i));
                    pack(*kernels->packed, packed_few, few, w.matrix.dtype);
                    for (int64_t o = 0; o < c.n_out; o += 5)
                        kernels->packed->dot(&by_few[size_t(t * c.n_out + o)], c.n_out,
                                             packed_few.data(packed_few.spans()[0]), few.n(), w.matrix, bias.data(), o,
                                             o + 5);
                }
                EXPECT_EQ(0, std::memcmp(all.data(), by_few.data(), all.size() * sizeof(float)))
                    << kernels->flag << ", " << n_few << " at once";
            }
        }
}

// Whole numbers are the same in each set that has them, and so is the order of the blocks.
TEST(PackedProducts, Mxfp4OfSetsWithWholeNumbersAreEqual) {
    const ProductCase c{37, 45, 608, ""};
    const MadeUpWeights w(DType::kMXFP4, c.n_out, c.n_in);
    const F32Rows x = activations(c.n_tok, c.n_in);
    const std::vector<float> bias(size_t(c.n_out), 0.5f);
    std::vector<float> first;
    for (const Kernels* kernels : sets_with_products()) {
        if (kernels->flag == std::string("amx")) continue;
        std::vector<float> y(size_t(c.n_tok * c.n_out), kNan);
        PackedRows packed;
        pack(*kernels->packed, packed, x, w.matrix.dtype);
        kernels->packed->dot(y.data(), c.n_out, packed.data(packed.spans()[0]), c.n_tok, w.matrix, bias.data(), 0,
                             c.n_out);
        if (first.empty()) first = y;
        EXPECT_EQ(0, std::memcmp(first.data(), y.data(), y.size() * sizeof(float))) << kernels->flag;
    }
}

// Groups of 1, 16, 0, 21 and 150 rows, as experts have: each begins a panel, and panels with others beside them are
// whole.
TEST(PackedProducts, GroupsOfRowsArePackedApart) {
    PackedRows packed;
    packed.resize(40, {0, 1, 17, 17, 38, 188}, kBlock);
    struct {
        int group;
        int64_t begin, n;
    } const spans[] = {{0, 0, 1}, {1, 1, 16}, {3, 17, 21}, {4, 38, 128}, {4, 166, 22}};
    ASSERT_EQ(packed.spans().size(), std::size(spans));
    int64_t row = 0, panel = 0;
    for (size_t i = 0; i < std::size(spans); i++) {
        const PackedRows::Span& span = packed.spans()[i];
        EXPECT_EQ(span.group, spans[i].group);
        EXPECT_EQ(span.begin, spans[i].begin);
        EXPECT_EQ(span.n, spans[i].n);
        EXPECT_EQ(span.first_row, row);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(packed.data(span)) % 64, 0u);
        for (int64_t t = 0; t < span.n; t += 16, panel++) {
            const PackedRows::Panel& p = packed.panels()[size_t(panel)];
            EXPECT_EQ(p.begin, span.begin + t);
            EXPECT_EQ(p.n, std::min<int64_t>(16, span.n - t));
            EXPECT_EQ(p.width, span.n <= 16 ? span.n : 16);
            EXPECT_EQ(p.first_row, row);
            row += p.width;
        }
    }
    EXPECT_EQ(packed.panels().size(), size_t(panel));
}

// Groups of 1, 0 and 130 rows (two spans); 48 columns of the result are a whole task's and half of one.
TEST(PackedProducts, ExpertUpIsProductsSwigluAndPacking) {
    constexpr int64_t kDim = 48, kIn = 64;
    const std::vector<int64_t> begin{0, 1, 1, 131};
    Config config;
    config.intermediate_dim = kDim;
    config.swiglu_limit = 7.0f;
    config.swiglu_alpha = 1.702f;
    const F32Rows x = activations(131, kIn);
    for (const Kernels* kernels : sets_with_products())
        for (const DType dtype : {DType::kBF16, DType::kMXFP4}) {
            const MadeUpWeights weights(dtype, 3 * 2 * kDim, kIn);
            ExpertMatrices w{weights.matrix, 3};
            w.first.n_out = 2 * kDim;
            std::vector<float> bias_values;
            for (int64_t i = 0; i < 3 * 2 * kDim; i++) bias_values.push_back(noise(6, uint64_t(i)));
            const Vector bias{DType::kF32, int64_t(bias_values.size()), bias_values.data()};
            const PackedKernels& packed_kernels = *kernels->packed;
            PackedRows packed, want, got;
            packed.resize(kIn, begin, packed_kernels.block_bytes);
            want.resize(kDim, begin, packed_kernels.block_bytes);
            for (const PackedRows::Panel& panel : packed.panels()) {
                const float* rows[kPanelRows];
                for (int i = 0; i < panel.n; i++) rows[i] = x.row(panel.begin + i);
                packed_kernels.pack(packed.data(panel), rows, panel.n, panel.width, kIn, 0, kIn, dtype);
            }
            F32Rows up(2 * kDim), act(kDim);
            expert_linear(packed_kernels, up, packed, w, bias);
            act.resize(up.n());
            for (const PackedRows::Panel& panel : want.panels()) {
                const float* rows[kPanelRows];
                for (int i = 0; i < panel.n; i++) {
                    float* row = act.row(panel.begin + i);
                    packed_kernels.swiglu(row, up.row(panel.begin + i), kDim, config.swiglu_limit, config.swiglu_alpha);
                    rows[i] = row;
                }
                packed_kernels.pack(want.data(panel), rows, panel.n, panel.width, kDim, 0, kDim, DType::kBF16);
            }
            expert_up(packed_kernels, got, packed, w, bias, config, DType::kBF16);
            ASSERT_EQ(got.panels().size(), want.panels().size());
            for (const PackedRows::Panel& panel : want.panels())
                EXPECT_EQ(0, std::memcmp(want.data(panel), got.data(panel),
                                         size_t(panel.width * padded(kDim) / kBlock * packed_kernels.block_bytes)))
                    << kernels->flag << ", rows from " << panel.begin;
        }
}

// Values below 2^-126 may be flushed to zero: AMX does.
TEST(PackedProducts, Mxfp4DecodesEveryCodeAndScale) {
    for (const Kernels* kernels : sets_with_products())
        for_each_mxfp4_value([&](const Matrix& w, int at, float want, const std::string& what) {
            F32Rows x(32);
            x.resize(1);
            x.row(0)[at] = 1;
            PackedRows packed;
            pack(*kernels->packed, packed, x, w.dtype);
            float y;
            const float bias = 0;
            kernels->packed->dot(&y, 1, packed.data(packed.spans()[0]), 1, w, &bias, 0, 1);
            if (std::fabs(want) < std::ldexp(1.0f, -126) && y == 0) return;
            if (std::isinf(want))  // times the zeros beside it
                ASSERT_FALSE(std::isfinite(y)) << kernels->flag << " " << what;
            else
                ASSERT_EQ(y, want) << kernels->flag << " " << what;
        });
}

// One row of 32 columns, all of code `code` under scale 1, times one and then two tokens x.
std::vector<float> dot_block(const Kernels& kernels, const std::vector<float>& x, int code) {
    const std::vector<uint8_t> blocks(16, uint8_t(code << 4 | code));
    const uint8_t scale = 127;
    Matrix w;
    w.dtype = DType::kMXFP4;
    w.n_out = 1;
    w.n_in = 32;
    w.data = blocks.data();
    w.scales = &scale;
    std::vector<float> y(3);
    for (const int n : {1, 2}) {
        F32Rows rows(32);
        rows.resize(n);
        for (int t = 0; t < n; t++) std::copy(x.begin(), x.end(), rows.row(t));
        PackedRows packed;
        pack(*kernels.packed, packed, rows, w.dtype);
        const float bias = 0;
        kernels.packed->dot(&y[size_t(n - 1)], 1, packed.data(packed.spans()[0]), n, w, &bias, 0, 1);
    }
    return y;
}

// Sums of whole numbers must not overflow: the largest tokens there are times 6, all of one sign.
TEST(PackedProducts, Mxfp4TimesTheLargestOfTheirPowerOfTwo) {
    for (const Kernels* kernels : sets_with_products())
        for (const int code : {7, 15})
            for (const float x : {1.0f, 1.9921875f, 1.99999f, -1.99999f}) {
                const float want = 32 * x * (code == 7 ? 6.0f : -6.0f);
                for (const float y : dot_block(*kernels, std::vector<float>(32, x), code))
                    EXPECT_NEAR(y, want, std::ldexp(std::fabs(want), -8)) << kernels->flag << " " << x;
            }
}

TEST(PackedProducts, Mxfp4TimesNothingAndNext) {
    for (const Kernels* kernels : sets_with_products()) {
        for (const float y : dot_block(*kernels, std::vector<float>(32, 0.0f), 7)) EXPECT_EQ(y, 0) << kernels->flag;
        for (const float x : {1e-45f, 1e-38f, 1e-36f, 1e-33f, 1e-30f})
            for (const float y : dot_block(*kernels, std::vector<float>(32, x), 7))
                EXPECT_NEAR(y, 192 * x, std::ldexp(192 * x, -8) + 1e-30f) << kernels->flag << " " << x;
    }
}

TEST(PackedProducts, WhatIsNoNumberStaysNone) {
    for (const Kernels* kernels : sets_with_products())
        for (const float x : {kNan, -kNan, std::numeric_limits<float>::infinity()})
            for (const int at : {0, 1, 30, 31}) {
                std::vector<float> block(32, 1.0f);
                for (const int also : {at, at ^ 1}) {  // one, then two side by side
                    block[size_t(also)] = x;
                    for (const float y : dot_block(*kernels, block, 7))
                        EXPECT_FALSE(std::isfinite(y)) << kernels->flag << " column " << at << ": " << x;
                }
            }
}

float flush(float f) {
    return std::fpclassify(f) == FP_SUBNORMAL ? std::copysign(0.0f, f) : f;
}

// Intel's definition of TDPBF16PS, with exponents over the whole range: what makes a token's sum independent of its
// tile.
TEST(PackedProducts, AmxSumsInTheDocumentedOrder) {
    if (available_kernels().front()->flag != std::string("amx")) GTEST_SKIP() << "this CPU has no AMX";
    const PackedKernels& amx = *available_kernels().front()->packed;
    constexpr int kIn = 320, kOut = 16, kTok = 16;
    for (const int exponents : {8, 60, 120}) {
        const auto wide = [&](uint64_t seed, uint64_t i) {
            return to_bf16(std::ldexp(noise(seed, i), int(noise(seed + 1, i) * float(exponents) / 2)));
        };
        KindWeights w(Kind::kBF16, kOut, kIn);
        for (size_t i = 0; i < w.half.size(); i++) w.half[i] = wide(10, i);
        F32Rows x(kIn);
        x.resize(kTok);
        for (int t = 0; t < kTok; t++)
            for (int k = 0; k < kIn; k++) x.row(t)[k] = to_f32(wide(20, uint64_t(t * kIn + k)));
        PackedRows packed;
        pack(amx, packed, x, w.matrix.dtype);
        std::vector<float> y(kTok * kOut), bias(kOut, 0.0f);
        amx.dot(y.data(), kOut, packed.data(packed.spans()[0]), kTok, w.matrix, bias.data(), 0, kOut);
        for (int t = 0; t < kTok; t++)
            for (int o = 0; o < kOut; o++) {
                float sum = 0;
                for (int k0 = 0; k0 < kIn; k0 += 32) {
                    float even = 0, odd = 0;
                    for (int k = k0; k < k0 + 32; k += 2) {
                        even = flush(std::fmaf(flush(to_f32(w.half[size_t(o * kIn + k)])), flush(x.row(t)[k]), even));
                        odd = flush(
                            std::fmaf(flush(to_f32(w.half[size_t(o * kIn + k + 1)])), flush(x.row(t)[k + 1]), odd));
                    }
                    sum = flush(sum + flush(even + odd));
                }
                ASSERT_EQ(y[size_t(t * kOut + o)], sum) << "exponents " << exponents << " t " << t << " o " << o;
            }
    }
}

// exp to 2 units, a division and three products: 8 units of the result's last place; 2^-20 covers what exp's argument,
// up to 12, was rounded by.
TEST(PackedProducts, SwigluMatchesDouble) {
    for (const Kernels* kernels : sets_with_products())
        for (const int n : {1, 15, 16, 17, 31, 32, 33, 160}) {
            std::vector<float> up, out(size_t(n + 1), kNan);
            for (int i = 0; i < 2 * n; i++) up.push_back(12 * noise(6, uint64_t(i)));
            kernels->packed->swiglu(out.data(), up.data(), n, 7.0f, 1.702f);
            for (int f = 0; f < n; f++) {
                const double gate = std::min(double(up[size_t(2 * f)]), 7.0);
                const double half = std::min(std::max(double(up[size_t(2 * f + 1)]), -7.0), 7.0);
                const double want = gate / (1 + std::exp(-double(1.702f) * gate)) * (half + 1);
                EXPECT_NEAR(out[size_t(f)], want, std::ldexp(std::fabs(want), -19)) << n << " " << f;
            }
            EXPECT_TRUE(std::isnan(out[size_t(n)])) << "written past the end";
        }
}

}  // namespace
