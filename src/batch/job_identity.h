// job_identity.h: what makes two runs the same job: requests, model, program, and the flags that answers depend on.
#pragma once
#include <string>

#include "batch/job_file.h"
#include "options.h"
#include "requests.h"

// As it is recorded; `reader` reads a file.
JobFile::Json job_identity(const Options& options, const Model& model, const TextCodec& codec,
                           const RequestReader& reader);

// Throws Error, which says what differs, unless `here` is the job that `there` is, or that one with more requests at
// the end. `path`: the file that `there` comes from.
void check_same_job(const std::string& path, const JobFile::Json& there, const JobFile::Json& here,
                    const Options& options, const RequestReader& reader);
