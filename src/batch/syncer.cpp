// syncer.cpp: waits for half of kSyncWithinMs, so that more lines share a sync; the other half is for the disk.
#include "batch/syncer.h"

#include <chrono>

#include "batch.h"

Syncer::Syncer(std::function<void()> sync) : sync_(std::move(sync)), thread_([this] { run(); }) {}

Syncer::~Syncer() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void Syncer::wrote() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (dirty_) return;
    dirty_ = true;
    changed_.notify_all();
}

void Syncer::run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        changed_.wait(lock, [&] { return dirty_ || ending_; });
        if (ending_) return;
        // Waits by the monotonic clock, so that setting the system's clock changes nothing.
        if (changed_.wait_for(lock, std::chrono::milliseconds(kSyncWithinMs / 2), [&] { return ending_; })) return;
        dirty_ = false;
        lock.unlock();
        sync_();
        lock.lock();
    }
}
