// job_queue.h: jobs between the one thread that makes them and the replicas' threads that run them.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "engine.h"

// A job that waits for a replica; and how far it has come, if the replica that ran it has failed.
struct QueuedJob {
    std::unique_ptr<Job> job;
    std::vector<int> answer;  // tokens that the job has been given
    int logits_given = 0;     // positions of the prompt whose logits it has been given
};

enum class Supply {
    kJob,
    kNothingNow,  // perhaps later
    kClosed,      // there will be none
};

class JobQueue {
  public:
    // At most `bound` jobs wait here, not counting those that were put back. Replicas are numbers in [0, n_replicas);
    // at first, all count as busy. in_order: no job overtakes another.
    JobQueue(int bound, int n_replicas, bool in_order = false)
        : bound_(size_t(bound)),
          in_order_(in_order),
          in_flight_(size_t(n_replicas)),
          n_busy_(n_replicas),
          n_live_(n_replicas) {}

    // Waits for room, or until the job is cancelled. False: no replica is left to take the job, and it is gone.
    bool push(std::unique_ptr<Job> job);
    void close();  // no job will be pushed any more

    // The next job for a replica that has work already; waits no longer than `patience`. The longest job comes first,
    // so that a batch does not end with one long answer alone; but at most `bound` others may overtake a job. A replica
    // that has its share of all jobs, waiting and running, gets none: few requests are spread over all replicas.
    Supply take(int replica, QueuedJob& job, std::chrono::milliseconds patience = std::chrono::milliseconds(0));
    // For a replica that has no job: waits for one. It is kClosed only once no other replica is busy, because the jobs
    // of a replica that fails come back here.
    Supply take_idle(int replica, QueuedJob& job);
    // Says how many of the jobs that the replica took are not done.
    void set_in_flight(int replica, int n);
    // Puts the jobs of a replica that has failed to the front. It takes no more jobs.
    void put_back(int replica, std::vector<QueuedJob> jobs);
    // Ends the jobs that are cancelled while they wait.
    void end_cancelled();
    // No replica is left: cancels all jobs that wait; push() returns false from here on.
    void abandon();

  private:
    bool has_one_for(int replica) const;
    void pop(int replica, QueuedJob& job);

    const size_t bound_;
    const bool in_order_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    std::deque<QueuedJob> jobs_;
    int n_blocked_ = 0;           // calls that wait for room
    size_t n_passed_ = 0;         // how many jobs have overtaken the first
    std::vector<int> in_flight_;  // jobs of each replica
    int n_busy_;                  // replicas with jobs that may come back
    int n_live_;                  // replicas that have not failed
    bool closed_ = false, abandoned_ = false;
};
