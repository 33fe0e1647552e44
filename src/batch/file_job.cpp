// file_job.cpp: what an earlier run has left, what this one adds, and how the two become the output.
//
// The process may be killed after any write below. So OUT.job does not name a job while the output still holds another
// job's answers, and OUT.part stays until OUT is in its place.
#include "batch/file_job.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/line_reader.h"
#include "base/staged_output.h"
#include "batch/job_identity.h"
#include "batch/open_job.h"
#include "error.h"

FileJob::FileJob(const Options& options, const Model& model, const TextCodec& codec, RequestReader& reader,
                 const std::string& path, KeptFiles kept)
    : reader_(reader),
      intake_(reader),
      is_text_(reader.is_text()),
      path_(path),
      input_(options.input),
      journal_path_(is_text_ ? path + ".part" : path),
      kept_(std::move(kept)),
      overwrites_(options.overwrite),
      file_(path + ".job"),
      identity_(job_identity(options, model, codec, reader)),
      answered_(reader.total()),
      added_(is_text_ ? reader.total() : 0) {
    const bool has_answers = has_bytes(path_) || has_bytes(journal_path_);
    if (!options.overwrite && file_.content().empty() && has_answers)
        fail(
            "{}: expected a new file, or answers to this job; found a file without {}.job, which would say so; "
            "--overwrite replaces it",
            path_, path_);
    if (!options.overwrite && !file_.content().empty() && has_answers) resume(options);
    const auto use = is_new_ ? OutputFile::Use::kAppend : OutputFile::Use::kContinue;
    journal_ = std::make_unique<OutputFile>("--output", journal_path_, kept_, use);
    size_ = is_new_ ? 0 : size_of(journal_path_);
    if (is_text_) added_ = answered_;
    record_ = {identity_["created"], identity_["seed"], identity_["model"]};
    reader_.leave_out([this](int64_t index) { return answered_.has(index); });
    syncer_ = std::make_unique<Syncer>([this] { journal_->sync(); });
}

void FileJob::resume(const Options& options) {
    const JobFile::Json there = file_.content();
    check_same_job(path_ + ".job", there, identity_, options, reader_);
    is_new_ = false;
    for (const char* field : {"created", "seed", "model"}) identity_[field] = there.at(field);
    is_finished_ = is_text_ && there.value("finished", false) && is_file(path_);
    if (is_finished_) return reopen_finished(there, options);
    answered_ = load_journal(journal_path_, is_text_ ? mark_of_text_record : mark_of_answer_line, options.retry_failed,
                             reader_, input_);
}

// Reads a complete text output, and makes it a journal again if there is more to do.
void FileJob::reopen_finished(const JobFile::Json& there, const Options& options) {
    const int64_t n = there.value("requests", int64_t(0));
    LineReader lines(path_);
    Answered found(reader_.total());
    for (std::string_view line; lines.next(line) && found.n() < n;) found.add(found.n(), line.empty(), lines.offset());
    if (found.n() < n)
        fail("{}: expected {} lines, as when it was complete, found {}; --overwrite starts anew", path_, n, found.n());
    answered_ = found;
    if (n == reader_.total() && !(options.retry_failed && found.n_failed() > 0)) return;
    {
        OutputFile journal("--output", journal_path_, kept_, OutputFile::Use::kAppend);
        lines.seek(0, 1);
        std::string_view line;
        for (Request request; request.index < n && lines.next(line); request.index++) {
            request.hash = reader_.scan()->hashes[size_t(request.index)];
            if (!line.empty() || !options.retry_failed)
                journal.append(text_record(request, line.empty(), std::string(line)) + "\n");
        }
        journal.finish();
    }
    file_.add({{"finished", false}});
    is_finished_ = false;
    answered_ = load_journal(journal_path_, mark_of_text_record, false, reader_, input_);
}

void FileJob::check() const {
    if (is_in_trouble_) fail("{}", trouble_);
    journal_->check();
}

std::optional<Request> FileJob::next() {
    check();
    return intake_.next();
}

// Called under the mutex. Drops the old content before the first answer of this run.
void FileJob::begin() {
    if (std::exchange(has_begun_, true)) return;
    if (is_new_) {
        file_.clear();
        journal_->begin();
        if (is_text_ && has_bytes(path_ + ".tmp")) unlink((path_ + ".tmp").c_str());
        journal_->sync();
        sync_directory_of(path_);
        file_.add(identity_);
    } else if (n_left() > 0) {
        const JobFile::Json& there = file_.content();
        JobFile::Json more = JobFile::Json::object();
        if (there.value("finished", false)) more["finished"] = false;
        if (there.at("requests_hash") != identity_["requests_hash"])
            for (const char* field : {"requests", "bytes", "requests_hash", "line_marks"})
                more[field] = identity_[field];
        if (!more.empty()) file_.add(more);
    }
}

void FileJob::add(const Request& request, bool is_error, std::string line) {
    if (is_text_) line = text_record(request, is_error, line);
    line += '\n';
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
        begin();
    } catch (const Error& e) {
        trouble_ = e.what();
        is_in_trouble_ = true;
        return reader_.interrupt();
    }
    journal_->append(line);
    if (journal_->failed()) return reader_.interrupt();  // it may wait for the file
    if (is_text_) added_.add(request.index, is_error, size_);
    n_failed_ += is_error;
    size_ += int64_t(line.size());
    n_added_++;
    syncer_->wrote();
}

std::string FileJob::progress() const {
    return fmt::format("{} of {} requests are answered in {}; the same command {}{}", answered_.n() + n_added_,
                       reader_.total(), journal_path_, overwrites_ ? "without --overwrite " : "",
                       is_complete() ? "completes the output" : "goes on with the others");
}

void FileJob::sync() {
    journal_->sync();
}

std::string FileJob::finish(const std::function<void(std::string_view line)>& in_order) {
    std::string missing;
    if (!is_finished_) {
        const std::lock_guard<std::mutex> lock(mutex_);
        begin();
        missing = intake_.missing(input_, n_added_);
        if (!is_text_ || !missing.empty()) {
            journal_->finish();
            if (missing.empty() && !file_.content().value("finished", false)) note_finished();
        } else {
            journal_->sync();
            journal_->check();
            assemble(in_order);
        }
        return missing;
    }
    unlink(journal_path_.c_str());  // of a process that was killed before it could
    LineReader lines(path_);
    std::string_view line;
    for (int64_t i = 0; in_order && i < reader_.total() && lines.next(line); i++) in_order(line);
    return "";
}

// The text output, from the journal: a new file that takes the place of an old one in one step.
void FileJob::assemble(const std::function<void(std::string_view line)>& in_order) {
    const std::string new_path = path_ + ".tmp";
    {
        OutputFile out("--output", new_path, kept_, OutputFile::Use::kAppend);
        std::string block;
        const auto write_block = [&] {
            out.append(block);
            out.check();
            block.clear();
        };
        read_in_order(journal_path_, mark_of_text_record, added_, [&](const AnswerMark& mark, std::string_view) {
            if (in_order) in_order(mark.ids);
            block.append(mark.ids).append("\n");
            if (block.size() >= kBlockBytes) write_block();
        });
        write_block();
        out.finish();
    }
    if (rename(new_path.c_str(), path_.c_str()) != 0)
        fail("{}: cannot rename {} to it: {}", path_, new_path, std::strerror(errno));
    sync_directory_of(path_);
    note_finished();
    unlink(journal_path_.c_str());
}

void FileJob::note_finished() {
    file_.add({{"finished", true}, {"failed", answered_.n_failed() + n_failed_}});
}
