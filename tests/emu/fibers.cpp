// fibers.cpp: the lanes of a block as fibers that take turns on one OS thread.
#include "emu/fibers.h"

#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "base/random.h"
#include "emu/lane.h"

namespace emu {
namespace {

constexpr size_t kLdsGuard = 256;  // bytes after a launch's LDS that no kernel may write
constexpr unsigned kMaxLanes = 1024;
constexpr unsigned char kUnset = 0xff;  // LDS before it is written: NaN as f32 and as bf16

struct Wave {
    Lane* ready[kWaveLanes];  // the last one is next
    int n_ready = 0;
    void* shares[kWaveLanes];
    int n_met = 0;
    const char* meeting = nullptr;  // what the n_met lanes wait in
    bool paused = false;            // the lane that had the turn waits for other waves
};

struct Copy {
    char* to;
    const void* from;
    size_t bytes;
    int batch;  // the lane's
};
struct Delivery {
    Barrier* barrier;
    std::vector<Copy> copies;
};

class Block {
  public:
    void run(const Launch& launch, const dim3& index, const AtBarrier& at_barrier);
    void meet(const char* what, void* share, Compute compute);
    void barrier();
    void copy_later(char* to, const void* from, size_t bytes) {
        copies_[threadIdx.x].push_back({to, from, bytes, batch_[threadIdx.x]});
    }
    void end_batch() { batch_[threadIdx.x]++; }
    void wait_batches(int n_left);
    void wait_copies();
    void arrive(Barrier& barrier);
    void arrive_with_copies(Barrier& barrier);
    void wait(Barrier& barrier, uint32_t parity);
    char* lds() { return lds_; }
    [[noreturn]] void complain(const char* format, va_list args) const;

  private:
    static void enter(transfer_t from);
    void returned();

    void switch_to(Fiber& next, bool for_good = false);
    void arrive(fcontext_t from);
    void yield(bool for_good = false);
    void pause();
    void make_ready(Wave& wave);
    Wave& next_wave();
    void deliver(const Barrier& barrier);
    void all_waited();

    void take_lds();
    void check_lds() const;
    Wave& my_wave() { return waves_[threadIdx.x / kWaveLanes]; }
    unsigned n_lanes() const { return launch_->block.x; }
    bool is_random() const { return launch_->order.turns == Turns::kRandom; }

    const Launch* launch_ = nullptr;
    const AtBarrier* at_barrier_ = nullptr;
    std::vector<std::unique_ptr<Lane>> lanes_;  // as many as the largest block so far had
    std::vector<Wave> waves_;
    std::mt19937_64 random_;

    Fiber scheduler_;
    Fiber *current_ = &scheduler_, *previous_ = nullptr;

    std::vector<std::vector<Copy>> copies_;  // by lane: begun, not yet with a barrier
    std::vector<int> batch_;                 // by lane: the number of its batch
    std::vector<Delivery> deliveries_;
    int n_idle_rounds_ = 0;  // in which every wave that could run paused

