// lane.h: one lane of a block as a fiber: its stack, and what AddressSanitizer must be told when stacks are switched.
#pragma once
#include <sanitizer/common_interface_defs.h>
#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>

namespace emu {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr size_t kPage = 4096, kStackBytes = 256 << 10;

#ifdef __SANITIZE_ADDRESS__
inline void start_switch(void** save_fake_stack, const void* stack, size_t bytes) {
    __sanitizer_start_switch_fiber(save_fake_stack, stack, bytes);
}
inline void finish_switch(void* fake_stack, const void** old_stack, size_t* old_bytes) {
    __sanitizer_finish_switch_fiber(fake_stack, old_stack, old_bytes);
}
#else
inline void start_switch(void**, const void*, size_t) {}
inline void finish_switch(void*, const void**, size_t*) {}
#endif

struct Fiber {
    fcontext_t context = nullptr;
    const void* stack = nullptr;  // its lowest address
    size_t stack_bytes = 0;
    void* fake_stack = nullptr;  // AddressSanitizer's
};

// A fiber with a stack of its own; the page below it cannot be written. It is used again for every block.
class Lane : public Fiber {
  public:
    explicit Lane(unsigned index) : index_(index) {
        memory_ = mmap(nullptr, kPage + kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (memory_ == MAP_FAILED || mprotect(memory_, kPage, PROT_NONE) != 0) {
            std::perror("emu: stack of a lane");
            std::abort();
        }
    }
    ~Lane() { munmap(memory_, kPage + kStackBytes); }
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    void start(void (*entry)(transfer_t)) {
        // Stacks end at different places of a page: at the same place they would fight for the same few cache lines.
        const size_t bytes = kStackBytes - index_ % 16 * 256;
        char* const lowest = static_cast<char*>(memory_) + kPage;
        stack = lowest;
        stack_bytes = bytes;
        fake_stack = nullptr;
        context = make_fcontext(lowest + bytes, bytes, entry);
    }
    unsigned index() const { return index_; }

  private:
    unsigned index_;
    void* memory_;
};

}  // namespace emu
