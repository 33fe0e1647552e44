// test_kernels.cpp: the inner loops of every instruction set against sums in double, at the shapes where they could
// break; how many rows or tokens are computed together must change no bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "product_case.h"

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

const ProductCase kCases[] = {
    {1, 1, 32, "one element of everything"},
    {1, 4, 64, "a whole row tile"},
    {1, 7, 64, "rows left over"},
    {3, 5, 96, "tokens below a tile"},
    {4, 4, 32, "a whole tile"},
    {5, 4, 32, "decoded once for many tokens"},
    {9, 37, 160, "everything left over, more rows than a decoded group"},
    {2, 3, 2880, "gpt-oss depth"},
    {33, 64, 128, "many tokens"},
};

// Activations with padded rows, arranged for the weights.
std::vector<float> activations(const Kernels& kernels, const ProductCase& c, DType dtype, int64_t stride) {
    std::vector<float> x(size_t(c.n_tok * stride), 0.0f);
    for (int64_t t = 0; t < c.n_tok; t++) {
        std::vector<float> row(static_cast<size_t>(c.n_in));
        for (int64_t k = 0; k < c.n_in; k++) row[size_t(k)] = noise(3, uint64_t(t * c.n_in + k));
        kernels.arrange(&x[size_t(t * stride)], row.data(), c.n_in, dtype);
    }
    return x;
}

// n_in additions and products in f32, in any order: n_in · 2^-23 · Σ|x w|.
void expect_dot(const Kernels& kernels, DType dtype, const ProductCase& c) {
    SCOPED_TRACE(std::string(kernels.name) + " dtype " + std::to_string(int(dtype)) + " " + c.why);
    const MadeUpWeights w(dtype, c.n_out, c.n_in);
    const int64_t stride = padded(c.n_in), y_stride = c.n_out + 3;
    const std::vector<float> x = activations(kernels, c, dtype, stride);
    std::vector<float> y(size_t(c.n_tok * y_stride), kNan);
    kernels.dot(y.data(), y_stride, x.data(), stride, c.n_tok, w.matrix, 0, c.n_out);
    for (int64_t t = 0; t < c.n_tok; t++) {
        for (int64_t o = 0; o < c.n_out; o++) {
            double sum = 0, magnitude = 0;
            for (int64_t k = 0; k < c.n_in; k++) {
                const double p = double(noise(3, uint64_t(t * c.n_in + k))) * w.matrix.at(o, k);
                sum += p;
                magnitude += std::fabs(p);
            }
            ASSERT_NEAR(y[size_t(t * y_stride + o)], sum, double(c.n_in) * std::ldexp(magnitude, -23))
                << "t " << t << " o " << o;
        }
        for (int64_t o = c.n_out; o < y_stride; o++)
            ASSERT_TRUE(std::isnan(y[size_t(t * y_stride + o)])) << "written past the row";
    }
}

TEST(Kernels, DotMatchesDouble) {
    for (const Kernels* kernels : available_kernels())
        for (const ProductCase& c : kCases)
            for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kMXFP4})
                expect_dot(*kernels, dtype, c);
}

TEST(Kernels, DotOfRowsThatEndInsideABlock) {
    const ProductCase cases[] = {{1, 3, 1, "a single column"},    {2, 3, 15, "below one vector"},
                                 {6, 5, 17, "one past a vector"}, {3, 4, 31, "one short of a block"},
                                 {5, 9, 33, "one past a block"},  {1, 2, 48, "half a block"}};
    for (const Kernels* kernels : available_kernels())
        for (const ProductCase& c : cases)
            for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) expect_dot(*kernels, dtype, c);
}

// The promise that makes a request's tokens independent of the batch it runs in.
TEST(Kernels, TokensTogetherEqualTokensAlone) {
    const ProductCase c{13, 29, 2880, ""};
    for (const Kernels* kernels : available_kernels())
        for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kMXFP4}) {
            const MadeUpWeights w(dtype, c.n_out, c.n_in);
            const int64_t stride = padded(c.n_in);
            const std::vector<float> x = activations(*kernels, c, dtype, stride);
            std::vector<float> all(size_t(c.n_tok * c.n_out)), one(all.size());
            kernels->dot(all.data(), c.n_out, x.data(), stride, c.n_tok, w.matrix, 0, c.n_out);
            for (int64_t t = 0; t < c.n_tok; t++)
                for (int64_t o = 0; o < c.n_out; o++)
                    kernels->dot(&one[size_t(t * c.n_out + o)], 1, &x[size_t(t * stride)], stride, 1, w.matrix, o,
                                 o + 1);
            EXPECT_EQ(0, std::memcmp(all.data(), one.data(), all.size() * sizeof(float))) << kernels->name;
        }
}

TEST(Kernels, AccumulateMatchesDouble) {
    const ProductCase cases[] = {{1, 1, 1, "one element"},
                                 {1, 16, 3, "one vector"},
                                 {1, 64, 32, "a head of 64"},
                                 {8, 64, 32, "a whole group"},
                                 {9, 20, 7, "columns and tokens left"},
                                 {3, 48, 2, "head of 48"}};
    for (const Kernels* kernels : available_kernels())
        for (const ProductCase& c : cases)  // n_out columns, n_in terms
            for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
                SCOPED_TRACE(std::string(kernels->name) + " " + c.why);
                const MadeUpWeights w(dtype, c.n_in, c.n_out);
                const int64_t y_stride = c.n_out + 2;
                std::vector<float> x, y(size_t(c.n_tok * y_stride), kNan);
                for (int64_t i = 0; i < c.n_tok * c.n_in; i++) x.push_back(noise(3, uint64_t(i)));
                for (int64_t t = 0; t < c.n_tok; t++)
                    for (int64_t o = 0; o < c.n_out; o++) y[size_t(t * y_stride + o)] = 0.25f;
                kernels->accumulate(y.data(), y_stride, x.data(), c.n_in, c.n_tok, dtype, w.matrix.data, c.n_out,
                                    c.n_in, c.n_out);
                for (int64_t t = 0; t < c.n_tok; t++) {
                    for (int64_t o = 0; o < c.n_out; o++) {
                        double sum = 0.25, magnitude = 0.25;
                        for (int64_t k = 0; k < c.n_in; k++) {
                            const double p = double(x[size_t(t * c.n_in + k)]) * w.matrix.at(k, o);
                            sum += p;
                            magnitude += std::fabs(p);
                        }
                        ASSERT_NEAR(y[size_t(t * y_stride + o)], sum, double(c.n_in + 1) * std::ldexp(magnitude, -23));
                    }
                    ASSERT_TRUE(std::isnan(y[size_t(t * y_stride + c.n_out)])) << "written past the row";
                }
            }
}

// Every code under every scale that can occur, bit for bit: 2^-127 is subnormal, and 6 · 2^127 overflows as it must.
TEST(Kernels, Mxfp4DecodesEveryCodeAndScale) {
    for (const Kernels* kernels : available_kernels())
        for_each_mxfp4_value([&](const Matrix& w, int at, float want, const std::string& what) {
            float x[32] = {}, ordered[32], y;
            x[at] = 1;
            kernels->arrange(ordered, x, 32, DType::kMXFP4);
            kernels->dot(&y, 1, ordered, 32, 1, w, 0, 1);
            ASSERT_EQ(y, want) << kernels->name << " " << what;
        });
}

}  // namespace
