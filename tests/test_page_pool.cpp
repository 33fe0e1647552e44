// test_page_pool.cpp: pages found again by what is in them, and by nothing else.
#include <gtest/gtest.h>

#include "engine/page_pool.h"

namespace {

constexpr int kWindow = 40;

std::vector<int> ids_from(int first, int n) {
    std::vector<int> ids;
    for (int i = 0; i < n; i++) ids.push_back(first + i);
    return ids;
}

// Takes pages for ids, keeps them, and lets go.
PageTable fill(PagePool& pool, const std::vector<int>& ids) {
    PageTable table;
    for (size_t i = 0; i + kPagePositions <= ids.size(); i += kPagePositions) {
        table.full.push_back(pool.take());
        table.sliding.push_back(pool.take());
    }
    pool.keep(ids, int(table.full.size()), table);
    for (size_t i = table.full.size(); i-- > 0;) {
        pool.release(table.full[i]);
        pool.release(table.sliding[i]);
    }
    return table;
}

TEST(PagePool, FindsTheLongestRunThatIsThere) {
    PagePool pool(20);
    const std::vector<int> ids = ids_from(0, 170);
    const PageTable kept = fill(pool, ids);
    EXPECT_EQ(pool.n_free(), 20) << "what is left behind is free";
    const PageTable found = pool.find(ids, 5, kWindow);
    EXPECT_EQ(found.full, kept.full);
    EXPECT_EQ(found.first_sliding_page, 3);
    EXPECT_EQ(found.sliding, std::vector<int>(kept.sliding.begin() + 3, kept.sliding.end()));
    EXPECT_EQ(pool.n_free(), 20 - 7) << "held";
    EXPECT_EQ(pool.find(ids, 2, kWindow).full.size(), 2u) << "no more than asked for";
}

TEST(PagePool, TheSameIdsElsewhereAreNotFound) {
    PagePool pool(20);
    fill(pool, ids_from(0, 96));
    EXPECT_TRUE(pool.find(ids_from(32, 64), 2, kWindow).full.empty());
    std::vector<int> other = ids_from(0, 96);
    other[40] = 7;
    EXPECT_EQ(pool.find(other, 3, kWindow).full.size(), 1u) << "what follows another block is another block";
}

TEST(PagePool, WithoutItsWindowARunIsNotFound) {
    PagePool pool(20);
    const std::vector<int> ids = ids_from(0, 96);
    PageTable table;
    for (int i = 0; i < 3; i++) table.full.push_back(pool.take());
    pool.keep(ids, 3, table);
    EXPECT_TRUE(pool.find(ids, 3, kWindow).full.empty());
    EXPECT_EQ(pool.find(ids, 3, 0).full.size(), 3u) << "no layer slides";
}

TEST(PagePool, TheLeastRecentlyUsedGoFirst) {
    PagePool pool(12);
    const std::vector<int> old = ids_from(0, 64), recent = ids_from(100, 64);
    fill(pool, old);
    fill(pool, recent);
    for (const int page : pool.find(old, 2, 0).full) pool.release(page);  // used again
    for (int i = 0; i < 8; i++) pool.take();  // 4 free ones, sliding ones of `old`, and 2 of `recent`
    EXPECT_EQ(pool.find(old, 2, 0).full.size(), 2u);
    EXPECT_LT(pool.find(recent, 2, 0).full.size(), 2u);
}

TEST(PagePool, EveryPageCanBeTaken) {
    PagePool pool(8);
    fill(pool, ids_from(0, 128));
    std::vector<bool> taken(8, false);
    for (int i = 0; i < 8; i++) taken[size_t(pool.take())] = true;
    EXPECT_EQ(taken, std::vector<bool>(8, true));
    EXPECT_TRUE(pool.find(ids_from(0, 128), 4, 0).full.empty());
}

TEST(PagePool, BlocksOfEqualHashAreToldApart) {
    PagePool pool(40, [](int64_t, const int*) { return uint64_t(7); });
    std::vector<std::vector<int>> prompts;
    std::vector<PageTable> kept;
    for (const int first : {0, 1000, 0, 2000}) prompts.push_back(ids_from(first, 96));
    prompts[2][40] = 5;  // its first block is that of the first prompt
    for (const std::vector<int>& ids : prompts) kept.push_back(fill(pool, ids));
    for (const size_t i : {size_t(0), size_t(1), size_t(3)}) {
        const PageTable found = pool.find(prompts[i], 3, 0);
        EXPECT_EQ(found.full, kept[i].full) << i;
        for (const int page : found.full) pool.release(page);
    }
    const PageTable shared = pool.find(prompts[2], 3, 0);
    EXPECT_EQ(shared.full, (std::vector<int>{kept[0].full[0], kept[2].full[1], kept[2].full[2]}));
    EXPECT_TRUE(pool.find(ids_from(3000, 96), 3, 0).full.empty());
}

}  // namespace
