// page_pool.cpp: a stack of free pages, a list of pages left behind, and a hash table of what these hold.
#include "engine/page_pool.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "base/random.h"

namespace {

constexpr int64_t kStart = -1;  // before the first block

// The first page that holds a position that the token after n_blocks sees.
int first_seen(int n_blocks, int window) {
    return std::max(0, n_blocks * kPagePositions - window + 1) / kPagePositions;
}

}  // namespace

uint64_t PagePool::hash_of(int64_t before, const int* ids) {
    uint64_t hash = mix64(uint64_t(before));
    for (int i = 0; i < kPagePositions; i++) hash = mix64(hash ^ uint64_t(ids[i]));
    return hash;
}

PagePool::PagePool(int n_pages, Hash hash) : hash_(hash), pages_(size_t(n_pages)), free_(size_t(n_pages)) {
    std::iota(free_.rbegin(), free_.rend(), 0);  // descending, as pages are taken from the back: 0 is the first
}

int PagePool::take() {
    assert(n_free() > 0);
    int page = 0;
    if (!free_.empty()) {
        page = free_.back();
        free_.pop_back();
    } else {
        page = left_.front();
        left_.pop_front();
        forget(page);
    }
    pages_[size_t(page)].n_holders = 1;
    return page;
}

void PagePool::release(int page, bool soon) {
    Page& p = pages_[size_t(page)];
    if (--p.n_holders > 0) return;
    if (p.indexed)
        p.left = left_.insert(soon ? left_.begin() : left_.end(), page);
    else
        free_.push_back(page);
}

void PagePool::share(int page) {
    Page& p = pages_[size_t(page)];
    if (p.n_holders++ == 0) left_.erase(p.left);
}

void PagePool::forget(int page) {
    Page& p = pages_[size_t(page)];
    Block& block = p.block->second;
    (block.full == page ? block.full : block.sliding) = -1;
    if (block.full < 0 && block.sliding < 0) blocks_.erase(p.block);
    p.indexed = false;
}

PagePool::Blocks::iterator PagePool::look_up(int64_t before, const int* ids) {
    const auto [begin, end] = blocks_.equal_range(hash_(before, ids));
    for (auto it = begin; it != end; ++it)
        if (it->second.before == before && std::equal(ids, ids + kPagePositions, it->second.ids.begin())) return it;
    return blocks_.end();
}

void PagePool::index(Blocks::iterator block, int Block::*kind, int page) {
    Page& p = pages_[size_t(page)];
    if (block->second.*kind >= 0 || p.indexed) return;  // another request's page holds the same block
    block->second.*kind = page;
    p.indexed = true;
    p.block = block;
}

void PagePool::keep(const std::vector<int>& ids, int n_blocks, const PageTable& table) {
    int64_t before = kStart;
    for (int b = 0; b < std::min(n_blocks, int(table.full.size())); b++) {
        const int* const first = ids.data() + b * kPagePositions;
        auto block = look_up(before, first);
        if (block == blocks_.end()) {
            Block fresh{n_blocks_++, before, {}};
            std::copy(first, first + kPagePositions, fresh.ids.begin());
            block = blocks_.emplace(hash_(before, first), fresh);
        }
        index(block, &Block::full, table.full[size_t(b)]);
        const int sliding = b - table.first_sliding_page;
        if (sliding >= 0 && sliding < int(table.sliding.size()))
            index(block, &Block::sliding, table.sliding[size_t(sliding)]);
        before = block->second.number;
    }
}

PageTable PagePool::find(const std::vector<int>& ids, int most, int window) {
    std::vector<const Block*> found;
    for (int64_t before = kStart; int(found.size()) < most;) {
        const auto block = look_up(before, ids.data() + found.size() * kPagePositions);
        if (block == blocks_.end() || block->second.full < 0) break;
        found.push_back(&block->second);
        before = block->second.number;
    }
    int n = int(found.size());
    const auto slides = [&](const Block* block) { return block->sliding >= 0; };
    while (window > 0 && n > 0 && !std::all_of(found.begin() + first_seen(n, window), found.begin() + n, slides)) n--;

    PageTable table;
    for (int b = 0; b < n; b++) table.full.push_back(found[size_t(b)]->full);
    table.first_sliding_page = window > 0 ? first_seen(n, window) : 0;
    for (int b = table.first_sliding_page; window > 0 && b < n; b++) table.sliding.push_back(found[size_t(b)]->sliding);
    for (const int page : table.full) share(page);
    for (const int page : table.sliding) share(page);
    return table;
}
