// page_pool.h: which pages of a replica's KV cache are free.
#pragma once
#include <vector>

class PagePool {
  public:
    explicit PagePool(int n_pages);

    int n_pages() const { return n_pages_; }
    int n_free() const { return int(free_.size()); }
    // There must be a free one.
    int take();
    void release(int page);

  private:
    const int n_pages_;
    std::vector<int> free_;
};
