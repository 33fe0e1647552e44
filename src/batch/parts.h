// parts.h: the folder OUT.parts, in which several processes share a job: its identity, and blocks of requests, each
// done by one of them and then in a file of its own.
#pragma once
#include <functional>
#include <string>

#include "batch/answered.h"
#include "batch/claims.h"
#include "batch/job_file.h"

// A job as several processes know it.
struct SharedJob {
    using Json = JobFile::Json;
    std::string output;  // OUT
    Json identity = Json::object();

    std::string folder() const { return output + ".parts"; }
    int64_t n_requests() const { return identity.value("requests", int64_t(0)); }
    int64_t n_failed() const { return identity.value("failed", int64_t(0)); }  // known once it is finished
    int64_t block_size() const { return identity.value("block_size", int64_t(1)); }
    int64_t n_blocks() const { return (n_requests() + block_size() - 1) / block_size(); }
    int64_t begin_of(int64_t block) const { return block * block_size(); }
    int64_t end_of(int64_t block) const { return std::min(begin_of(block) + block_size(), n_requests()); }
    MarkReader read_mark() const;
    std::string name_of(int64_t block) const;  // of its claim, and the beginning of its files' names
    std::string done_path(int64_t block) const { return folder() + "/" + name_of(block) + ".done"; }
    bool is_done(int64_t block) const;

    // What OUT.parts says; false if there is no such job.
    bool read();
    // The identity of the job that made `output`, which is complete; an empty object if there is none.
    Json finished() const;
};

// Makes the one output out of the parts of a job that is done, and removes them. Returns one line on what is missing,
// with nothing changed; "" if nothing is. Throws Error.
std::string merge_parts(SharedJob& job);
