// test_moe_sort.cpp: slots in expert order, exactly as a stable sort has them.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "device_array.h"
#include "kernels/kernels.h"
#include "noise.h"

namespace {

void expect_sorted(const std::vector<int>& expert, int n_experts, int tile_rows) {
    const int n_slots = int(expert.size());
    const auto max_tiles = size_t(max_expert_tiles(n_slots, n_experts, tile_rows));
    const Guarded<int> d_expert(expert);
    const Guarded<int> n_tiles(1), tile_expert(max_tiles), first(max_tiles), n_rows(max_tiles);
    const Guarded<int> slot(expert.size());
    const ExpertTiles tiles = {n_tiles.data(), tile_expert.data(), first.data(), n_rows.data(), slot.data()};
    moe_sort(tiles, d_expert.data(), n_slots, n_experts, tile_rows, nullptr);

    struct Tile {
        int expert, first, rows, size;  // size: rows rounded up to what kernels have
    };
    const int step = std::min(tile_rows, 32);
    std::vector<int> want_slot, want_expert, want_first, want_rows;
    std::vector<Tile> want;
    for (int e = 0; e < n_experts; e++) {
        const int begin = int(want_slot.size());
        for (int s = 0; s < n_slots; s++)
            if (expert[size_t(s)] == e) want_slot.push_back(s);
        const int n = int(want_slot.size()) - begin;
        if (n == 0) continue;
        const int n_cuts = (n + tile_rows - 1) / tile_rows, even = round_up((n + n_cuts - 1) / n_cuts, step);
        for (int at = 0; at < n; at += even) {
            const int rows = std::min(even, n - at);
            want.push_back({e, begin + at, rows, round_up(rows, step)});
        }
    }
    std::stable_sort(want.begin(), want.end(), [](const Tile& a, const Tile& b) { return a.size > b.size; });
    for (const Tile& tile : want) {
        want_expert.push_back(tile.expert);
        want_first.push_back(tile.first);
        want_rows.push_back(tile.rows);
    }
    const auto first_tiles = [&](const Guarded<int>& of_tile) {
        const std::vector<int> all = of_tile.download("of a tile");
        return std::vector<int>(all.begin(), all.begin() + int64_t(want_expert.size()));
    };
    ASSERT_LE(want_expert.size(), max_tiles);
    EXPECT_EQ(n_tiles.download("n_tiles")[0], int(want_expert.size()));
    EXPECT_EQ(first_tiles(tile_expert), want_expert);
    EXPECT_EQ(first_tiles(first), want_first);
    EXPECT_EQ(first_tiles(n_rows), want_rows);
    EXPECT_EQ(slot.download("slot"), want_slot);
}

// Experts without a pattern; `n_used` of them have slots.
std::vector<int> random_experts(int n_slots, int n_used, uint64_t seed) {
    std::vector<int> expert;
    for (int s = 0; s < n_slots; s++) expert.push_back(int((noise(seed, uint64_t(s)) + 1) / 2 * float(n_used)));
    return expert;
}

TEST(MoeSort, OneTokenOfFourExperts) {
    expect_sorted({3, 9, 17, 31}, 32, 16);
}
TEST(MoeSort, OneSlot) {
    expect_sorted({2}, 4, 16);
}
TEST(MoeSort, OneExpertAlone) {
    expect_sorted({0, 0, 0}, 1, 16);
}
TEST(MoeSort, AllToOneExpert) {
    for (const int n : {15, 16, 17, 64, 65}) expect_sorted(std::vector<int>(size_t(n), 3), 8, 16);
}
TEST(MoeSort, AllToTheLastExpert) {
    expect_sorted(std::vector<int>(100, 127), 128, 64);
}
TEST(MoeSort, ExpertsWithoutSlots) {
    expect_sorted(random_experts(50, 3, 1), 8, 16);
    expect_sorted({7, 1, 7, 1, 1}, 8, 16);
}
TEST(MoeSort, NoMultipleOfAnything) {
    for (const int tile_rows : {16, 32, 64, 128, kGroupRows}) expect_sorted(random_experts(1237, 32, 2), 32, tile_rows);
}
TEST(MoeSort, MostExperts) {
    expect_sorted(random_experts(3001, 256, 3), 256, 16);
}
TEST(MoeSort, MostSlots) {
    expect_sorted(random_experts(65536, 4, 4), 4, 64);
}

}  // namespace
