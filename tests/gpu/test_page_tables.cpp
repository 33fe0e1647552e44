// test_page_tables.cpp: entries of page tables set, pages cleared, and nothing beside them.
#include <gtest/gtest.h>

#include <vector>

#include "device_array.h"
#include "kernels/kernels.h"

namespace {

TEST(PageTables, EntriesAreSet) {
    for (const int n : {1, 300}) {
        std::vector<int> want(1000, 5);
        const Guarded<int> table(want);
        std::vector<PageEntry> entries;
        for (int i = 0; i < n; i++) {
            entries.push_back({i * 7 % 1000, i});
            want[size_t(entries.back().at)] = i;
        }
        const Guarded<PageEntry> d_entries(entries);
        set_page_entries(table.data(), d_entries.data(), n, nullptr);
        EXPECT_EQ(table.download("table"), want);
    }
}

TEST(PageTables, PagesAreCleared) {
    for (const int page_floats : {4, 2048, 9000}) {  // a page of one load, of less than a block, of more than one
        std::vector<float> want(size_t(5 * page_floats), 3.0f);
        const Guarded<float> pool(want);
        const Guarded<int> pages(std::vector<int>{4, 1});
        clear_pages(pool.data(), pages.data(), 2, page_floats * int64_t(sizeof(float)), nullptr);
        for (const int page : {4, 1}) std::fill_n(want.begin() + page * page_floats, page_floats, 0.0f);
        EXPECT_EQ(pool.download("pool"), want);
    }
}

}  // namespace
