// scratch.h: working memory of the inner loops.
//
// It is in an anonymous namespace. If files for several instruction sets shared a template, the linker would keep one
// copy and run it on any CPU (tools/check_isa_objects.sh looks for that). For the same reason they use no std::vector.
#pragma once
#include <cstdint>
#include <memory>
#include <new>

#include "base/aligned.h"

namespace {

// Cache-line aligned memory that grows and is not cleared.
template <class T>
class Scratch {
  public:
    T* get(int64_t n) {
        if (n > n_) {
            memory_.reset(static_cast<T*>(::operator new(size_t(n) * sizeof(T), std::align_val_t(kCacheLineBytes))));
            n_ = n;
        }
        return memory_.get();
    }

  private:
    struct Free {
        void operator()(T* p) const { ::operator delete(p, std::align_val_t(kCacheLineBytes)); }
    };
    std::unique_ptr<T, Free> memory_;
    int64_t n_ = 0;
};

}  // namespace
