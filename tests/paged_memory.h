// paged_memory.h: the KV cache of a made-up device: pages hold token ids, so that a page lost, missing, given away too
// early or somebody else's is noticed.
#pragma once
#include <gtest/gtest.h>

#include <array>

#include "replica.h"

class PagedMemory {
  public:
    PagedMemory(const Config& config, const Capacity& capacity)
        : window_(config.sliding_window), memory_(size_t(capacity.n_pages)) {}

    void write(const PageTable& pages, int pos, int id) {
        for (std::array<int, kPagePositions>* page : {&full(pages, pos), &sliding(pages, pos)}) {
            if (pos % kPagePositions == 0) page->fill(kUnset);
            (*page)[size_t(pos % kPagePositions)] = id;
        }
    }

    // The ids of all positions up to `pos`, which full layers read; sliding layers read the same, as far as they see.
    std::vector<int> read(const PageTable& pages, int pos) {
        std::vector<int> ids;
        for (int p = 0; p <= pos; p++) {
            ids.push_back(full(pages, p)[size_t(p % kPagePositions)]);
            EXPECT_NE(ids.back(), kUnset) << "position " << p;
            if (p <= pos - window_) continue;
            EXPECT_EQ(sliding(pages, p)[size_t(p % kPagePositions)], ids.back()) << "position " << p;
        }
        return ids;
    }

  private:
    static constexpr int kUnset = -7;
    std::array<int, kPagePositions>& full(const PageTable& pages, int pos) {
        return memory_.at(size_t(pages.full.at(size_t(pos / kPagePositions))));
    }
    std::array<int, kPagePositions>& sliding(const PageTable& pages, int pos) {
        return memory_.at(size_t(pages.sliding.at(size_t(pos / kPagePositions - pages.first_sliding_page))));
    }
    const int window_;
    std::vector<std::array<int, kPagePositions>> memory_;
};
