// lazy_memory.h: device memory that costs only the pages that are touched. An engine asks for hundreds of megabytes,
// of which a tiny model needs a few: filling them took half the time of the tests of whole models.
#pragma once
#include <cstddef>

namespace emu {

// So many bytes in pages of their own, 0xff until they are written: NaN as f32 and as bf16. Before and behind lie pages
// that nobody may touch; AddressSanitizer also sees a step past the end within the last page.
class LazyMemory {
  public:
    explicit LazyMemory(size_t bytes);  // throws std::bad_alloc
    ~LazyMemory();
    LazyMemory(const LazyMemory&) = delete;
    LazyMemory& operator=(const LazyMemory&) = delete;

    // As near to the end of the last page as an allocation's alignment allows.
    char* data() const;
    // Writes zeros.
    void zero(char* from, size_t bytes) const;
    // Whether it can be touched at all.
    void open(bool may) const;

  private:
    size_t bytes_, page_bytes_;
    char* pages_;
};

}  // namespace emu
