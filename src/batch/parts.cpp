// parts.cpp: the names in OUT.parts, and how its files become one.
#include "batch/parts.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/line_reader.h"
#include "base/output_file.h"
#include "base/staged_output.h"
#include "batch/open_job.h"
#include "error.h"
#include "log.h"

namespace fs = std::filesystem;

MarkReader SharedJob::read_mark() const {
    return identity.value("format", "") == "text" ? mark_of_text_record : mark_of_answer_line;
}

std::string SharedJob::name_of(int64_t block) const {
    return fmt::format("block-{:06}", block);
}

bool SharedJob::is_done(int64_t block) const {
    return is_file(done_path(block));
}

bool SharedJob::read() {
    const std::string path = folder() + "/job";
    if (!is_file(path)) return false;
    identity = Json::parse(read_file(path), nullptr, false);
    if (!identity.is_object() || !identity.contains("requests") || !identity.contains("block_size"))
        fail("{}: expected a job's description, found something else", path);
    return true;
}

JobFile::Json SharedJob::finished() const {
    const std::string path = output + ".job";
    if (!is_file(path) || !is_file(output)) return Json::object();
    const std::optional<JobFile::Said> said = JobFile::read(path);
    return said && said->content.value("finished", false) ? said->content : Json::object();
}

namespace {

// Looks up the answers in the file of a block that is done.
Answered look_at_block(const SharedJob& job, int64_t block, int64_t& n_twice) {
    Answered answered(job.end_of(block) - job.begin_of(block), job.begin_of(block));
    LineReader lines(job.done_path(block));
    for (std::string_view line; lines.next(line);) {
        const auto mark = job.read_mark()(line);
        if (!mark || !answered.covers(mark->index)) continue;
        if (answered.has(mark->index))
            n_twice++;
        else
            answered.add(mark->index, mark->is_error, lines.offset());
    }
    return answered;
}

// What blocks lack, and how many answers failed or appear twice.
struct Survey {
    std::vector<Answered> blocks;
    int64_t n_twice = 0, n_missing = 0, n_failed = 0;
};

Survey survey(const SharedJob& job) {
    Survey all;
    for (int64_t block = 0; block < job.n_blocks(); block++) {
        const int64_t begin = job.begin_of(block), end = job.end_of(block);
        all.blocks.push_back(job.is_done(block) ? look_at_block(job, block, all.n_twice)
                                                : Answered(end - begin, begin));
        const int64_t n_missing = end - begin - all.blocks.back().n();
        all.n_missing += n_missing;
        all.n_failed += all.blocks.back().n_failed();
        if (n_missing > 0)
            log_repeated("blocks with gaps", "{}: {} of requests {} to {} have no answer", job.name_of(block),
                         n_missing, begin, end - 1);
    }
    log_counts();
    if (all.n_twice > 0) log_line("{} answers appear twice; the first of each is taken", all.n_twice);
    return all;
}

void write_output(const SharedJob& job, const Survey& all) {
    const std::string new_path = job.output + ".tmp";
    const bool is_text = job.read_mark() == mark_of_text_record;
    OutputFile out("--output", new_path, {}, OutputFile::Use::kAppend);
    std::string text;
    for (int64_t block = 0; block < job.n_blocks(); block++)
        read_in_order(job.done_path(block), job.read_mark(), all.blocks[size_t(block)],
                      [&](const AnswerMark& mark, std::string_view line) {
                          text.append(is_text ? mark.ids : line).append("\n");
                          if (text.size() < kBlockBytes) return;
                          out.append(text);
                          out.check();
                          text.clear();
                      });
    out.append(text);
    out.finish();
    if (rename(new_path.c_str(), job.output.c_str()) != 0)
        fail("{}: cannot rename {} to it: {}", job.output, new_path, std::strerror(errno));
    sync_directory_of(job.output);
}

}  // namespace

std::string merge_parts(SharedJob& job) {
    const Survey all = survey(job);
    if (all.n_missing > 0)
        return fmt::format("{}: {} of {} requests have no answer yet; the command that began the job goes on with them",
                           job.folder(), all.n_missing, job.n_requests());
    write_output(job, all);
    job.identity.update({{"finished", true}, {"failed", all.n_failed}});
    {
        JobFile file(job.output + ".job");
        file.clear();
        file.add(job.identity);
    }
    // Removes first what says that there is a job: from here on, other processes find OUT and OUT.job.
    unlink((job.folder() + "/job").c_str());
    std::error_code ignored;
    fs::remove_all(job.folder(), ignored);
    log_line("{}: {} answers of {} blocks put together, {} of them failed", job.output, job.n_requests(),
             job.n_blocks(), all.n_failed);
    return "";
}
