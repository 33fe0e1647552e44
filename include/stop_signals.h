// stop_signals.h: what signals ask of a long job: to stop soon, to stop at once, to say how far it is.
#pragma once
#include <atomic>
#include <functional>
#include <thread>

// SIGTERM, SIGINT and SIGUSR1 stop the job, SIGUSR2 asks for its status. SIGHUP does nothing: a job outlives its
// terminal. Signals that were ignored at the start (nohup, background jobs) stay so. One object at a time.
class StopSignals {
  public:
    struct Callbacks {
        std::function<void()> stop;  // no request may begin any more
        std::function<void()> status;
        std::function<void()> at_once;  // does not return: a second signal, or the grace is over and work goes on
    };
    // The callbacks come from a thread of this object's.
    StopSignals(double grace_s, Callbacks callbacks);
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    // Before work_begins() and after work_ends() even a first signal is at_once: there is no work that could be
    // finished.
    void work_begins() { has_work_ = true; }
    void work_ends() { has_work_ = false; }
    bool stopping() const { return stopping_; }
    bool grace_is_over() const { return grace_is_over_; }

  private:
    void watch();
    const double grace_s_;
    const Callbacks callbacks_;
    std::atomic<bool> has_work_{false}, stopping_{false}, grace_is_over_{false}, ending_{false};
    std::thread thread_;
};
