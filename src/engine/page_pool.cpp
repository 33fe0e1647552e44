// page_pool.cpp: a stack of free pages.
#include "engine/page_pool.h"

#include <cassert>
#include <cstddef>
#include <numeric>

PagePool::PagePool(int n_pages) : n_pages_(n_pages), free_(std::size_t(n_pages)) {
    std::iota(free_.rbegin(), free_.rend(), 0);  // taken from the back: the smallest comes first
}

int PagePool::take() {
    assert(!free_.empty());
    const int page = free_.back();
    free_.pop_back();
    return page;
}

void PagePool::release(int page) {
    free_.push_back(page);
}
