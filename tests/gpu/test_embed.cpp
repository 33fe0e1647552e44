// test_embed.cpp: rows of the embedding table, and of positions, exactly.
#include <gtest/gtest.h>

#include <vector>

#include "device_array.h"
#include "kernels/kernels.h"
#include "noise.h"

namespace {

// ids as Tokens has them; want: which rows these are.
void expect_rows(int vocab_size, int hidden_dim, const std::vector<int>& ids, const std::vector<int>& want,
                 const std::vector<int>& sampled = {0}) {
    std::vector<bf16> table(size_t(vocab_size) * hidden_dim);
    for (size_t i = 0; i < table.size(); i++) table[i] = to_bf16(noise(1, i));
    const Guarded<bf16> d_table(table);
    const Guarded<int> d_ids(ids), d_sampled(sampled);
    const Guarded<float> x(ids.size() * hidden_dim);
    Tokens tokens;
    tokens.n = int(ids.size());
    tokens.id = d_ids.data();
    tokens.sampled = d_sampled.data();
    embed(x.data(), d_table.data(), nullptr, tokens, hidden_dim, nullptr);
    const std::vector<float> got = x.download("x");
    for (size_t t = 0; t < ids.size(); t++)
        for (int i = 0; i < hidden_dim; i++)
            ASSERT_EQ(got[t * hidden_dim + i], to_f32(table[size_t(want[t]) * hidden_dim + i]))
                << "token " << t << " element " << i;
}

TEST(Embed, OneBlock) {
    expect_rows(5, 32, {3}, {3});
}
TEST(Embed, FirstLastAndRepeatedRows) {
    expect_rows(7, 64, {0, 6, 6, 0, 3}, {0, 6, 6, 0, 3});
}
TEST(Embed, OddNumberOf32) {
    expect_rows(3, 96, {2, 1}, {2, 1});
}
TEST(Embed, RowLongerThanABlock) {
    expect_rows(4, 2880, {1, 3}, {1, 3});
}
TEST(Embed, RowsOfTokensSampledBefore) {
    expect_rows(7, 64, {-1, 2, -4, -2, -3}, {5, 2, 6, 0, 0}, {5, 0, kNoToken, 6});
}

TEST(EmbedPositions, AreAddedInF32) {
    constexpr int kVocab = 9, kContext = 1024, kDim = 96;
    const std::vector<int> ids{0, 8, 3, -1}, pos{1023, 0, 5, 1}, rows{0, 8, 3, 7};
    std::vector<bf16> table, positions;
    for (int i = 0; i < kVocab * kDim; i++) table.push_back(to_bf16(noise(1, uint64_t(i))));
    for (int i = 0; i < kContext * kDim; i++) positions.push_back(to_bf16(noise(2, uint64_t(i))));
    const Guarded<bf16> d_table(table), d_positions(positions);
    const Guarded<int> d_ids(ids), d_pos(pos), d_sampled(std::vector<int>{7});
    const Guarded<float> x(ids.size() * kDim);
    embed(x.data(), d_table.data(), d_positions.data(),
          {int(ids.size()), d_ids.data(), d_pos.data(), nullptr, d_sampled.data()}, kDim, nullptr);
    const std::vector<float> got = x.download("x");
    for (size_t t = 0; t < ids.size(); t++)
        for (int i = 0; i < kDim; i++)
            ASSERT_EQ(got[t * kDim + size_t(i)],
                      to_f32(table[size_t(rows[t] * kDim + i)]) + to_f32(positions[size_t(pos[t] * kDim + i)]))
                << "token " << t << " element " << i;
}

}  // namespace
