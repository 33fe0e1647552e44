// open_job.cpp: looks at input and output, and chooses the kind of job.
#include "batch/open_job.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "batch/direct_job.h"
#include "batch/file_job.h"
#include "batch/shard_job.h"
#include "error.h"
#include "line_writer.h"
#include "log.h"

namespace fs = std::filesystem;

namespace {

// The path to which links lead, so that OUT.job and the others are put beside the file itself.
std::string without_links(std::string path) {
    constexpr int kMaxLinks = 40;
    std::error_code error;
    for (int i = 0; i < kMaxLinks && fs::is_symlink(path, error); i++)
        path = (fs::path(path).parent_path() / fs::read_symlink(path, error)).string();
    return path;
}

// For a job without OUT.job: throws Error unless its output is new or may be overwritten.
void prepare_file(const Options& options, const std::string& path) {
    const JobFile lock(path + ".job");  // another process may be at work for it
    if (!options.overwrite && (has_bytes(path) || has_bytes(path + ".part")))
        fail(
            "{}: expected a new file, as the input is a pipe and there is nothing to go on with; --overwrite replaces "
            "what is there",
            path);
    for (const char* end : {".job", ".part"})
        if (options.overwrite) unlink((path + end).c_str());
}

// Whether this process is one of several that share the job: because a flag or whatever started the process says so, or
// because others have begun to share it. Throws Error for a bad flag.
bool is_shared(const Options& options, const SharedJob& job) {
    const bool has_begun = !job.output.empty() && is_file(job.folder() + "/job");
    if (options.shard == "none") {
        if (has_begun)
            fail("--shard none: expected a job of one process, found {} of several; without that folder it starts anew",
                 job.folder());
        return false;
    }
    if (!options.shard.empty()) {
        int i = -1, n = 0;
        char rest = 0;
        if (std::sscanf(options.shard.c_str(), "%d/%d%c", &i, &n, &rest) != 2 || i < 0 || i >= n)
            fail("--shard: expected I/N, such as 0/4, with I from 0 to N - 1, or none; found \"{}\"", options.shard);
        return true;
    }
    const auto number = [](const char* name) {
        const char* const text = std::getenv(name);
        return text ? std::atoi(text) : 0;
    };
    return has_begun || (std::getenv("SLURM_PROCID") && number("SLURM_NTASKS") > 1) ||
           number("SLURM_ARRAY_TASK_COUNT") > 1 || std::getenv("JOB_COMPLETION_INDEX");
}

// Throws Error where several processes cannot work together.
void check_shared(const Options& options, const std::string& path, const RequestReader& reader, const KeptFiles& kept) {
    constexpr const char* kAlone = "is for a process that works alone (--shard none)";
    std::error_code error;
    if (path.empty() || (fs::exists(path, error) && !fs::is_regular_file(path, error)))
        fail("--output: expected a file, as several processes share the job, found {}; another output {}",
             options.output, kAlone);
    if (!reader.scan())
        fail("--input: expected a file, as several processes share the job, found a pipe, which {}", kAlone);
    for (const auto& [flag, given] :
         {std::pair("--overwrite", options.overwrite), std::pair("--retry-failed", options.retry_failed),
          std::pair("--verify", !options.verify.empty())})
        if (given) fail("{}: {}", flag, kAlone);
    for (const char* end : {"", ".job", ".part", ".tmp"}) kept.check("--output", path + end);
    const SharedJob job{path};
    const bool has_answers = has_bytes(path) || has_bytes(path + ".part");
    if (has_answers && !is_file(job.folder() + "/job") && job.finished().empty())
        fail(
            "{}: expected a new file, or a job that several processes share; found answers of another kind: --shard "
            "none goes on with them, if they are of this job",
            path);
}

}  // namespace

int64_t size_of(const std::string& path) {
    struct stat file {};
    return stat(path.c_str(), &file) == 0 ? int64_t(file.st_size) : 0;
}

MergedJob merge_batch_job(const std::string& output) {
    SharedJob job{without_links(output)};
    if (!job.read()) {
        job.identity = job.finished();
        if (job.identity.empty()) fail("{}: expected a folder of what several processes have written", job.folder());
        log_line("{}: complete; nothing to do", output);
        return {"", job.n_failed()};
    }
    Claims claims(job.folder(), Options().stale_after_s);
    if (!claims.take("merge")) fail("{}: another process is putting it together", job.folder());
    const std::string missing = merge_parts(job);
    return {missing, job.n_failed()};
}

std::unique_ptr<BatchJob> open_batch_job(const Options& options, const Model& model, const TextCodec& codec,
                                         RequestReader& reader) {
    KeptFiles kept = kept_files(options, model);
    const std::string path = names_descriptor(options.output) ? "" : without_links(options.output);
    if (is_shared(options, SharedJob{path})) {
        check_shared(options, path, reader, kept);
        return std::make_unique<ShardJob>(options, model, codec, reader, SharedJob{path});
    }
    auto out = std::make_unique<OutputFile>("--output", options.output, kept, OutputFile::Use::kAppend);
    if (out->is_file_of_its_own()) {
        if (reader.scan()) {
            out.reset();
            for (const char* end : {".job", ".part", ".tmp"}) kept.check("--output", path + end);
            return std::make_unique<FileJob>(options, model, codec, reader, path, std::move(kept));
        }
        prepare_file(options, path);
    }
    auto job = std::make_unique<DirectJob>(options, model, reader, std::move(out));
    log_line("{}", job->why_not());
    return job;
}