    unsigned n_at_barrier_ = 0, n_returned_ = 0;
    unsigned some_at_barrier_ = 0, some_returned_ = 0;  // one of them, to name it
    int n_barriers_ = 0;
    alignas(1024) char lds_[kLdsBytes + kLdsGuard];
};

thread_local Block* this_block = nullptr;  // made when this thread runs its first block

// ---- fibers ----

void Block::switch_to(Fiber& next, bool for_good) {
    previous_ = current_;
    current_ = &next;
    if (&next != &scheduler_) threadIdx.x = static_cast<Lane&>(next).index();
    start_switch(for_good ? nullptr : &previous_->fake_stack, next.stack, next.stack_bytes);
    arrive(jump_fcontext(next.context, nullptr).fctx);
}

// The first thing that a fiber does when it gets its turn.
void Block::arrive(fcontext_t from) {
    finish_switch(current_->fake_stack, &previous_->stack, &previous_->stack_bytes);
    previous_->context = from;
}

// It never returns, so AddressSanitizer must not mark its stack.
__attribute__((no_sanitize("address"))) void Block::enter(transfer_t from) {
    this_block->arrive(from.fctx);
    this_block->launch_->body();
    this_block->returned();
}

void Block::yield(bool for_good) {
    Wave& wave = my_wave();
    Fiber& next = wave.n_ready > 0 ? static_cast<Fiber&>(*wave.ready[--wave.n_ready]) : scheduler_;
    if (&next != current_) switch_to(next, for_good);
}

void Block::make_ready(Wave& wave) {
    const size_t first = size_t(&wave - waves_.data()) * kWaveLanes;
    wave.n_ready = kWaveLanes;
    for (size_t i = 0; i < kWaveLanes; i++) wave.ready[i] = lanes_[first + i].get();
    if (launch_->order.turns == Turns::kAscending) std::reverse(wave.ready, wave.ready + kWaveLanes);
    if (is_random()) std::shuffle(wave.ready, wave.ready + kWaveLanes, random_);
}

// A wave that can run. There is none only if all wait for barriers in LDS: other waits that can never end were reported
// when they began.
Wave& Block::next_wave() {
    const size_t n = waves_.size(), first = is_random() ? random_() % n : 0;
    for (;;) {
        for (size_t i = 0; i < n; i++) {
            Wave& wave = waves_[launch_->order.turns == Turns::kDescending ? n - 1 - i : (first + i) % n];
            if (wave.n_ready > 0 && !wave.paused) return wave;
        }
        // If nobody arrives anywhere, each lane can pass at most one barrier more.
        if (++n_idle_rounds_ > kWaveLanes + 1) emu::complain("no lane can run: all wait for barriers in LDS");
        for (Wave& wave : waves_) wave.paused = false;
    }
}

// Ends the lane's turn. The next one comes after those of all other lanes.
void Block::pause() {
    Wave& wave = my_wave();
    std::copy_backward(wave.ready, wave.ready + wave.n_ready, wave.ready + wave.n_ready + 1);
    wave.ready[0] = static_cast<Lane*>(current_);
    wave.n_ready++;
    wave.paused = true;
    switch_to(scheduler_);
}

void Block::run(const Launch& launch, const dim3& index, const AtBarrier& at_barrier) {
    launch_ = &launch;
    at_barrier_ = &at_barrier;
    gridDim = launch.grid;
    blockDim = launch.block;
    blockIdx = index;
    if (is_random())
        random_.seed(mix64(launch.order.seed + index.x + (uint64_t(index.y) << 24) + (uint64_t(index.z) << 48)));
    take_lds();
    for (unsigned i = unsigned(lanes_.size()); i < n_lanes(); i++) lanes_.push_back(std::make_unique<Lane>(i));
    for (unsigned i = 0; i < n_lanes(); i++) lanes_[i]->start(enter);
    waves_.assign(n_lanes() / kWaveLanes, {});
    for (Wave& wave : waves_) make_ready(wave);
    n_at_barrier_ = n_returned_ = 0;
    n_barriers_ = n_idle_rounds_ = 0;
    copies_.assign(n_lanes(), {});
    batch_.assign(n_lanes(), 0);
    deliveries_.clear();
    while (n_returned_ < n_lanes()) {
        Wave& wave = next_wave();
        switch_to(*wave.ready[--wave.n_ready]);
    }
    all_waited();
}

// ---- collectives: they report at once a lane that waits for one that will not come ----

void Block::meet(const char* what, void* share, Compute compute) {
    Wave& wave = my_wave();
    if (wave.n_met > 0 && wave.meeting != what) emu::complain("%s: other lanes wait in %s", what, wave.meeting);
    const unsigned first = threadIdx.x / kWaveLanes * kWaveLanes;
    const auto in_wave = [&](unsigned lane) { return lane / kWaveLanes == first / kWaveLanes; };
    if (n_at_barrier_ > 0 && in_wave(some_at_barrier_))
        emu::complain("%s: lane %u waits at a barrier", what, some_at_barrier_);
    if (n_returned_ > 0 && in_wave(some_returned_)) emu::complain("%s: lane %u has returned", what, some_returned_);
    wave.meeting = what;
    wave.shares[threadIdx.x - first] = share;
    if (++wave.n_met < kWaveLanes) {
        yield();
        return;
    }
    compute(wave.shares);
    wave.n_met = 0;
    make_ready(wave);
    if (is_random())
        switch_to(scheduler_);  // the next turn may be another wave's
    else
        yield();
}

void Block::barrier() {
    const Wave& wave = my_wave();
    if (wave.n_met > 0) emu::complain("barrier: other lanes of the wave wait in %s", wave.meeting);
    if (n_returned_ > 0) emu::complain("barrier: lane %u has returned", some_returned_);
    some_at_barrier_ = threadIdx.x;
    if (++n_at_barrier_ == n_lanes()) {
        n_at_barrier_ = 0;
        all_waited();
        for (Wave& w : waves_) make_ready(w);
        switch_to(scheduler_);
    } else {
        yield();
    }
}

// ---- copies and barriers in LDS ----

void do_copies(std::vector<Copy>& copies) {
    for (const Copy& copy : copies) std::memcpy(copy.to, copy.from, copy.bytes);
    copies.clear();
}

void Block::wait_batches(int n_left) {
    std::vector<Copy>& begun = copies_[threadIdx.x];
    const auto left = std::find_if(begun.begin(), begun.end(),
                                   [&](const Copy& c) { return c.batch >= batch_[threadIdx.x] - n_left; });
    std::vector<Copy> due(begun.begin(), left);
    begun.erase(begun.begin(), left);
    do_copies(due);
}

void Block::wait_copies() {
    do_copies(copies_[threadIdx.x]);
}

void Block::arrive(Barrier& barrier) {
    n_idle_rounds_ = 0;
    if (--barrier.n_missing > 0) return;
    barrier.n_missing = barrier.n_arrivals;
    barrier.n_passed++;
}

void Block::arrive_with_copies(Barrier& barrier) {
    n_idle_rounds_ = 0;
    deliveries_.push_back({&barrier, std::move(copies_[threadIdx.x])});
    copies_[threadIdx.x].clear();
}

// Finishes the copies that count as arrivals at the barrier.
void Block::deliver(const Barrier& barrier) {
    const auto is_due = [&](const Delivery& d) { return d.barrier == &barrier; };
    for (Delivery& d : deliveries_)
        if (is_due(d)) {
            do_copies(d.copies);
            arrive(*d.barrier);
        }
    deliveries_.erase(std::remove_if(deliveries_.begin(), deliveries_.end(), is_due), deliveries_.end());
}

void Block::wait(Barrier& barrier, uint32_t parity) {
    for (;;) {
        if (barrier.n_passed % 2 == parity) deliver(barrier);
        if (barrier.n_passed % 2 != parity) return;
        pause();
    }
}

void Block::returned() {
    const Wave& wave = my_wave();
    if (wave.n_met > 0) emu::complain("returns while other lanes of the wave wait in %s", wave.meeting);
    if (n_at_barrier_ > 0) emu::complain("returns while lane %u waits at a barrier", some_at_barrier_);
    some_returned_ = threadIdx.x;
    n_returned_++;
    yield(true);
}

void Block::all_waited() {
    check_lds();
    if (*at_barrier_) (*at_barrier_)(n_barriers_, lds_);
    n_barriers_++;
}

// ---- LDS ----

void Block::take_lds() {
    ASAN_UNPOISON_MEMORY_REGION(lds_, sizeof lds_);
    std::fill_n(reinterpret_cast<unsigned char*>(lds_), launch_->lds_bytes + kLdsGuard, kUnset);
    ASAN_POISON_MEMORY_REGION(lds_ + launch_->lds_bytes, sizeof lds_ - launch_->lds_bytes);
}

__attribute__((no_sanitize("address"))) void Block::check_lds() const {
    for (size_t i = launch_->lds_bytes; i < launch_->lds_bytes + kLdsGuard; i++)
        if (static_cast<unsigned char>(lds_[i]) != kUnset)
            emu::complain("LDS was written at byte %zu, past the %zu of the launch", i, launch_->lds_bytes);
}

void print_place(const Launch& launch) {
    std::fprintf(stderr, "emu: %s:%d: kernel %s", launch.site.file, launch.site.line, launch.site.kernel);
}

[[noreturn]] void print_rest(const Launch& launch, const char* format, va_list args) {
    std::fputs(": ", stderr);
    std::vfprintf(stderr, format, args);
    if (launch.order.turns == Turns::kRandom)
        std::fprintf(stderr, " (EMU_ORDER=%llu)", static_cast<unsigned long long>(launch.order.seed));
    std::fputc('\n', stderr);
    std::abort();
}

void Block::complain(const char* format, va_list args) const {
    print_place(*launch_);
    std::fprintf(stderr, ", block (%u, %u, %u)", blockIdx.x, blockIdx.y, blockIdx.z);
    if (current_ != &scheduler_) std::fprintf(stderr, ", lane %u", threadIdx.x);
    print_rest(*launch_, format, args);
}

}  // namespace

void run_block(const Launch& launch, const dim3& index, const AtBarrier& at_barrier) {
    if (launch.block.x < 1 || launch.block.x > kMaxLanes || launch.block.x % kWaveLanes != 0 || launch.block.y != 1 ||
        launch.block.z != 1)
        complain_of(launch, "expected a block of whole waves of %d, up to %u lanes, found (%u, %u, %u)", kWaveLanes,
                    kMaxLanes, launch.block.x, launch.block.y, launch.block.z);
    if (launch.lds_bytes > kLdsBytes)
        complain_of(launch, "expected at most %zu bytes of LDS, found %zu", kLdsBytes, launch.lds_bytes);
    if (!this_block) {
        thread_local const auto owner = std::make_unique<Block>();
        this_block = owner.get();
    }
    this_block->run(launch, index, at_barrier);
}

char* dynamic_lds() {
    return this_block->lds();
}

void barrier() {
    this_block->barrier();
}

void meet(const char* what, void* share, Compute compute) {
    this_block->meet(what, share, compute);
}

void copy_later(char* to, const void* from, size_t bytes) {
    this_block->copy_later(to, from, bytes);
}
void end_batch() {
    this_block->end_batch();
}
void wait_batches(int n_left) {
    this_block->wait_batches(n_left);
}
void wait_copies() {
    this_block->wait_copies();
}
void arrive(Barrier& barrier) {
    this_block->arrive(barrier);
}
void arrive_with_copies(Barrier& barrier) {
    this_block->arrive_with_copies(barrier);
}
void wait(Barrier& barrier, uint32_t parity) {
    this_block->wait(barrier, parity);
}

void complain(const char* format, ...) {
    va_list args;
    va_start(args, format);
    this_block->complain(format, args);
}

void complain_of(const Launch& launch, const char* format, ...) {
    va_list args;
    va_start(args, format);
    print_place(launch);
    print_rest(launch, format, args);
}

}  // namespace emu
