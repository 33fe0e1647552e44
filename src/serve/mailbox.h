// mailbox.h: how other threads hand work to the loop's thread.
#pragma once
#include <event2/event.h>

#include <functional>
#include <mutex>
#include <vector>

class Mailbox {
  public:
    // Throws Error if the system refuses what it needs.
    explicit Mailbox(event_base* base);
    ~Mailbox();
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    // From any thread: the loop's thread will run `work`, in the order in which it comes: soon, or after wake().
    void post(std::function<void()> work, bool soon = true);
    // From any thread: runs all that was posted.
    void wake();

  private:
    void run_all();
    const int fd_;
    event* const event_;
    std::mutex mutex_;  // guards what follows
    std::vector<std::function<void()>> posted_;
    bool is_woken_ = false;
};
