// test_checkpoint_tensors.cpp: Matrix, Vector and ExpertMatrices: decoding, slices, and the published sizes.
#include <gtest/gtest.h>

#include <cmath>

#include "../tools/gpt_oss_config.h"
#include "model/config.h"
#include "model/legacy.h"
#include "model/named_tensors.h"
#include "model/safetensors.h"
#include "model/tensor.h"

namespace {

// Two rows of 64: every code in both nibbles, four scales.
struct Mxfp4Example {
    std::vector<uint8_t> codes, scales = {127, 128, 120, 0};
    Matrix matrix;
    Mxfp4Example() {
        for (int i = 0; i < 64; i++) codes.push_back(uint8_t(i * 16 + (15 - i % 16)));
        matrix = {DType::kMXFP4, false, 2, 64, codes.data(), scales.data()};
    }
};

// OCP Microscaling 1.0, table of E2M1: sign, two bits of exponent with bias 1, one bit of mantissa.
double e2m1(int code) {
    const int exponent = code >> 1 & 3, mantissa = code & 1;
    const double magnitude = exponent == 0 ? 0.5 * mantissa : std::ldexp(1 + 0.5 * mantissa, exponent - 1);
    return code & 8 ? -magnitude : magnitude;
}

TEST(Tensors, Mxfp4DecodesAsOcpSays) {
    const uint8_t codes[16] = {0x2a}, scales[1] = {128};
    const Matrix two{DType::kMXFP4, false, 1, 32, codes, scales};
    EXPECT_EQ(two.at(0, 0), -2.0f);  // the low nibble is the even element
    EXPECT_EQ(two.at(0, 1), 2.0f);

    const Mxfp4Example x;
    for (int o = 0; o < 2; o++)
        for (int i = 0; i < 64; i++) {
            const int n = o * 64 + i;
            const int code = n % 2 ? x.codes[size_t(n / 2)] >> 4 : x.codes[size_t(n / 2)] & 15;
            EXPECT_EQ(x.matrix.at(o, i), float(std::ldexp(e2m1(code), x.scales[size_t(n / 32)] - 127)))
                << o << " " << i;
        }
    EXPECT_EQ(x.matrix.bytes(), 2 * 64 / 2 + 4);
}

TEST(Tensors, ScaleOf255IsNaN) {
    const uint8_t codes[16] = {0x22}, scales[1] = {255};
    EXPECT_TRUE(std::isnan(Matrix({DType::kMXFP4, false, 1, 32, codes, scales}).at(0, 0)));
}

TEST(Tensors, DenseElementsRowsAndExperts) {
    std::vector<float> values(3 * 4 * 5);  // three experts of (4, 5)
    std::vector<bf16> halves(values.size());
    for (size_t i = 0; i < values.size(); i++) values[i] = float(i), halves[i] = to_bf16(float(i));
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
        const void* data = dtype == DType::kF32 ? static_cast<const void*>(values.data()) : halves.data();
        const ExpertMatrices experts{{dtype, false, 4, 5, data, nullptr}, 3};
        EXPECT_EQ(experts[2].at(3, 4), 59);
        EXPECT_EQ(experts[1].rows(2, 2).at(0, 1), 31);
        EXPECT_EQ(experts[1].rows(2, 2).n_out, 2);
        EXPECT_EQ(experts.first.bytes(), 20 * (dtype == DType::kF32 ? 4 : 2));
        const ExpertMatrices transposed{{dtype, true, 4, 5, data, nullptr}, 3};  // stored as (5, 4)
        EXPECT_EQ(transposed[1].at(3, 4), 20 + 4 * 4 + 3);
        const Vector vector{dtype, 60, data};
        EXPECT_EQ(vector.slice(7, 9)[8], 15);
        EXPECT_EQ(vector.slice(7, 9).n, 9);
    }
    const Vector absent{DType::kBF16, 10, nullptr};
    EXPECT_EQ(absent.slice(3, 4)[1], 0);
    EXPECT_EQ(absent.slice(3, 4).data, nullptr);
}

