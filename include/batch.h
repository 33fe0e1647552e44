// batch.h: a file of requests as a job: which requests have no answer yet, and where answers go. A job whose output is
// a file outlives its process: if that was killed, the same command goes on where it was.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "options.h"
#include "requests.h"

constexpr int kSyncWithinMs = 1000;  // a written answer is durable after this time, if the disk keeps up

// What stays the same, however often a job is started again.
struct JobRecord {
    int64_t created = 0;  // Unix time of its first start
    uint64_t seed = 0;
    std::string model;  // its name in answers
};

class BatchJob {
  public:
    virtual ~BatchJob() = default;

    virtual const JobRecord& record() const = 0;
    virtual int64_t n_answered() const = 0;  // by earlier runs
    virtual int64_t n_failed() const = 0;    // of these
    virtual bool is_answered(int64_t index) const = 0;
    // Whether the same command goes on after this process.
    virtual bool can_go_on() const = 0;
    // Whether every request has an answer.
    virtual bool is_complete() const = 0;
    // One line for a job that has been stopped: how far it is, and how to continue it.
    virtual std::string progress() const = 0;
    // Requests without an answer at the start; -1: not known.
    virtual int64_t n_left() const = 0;

    // The next request without an answer; none at the end. One thread at a time; may wait. Throws Error if no answer
    // can be written any more.
    virtual std::optional<Request> next() = 0;
    // From any thread: next() ends soon.
    virtual void interrupt() = 0;
    // Adds the answer to a request that next() gave: a line without its end. From any thread; remembers a failure.
    virtual void add(const Request& request, bool is_error, std::string line) = 0;
    virtual bool failed() const = 0;
    virtual void check() const = 0;
    // Makes all that was added durable. From any thread, at any time.
    virtual void sync() = 0;

    // Call after a run that was not broken off: puts the output in its place. `in_order` gets the lines of a text job
    // whose output is a file of its own. Throws Error. Returns one line on what is missing; "" if nothing is.
    virtual std::string finish(const std::function<void(std::string_view line)>& in_order) = 0;
};

// `run merge OUT`: puts together what several processes have written.
int merge_command(int argc, char** argv);
// Its work. Throws Error.
struct MergedJob {
    std::string missing;  // one line on what has no answer yet, and nothing was changed; "": nothing
    int64_t n_failed = 0;
};
MergedJob merge_batch_job(const std::string& output);

// Throws Error if the output may not be written: it is another job's, or nobody knows whose, or another process is
// writing it. `options.seed` is the run's, if the job has none yet.
std::unique_ptr<BatchJob> open_batch_job(const Options& options, const Model& model, const TextCodec& codec,
                                         RequestReader& reader);
