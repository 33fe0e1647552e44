// test_embed.cpp: rows of the embedding table, exactly.
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
    embed(x.data(), d_table.data(), tokens, hidden_dim, nullptr);
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

}  // namespace
