// io_faults.h: faults of a disk, and a clock that jumps, made by functions that replace the C library's in the whole
// test program; they pass everything on unless a test asks for a fault.
#pragma once
#include <atomic>
#include <string>

enum class Fault {
    kNone,
    kShort,        // a few bytes at a time
    kInterrupted,  // EINTR, two times of three
    kBusy,         // EAGAIN, as of a full pipe, two times of three
    kNothing,      // 0 from the `after`-th write on
    kBroken,       // half of the `after`-th write, then EIO
    kFull,         // the same, then ENOSPC
    kLostAtSync,   // all is taken, and fsync() or fdatasync() says that it could not be kept
    kLostAtClose,  // the same, said by close()
};

// Of regular files whose name ends so.
struct IoFaults {
    void start(Fault what, const std::string& end_of_name = "", int after = 3);
    void stop() { fault = Fault::kNone; }

    std::atomic<Fault> fault{Fault::kNone};
    std::atomic<int> n_writes{0}, n_syncs{0}, after{3};
    std::atomic<long> clock_offset_s{0};  // what time() is off by
    std::string end;
};
IoFaults& io_faults();
