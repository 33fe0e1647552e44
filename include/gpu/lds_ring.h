// lds_ring.h: copies into LDS that go on while waves work, and barriers between the waves that bring and those that use
// what was brought. Only devices with wave groups (gpu/group_mma.h) run kernels that need it.
//
//   kCopiesIntoLds        whether there are such copies
//   copy_run(to, from)    begins a copy of 16 bytes from memory into LDS
//   copy_word(to, from)   of 4 bytes
//   end_batch()           the lane's copies since the last call are a batch
//   hold_pointer(p)       hides from the compiler how p was computed. So it keeps p in registers and adds constants to
//                         it in the copy's instruction, instead of keeping a pointer for each copy in memory
//   wait_copies()         waits for all copies that this lane began
//   wait_batches<n>()     waits for all of this lane's batches but the last n
//   see_copies()          after a wait for those who copied: matrix instructions of this lane's wave see the copies
//   see_stores()          after this lane's own stores, before it arrives: matrix instructions of others see them
//   LdsBarrier            in LDS: passed when it was arrived at as often as start() said, again and again.
//     .start(n)           one lane, before a block_sync()
//     .arrive()           one lane
//     .arrive_with_copies()   the lane arrives when all copies that it began are there; does not wait for them
//     .wait(parity)       waits until it was passed for the first time (parity 0), the second (1), the third (0), ...
//                         Every lane of a wave must call it. Parity 1 does not wait before the first passing
//   Turn<n>             a place in a ring of n stages, and the parity of its barriers this time around
//   give_registers<n>()   of a group that needs n only, for the others; take_registers<n>() waits for them
#pragma once
#include "gpu/mma.h"

template <int kStages>
struct Turn {
    int stage = 0;
    uint32_t parity = 0;

    __device__ void next() {
        if (++stage < kStages) return;
        stage = 0;
        parity ^= 1;
    }
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

constexpr bool kCopiesIntoLds = true;

__device__ inline uint32_t lds_address(const void* p) {
    return uint32_t(__cvta_generic_to_shared(p));
}
__device__ inline void copy_run(char* to, const void* from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(lds_address(to)), "l"(from) : "memory");
}
template <class T>
__device__ void hold_pointer(const T*& p) {
    asm volatile("" : "+l"(p));
}
__device__ inline void copy_word(char* to, const void* from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(lds_address(to)), "l"(from) : "memory");
}
__device__ inline void end_batch() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
__device__ inline void wait_copies() {
    asm volatile("cp.async.wait_all;" ::: "memory");
}
template <int n>
__device__ void wait_batches() {
    asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}
// Not where copies are begun: there it would wait for those under way.
__device__ inline void see_copies() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ inline void see_stores() {
    see_copies();
}
struct LdsBarrier {
    uint64_t state;

    __device__ void start(int n_arrivals) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(lds_address(this)), "r"(n_arrivals) : "memory");
    }
    __device__ void arrive() {
        asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(lds_address(this)) : "memory");
    }
    __device__ void arrive_with_copies() {
        asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(lds_address(this)) : "memory");
    }
    __device__ void wait(uint32_t parity) {
        asm volatile(
            "{.reg .pred passed;\n"
            "again: mbarrier.try_wait.parity.shared::cta.b64 passed, [%0], %1;\n"
            "@!passed bra again;}" ::"r"(lds_address(this)),
            "r"(parity)
            : "memory");
    }
};
template <int n>
__device__ void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(n));
}
template <int n>
__device__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(n));
}

#elif defined(GPU_EMULATE_SM80)

constexpr bool kCopiesIntoLds = true;

// A copy is done when it is waited for, the latest moment that hardware may choose.
__device__ inline void copy_run(char* to, const void* from) {
    emu::copy_later(to, from, 16);
}
template <class T>
__device__ void hold_pointer(const T*&) {}
__device__ inline void copy_word(char* to, const void* from) {
    emu::copy_later(to, from, 4);
}
__device__ inline void end_batch() {
    emu::end_batch();
}
template <int n>
__device__ void wait_batches() {
    emu::wait_batches(n);
}
__device__ inline void wait_copies() {
    emu::wait_copies();
}
__device__ inline void see_copies() {}
__device__ inline void see_stores() {}
struct LdsBarrier : emu::Barrier {
    __device__ void start(int n) { *this = {{uint16_t(n), uint16_t(n), 0}}; }
    __device__ void arrive() { emu::arrive(*this); }
    __device__ void arrive_with_copies() { emu::arrive_with_copies(*this); }
    __device__ void wait(uint32_t parity) { emu::wait(*this, parity); }
};
template <int n>
__device__ void give_registers() {}
template <int n>
__device__ void take_registers() {}

#else

constexpr bool kCopiesIntoLds = false;

// Names only: no launcher chooses a kernel that needs them.
__device__ inline void copy_run(char*, const void*) {}
template <class T>
__device__ void hold_pointer(const T*&) {}
__device__ inline void copy_word(char*, const void*) {}
__device__ inline void end_batch() {}
template <int n>
__device__ void wait_batches() {}
__device__ inline void wait_copies() {}
__device__ inline void see_copies() {}
__device__ inline void see_stores() {}
struct LdsBarrier {
    uint64_t state;

    __device__ void start(int) {}
    __device__ void arrive() {}
    __device__ void arrive_with_copies() {}
    __device__ void wait(uint32_t) {}
};
template <int n>
__device__ void give_registers() {}
template <int n>
__device__ void take_registers() {}

#endif