TEST(Tensors, Mxfp4RowsAndExpertsTakeTheirScalesAlong) {
    const Mxfp4Example x;
    EXPECT_EQ(x.matrix.rows(1, 1).at(0, 33), x.matrix.at(1, 33));
    const ExpertMatrices experts{{DType::kMXFP4, false, 1, 64, x.codes.data(), x.scales.data()}, 2};
    EXPECT_EQ(experts[1].at(0, 5), x.matrix.at(1, 5));
}

TEST(Tensors, DecodeEqualsAtForEveryRectangleAndStorage) {
    const Mxfp4Example x;
    std::vector<float> values(2 * 64);
    std::vector<bf16> halves(values.size());
    for (size_t i = 0; i < values.size(); i++) values[i] = std::sin(float(i)), halves[i] = to_bf16(values[i]);
    const Matrix matrices[] = {
        x.matrix,
        {DType::kF32, false, 2, 64, values.data(), nullptr},
        {DType::kBF16, false, 2, 64, halves.data(), nullptr},
        {DType::kF32, true, 2, 64, values.data(), nullptr},
        {DType::kBF16, true, 2, 64, halves.data(), nullptr},
    };
    const struct {
        int64_t o0, n_o, i0, n_i;
    } rectangles[] = {{0, 2, 0, 64}, {1, 1, 0, 64}, {0, 2, 32, 32}, {1, 1, 32, 32}, {0, 0, 0, 64}};
    for (const Matrix& m : matrices)
        for (const auto& r : rectangles)
            for (const bool by_column : {false, true}) {
                const int64_t stride_o = by_column ? 1 : r.n_i + 3, stride_i = by_column ? r.n_o + 3 : 1;
                std::vector<float> out(size_t((r.n_o + 3) * (r.n_i + 3)), 777);
                decode(m, r.o0, r.n_o, r.i0, r.n_i, out.data(), stride_o, stride_i);
                int64_t touched = 0;
                for (const float f : out) touched += f != 777;
                EXPECT_EQ(touched, r.n_o * r.n_i);
                for (int64_t o = 0; o < r.n_o; o++)
                    for (int64_t i = 0; i < r.n_i; i++)
                        ASSERT_EQ(out[size_t(o * stride_o + i * stride_i)], m.at(r.o0 + o, r.i0 + i));
            }
}

int64_t total_bytes(const std::vector<NamedTensor>& layout) {
    int64_t total = 0;
    for (const NamedTensor& t : layout) {
        const bool bytes = t.holds == NamedTensor::Holds::kBlocks || t.holds == NamedTensor::Holds::kScales;
        total += tensor_bytes(bytes ? "U8" : "BF16", t.shape, t.name);
    }
    return total;
}

// The published index files' total_size, and the sizes of files that the getp family's exporters write.
TEST(Tensors, SizesOfThePublishedModels) {
    const struct {
        bool large;
        size_t n_tensors, n_original;
        int64_t mxfp4, dense, legacy_f32, legacy_bf16;
    } models[] = {
        {false, 459, 363, 13'761'264'768, 41'829'514'368, 83'659'028'796, 41'829'514'428},
        {true, 687, 543, 65'248'815'744, 233'658'313'344, 467'316'626'748, 233'658'313'404},
    };
    for (const auto& m : models) {
        const Config c = gpt_oss_config(m.large);
        Weights w = shaped_weights(c);
        EXPECT_EQ(huggingface_tensors(c, w, {}).size(), m.n_tensors);
        EXPECT_EQ(total_bytes(huggingface_tensors(c, w, {})), m.mxfp4);
        EXPECT_EQ(original_tensors(c, w).size(), m.n_original);
        EXPECT_EQ(total_bytes(original_tensors(c, w)), m.mxfp4);
        TensorOptions dense;
        dense.mxfp4 = false;
        EXPECT_EQ(total_bytes(huggingface_tensors(c, w, dense)), m.dense);
        EXPECT_EQ(legacy_bytes(c, DType::kF32), m.legacy_f32);
        EXPECT_EQ(legacy_bytes(c, DType::kBF16), m.legacy_bf16);
    }
}

}  // namespace
