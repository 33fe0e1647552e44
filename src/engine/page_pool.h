// page_pool.h: the pages of a replica's KV cache: who holds them, and which hold the beginning of an earlier prompt.
#pragma once
#include <array>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "replica.h"

// Holders of a page are counted; a page that nobody holds is free. If it is indexed, it can still be found by its
// contents until it is taken for something else. The least recently used is taken first.
class PagePool {
  public:
    // A hash of kPagePositions ids and the number of the block before them. Blocks with equal hashes are told apart.
    using Hash = uint64_t (*)(int64_t before, const int* ids);
    explicit PagePool(int n_pages, Hash hash = hash_of);
    static uint64_t hash_of(int64_t before, const int* ids);

    int n_pages() const { return int(pages_.size()); }
    int n_free() const { return int(free_.size() + left_.size()); }
    int take();  // there must be a free one
    // soon: if it is indexed, it is among the first to be taken for something else.
    void release(int page, bool soon = false);

    // Indexes the pages of the first n_blocks blocks (of kPagePositions) of `ids`, as far as `table` has them.
    void keep(const std::vector<int>& ids, int n_blocks, const PageTable& table);
    // Finds the longest beginning of `ids`, of at most `most` blocks, whose pages are all there, and shares these. Of
    // the sliding pages, only those are needed that the next token sees. window 0: no layer slides.
    PageTable find(const std::vector<int>& ids, int most, int window);

  private:
    // kPagePositions ids that follow the block `before`: the same ids after another block are another block.
    struct Block {
        int64_t number, before;
        std::array<int, kPagePositions> ids;
        int full = -1, sliding = -1;  // pages
    };
    using Blocks = std::unordered_multimap<uint64_t, Block>;  // by hash of `before` and ids
    struct Page {
        int n_holders = 0;
        bool indexed = false;
        Blocks::iterator block;
        std::list<int>::iterator left;  // its place in left_, if nobody holds it
    };

    Blocks::iterator look_up(int64_t before, const int* ids);
    void index(Blocks::iterator block, int Block::*kind, int page);
    void share(int page);
    void forget(int page);

    const Hash hash_;
    std::vector<Page> pages_;
    std::vector<int> free_;
    std::list<int> left_;  // indexed pages that nobody holds, in the order in which they will be taken
    Blocks blocks_;
    int64_t n_blocks_ = 0;
};
