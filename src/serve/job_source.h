// job_source.h: the server's side of the engine: jobs from the loop's thread, in the order in which they came, to the
// thread that runs the engine.
#pragma once
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include "engine.h"

class JobSource {
  public:
    // False: it is closed, and the job is gone.
    bool submit(std::unique_ptr<Job> job);
    // No job will come any more.
    void close();
    // Ends the jobs that are cancelled while they wait here.
    void end_cancelled();
    // For Engine::run(): waits for a job; null once it is closed and all jobs are handed out.
    std::unique_ptr<Job> next();

  private:
    std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    std::deque<std::unique_ptr<Job>> jobs_;
    bool closed_ = false;
};
