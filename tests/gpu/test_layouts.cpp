// test_layouts.cpp: what gpu/mma.h says of a device's matrix cores: its tables must agree with each other and with the
// instruction.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "device_array.h"
#include "kernels/kernels.h"
#include "probe.h"

namespace {

constexpr int kRows = 16, kCols = 16, kDepth = 32;

const LayoutTables& tables() {
    static const LayoutTables layout = [] {
        Guarded<LayoutTables> device(1);
        probe_layout(device.data(), nullptr);
        return device.download("layout")[0];
    }();
    return layout;
}

using Operand = std::vector<bf16>;  // (16, 32)

Operand zeros() {
    return Operand(kRows * kDepth, bf16{0});
}

// Small whole numbers: all sums are exact in f32, whatever the order.
std::vector<float> whole_numbers(uint64_t seed, size_t n) {
    std::vector<float> v(n);
    for (size_t i = 0; i < n; i++) v[i] = std::floor(9 * noise(seed, i));
    return v;
}

Operand whole_operand(uint64_t seed) {
    Operand operand;
    for (const float v : whole_numbers(seed, kRows * kDepth)) operand.push_back(to_bf16(v));
    return operand;
}

Operand packed(const Operand& rows) {
    Operand tile = zeros();
    for (int row = 0; row < kRows; row++)
        for (int k = 0; k < kDepth; k++) {
            const int run = tables().run_index[row][k / 8];
            tile[size_t(8 * run + k % 8)] = rows[size_t(row * kDepth + k)];
        }
    return tile;
}

std::vector<float> product(const std::vector<float>& c, const Operand& a, const Operand& b) {
    std::vector<float> d = c;
    for (int m = 0; m < kRows; m++)
        for (int n = 0; n < kCols; n++)
            for (int k = 0; k < kDepth; k++)
                d[size_t(m * kCols + n)] += to_f32(a[size_t(m * kDepth + k)]) * to_f32(b[size_t(n * kDepth + k)]);
    return d;
}

std::vector<float> mma_on_device(const std::vector<float>& c, const Operand& a, const Operand& b, bool is_packed) {
    Guarded<float> d(kRows * kCols), d_c(c);
    Guarded<bf16> d_a(a), d_b(b);
    probe_mma(d.data(), d_c.data(), d_a.data(), d_b.data(), is_packed, nullptr);
    return d.download("d");
}

TEST(Layout, WaveIsTheDevices) {
    EXPECT_EQ(tables().wave, gpu::device_info(0).wave);
    EXPECT_EQ(compiled_wave(nullptr), tables().wave);
}

TEST(Layout, EveryResultElementIsHeldOnce) {
    const LayoutTables& t = tables();
    std::multiset<int> held;
    for (int lane = 0; lane < t.wave; lane++)
        for (int i = 0; i < t.acc; i++) held.insert(t.acc_at[lane][i].row * kCols + t.acc_at[lane][i].col);
    ASSERT_EQ(held.size(), size_t(kRows * kCols));
    for (int e = 0; e < kRows * kCols; e++) EXPECT_EQ(held.count(e), 1u) << "row " << e / kCols << " col " << e % kCols;
}

TEST(Layout, AccRowNamesTheRowOfAnElement) {
    const LayoutTables& t = tables();
    for (int lane = 0; lane < t.wave; lane++)
        for (int i = 0; i < t.acc; i++)
            for (int j = 0; j < t.acc; j++) {
                ASSERT_TRUE(t.acc_row[i] >= 0 && t.acc_row[i] < t.acc_rows);
                EXPECT_EQ(t.acc_row[i] == t.acc_row[j], t.acc_at[lane][i].row == t.acc_at[lane][j].row)
                    << "lane " << lane << " elements " << i << " and " << j;
            }
}

TEST(Layout, EveryOperandRunIsHeldEquallyOften) {
    const LayoutTables& t = tables();
    std::multiset<int> held;
    for (int lane = 0; lane < t.wave; lane++)
        for (int r = 0; r < t.runs; r++) {
            const Place at = t.frag_at[lane][r], same = t.frag_at[lane % t.holders][r];
            EXPECT_EQ(at.col % 8, 0);
            EXPECT_TRUE(at.row == same.row && at.col == same.col) << "lane " << lane << " run " << r;
            EXPECT_EQ(at.row, t.frag_at[lane][r % t.frag_rows].row) << "lane " << lane << " run " << r;
            held.insert(at.row * 4 + at.col / 8);
        }
    for (int run = 0; run < 64; run++) EXPECT_EQ(held.count(run), size_t(t.wave * t.runs / 64)) << "run " << run;
}

TEST(Layout, RunIndexInvertsRunAt) {
    const LayoutTables& t = tables();
    for (int idx = 0; idx < 64; idx++) {
        const Place at = t.run_at[idx];
        EXPECT_EQ(t.run_index[at.row][at.col / 8], idx);
    }
}

TEST(Layout, KSlotIsAPermutation) {
    std::vector<int> slots(tables().k_slot, tables().k_slot + kDepth);
    std::sort(slots.begin(), slots.end());
    for (int k = 0; k < kDepth; k++) EXPECT_EQ(slots[size_t(k)], k);
}

// Only one k is not zero, and every row and column has a number of its own: a wrong k gives 0, a wrong place another
// product.
TEST(Mma, EveryKAlone) {
    const std::vector<float> c(kRows * kCols, 0.0f);
    for (int k = 0; k < kDepth; k++) {
        Operand a = zeros(), b = zeros();
        for (int row = 0; row < kRows; row++) {
            a[size_t(row * kDepth + k)] = to_bf16(float(row + 1));
            b[size_t(row * kDepth + k)] = to_bf16(float(row + 17));
        }
        EXPECT_EQ(mma_on_device(c, a, b, false), product(c, a, b)) << "k " << k;
    }
}

TEST(Mma, AddsAWholeProduct) {
    const Operand a = whole_operand(1), b = whole_operand(2);
    const std::vector<float> c = whole_numbers(3, kRows * kCols);
    EXPECT_EQ(mma_on_device(c, a, b, false), product(c, a, b));
}

TEST(Mma, TakesPackedTiles) {
    const Operand a = whole_operand(4), b = whole_operand(5);
    const std::vector<float> c = whole_numbers(6, kRows * kCols);
    EXPECT_EQ(mma_on_device(c, packed(a), packed(b), true), product(c, a, b));
}

// Times a matrix that picks 16 of the 32 columns: each must stand at its k_slot, rounded as to_bf16 does.
TEST(Mma, FragOfPutsColumnsAtTheirSlots) {
    std::vector<float> c(kRows * kDepth);
    for (size_t i = 0; i < c.size(); i++) c[i] = noise(7, i);
    for (int half = 0; half < 2; half++) {
        Operand pick = zeros();
        for (int n = 0; n < kCols; n++) pick[size_t(n * kDepth + tables().k_slot[kCols * half + n])] = to_bf16(1.0f);
        Guarded<float> d(kRows * kCols), d_c(c);
        Guarded<bf16> d_pick(pick);
        probe_frag_of(d.data(), d_c.data(), d_pick.data(), nullptr);
        const std::vector<float> got = d.download("d");
        for (int m = 0; m < kRows; m++)
            for (int n = 0; n < kCols; n++)
                EXPECT_EQ(got[size_t(m * kCols + n)], to_f32(to_bf16(c[size_t(m * kDepth + kCols * half + n)])))
                    << "row " << m << " col " << kCols * half + n;
    }
}

TEST(Mma, RowSumAndMaxReachEveryLaneOfARow) {
    const std::vector<float> c = whole_numbers(8, kRows * kCols);
    Guarded<float> sum(64 * kRows), max(64 * kRows), d_c(c);
    probe_rows(sum.data(), max.data(), d_c.data(), nullptr);
    const std::vector<float> sums = sum.download("sum"), maxima = max.download("max");
    for (int lane = 0; lane < tables().wave; lane++)
        for (int i = 0; i < tables().acc; i++) {
            const int row = tables().acc_at[lane][i].row;
            const auto begin = c.begin() + row * kCols, end = begin + kCols;
            EXPECT_EQ(sums[size_t(lane * kRows + row)], std::accumulate(begin, end, 0.0f)) << "lane " << lane;
            EXPECT_EQ(maxima[size_t(lane * kRows + row)], *std::max_element(begin, end)) << "lane " << lane;
        }
}

}  // namespace
