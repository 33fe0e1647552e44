// worker.h: a thread that does what would hold up the loop: reading bodies, encoding text.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

class Worker {
  public:
    Worker() : thread_([this] { work(); }) {}
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Runs `task`, which must not throw, after all those before it.
    void post(std::function<void()> task);

  private:
    void work();
    std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    std::deque<std::function<void()>> tasks_;
    bool ending_ = false;
    std::thread thread_;  // the last: it uses the others
};
