// syncer.h: a thread that makes what others write durable, many lines at a time.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

class Syncer {
  public:
    // `sync` is called half of kSyncWithinMs after the first write() since it was called last.
    explicit Syncer(std::function<void()> sync);
    ~Syncer();  // without a last sync
    Syncer(const Syncer&) = delete;
    Syncer& operator=(const Syncer&) = delete;

    void wrote();  // from any thread

  private:
    void run();
    const std::function<void()> sync_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    bool dirty_ = false, ending_ = false;
    std::thread thread_;
};
