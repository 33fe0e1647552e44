// file_job.h: a job of one process that reads a file and writes a file. The output is the journal: JSON lines in OUT
// itself; text, which has its lines in the input's order, in OUT.part until all are there.
#pragma once
#include <atomic>
#include <mutex>

#include "base/output_file.h"
#include "batch.h"
#include "batch/answered.h"
#include "batch/job_file.h"
#include "batch/syncer.h"

class FileJob : public BatchJob {
  public:
    // `path`: the output's, no link. Throws Error.
    FileJob(const Options& options, const Model& model, const TextCodec& codec, RequestReader& reader,
            const std::string& path, KeptFiles kept);

    const JobRecord& record() const override { return record_; }
    int64_t n_answered() const override { return answered_.n(); }
    int64_t n_failed() const override { return answered_.n_failed(); }
    bool is_answered(int64_t index) const override { return answered_.has(index); }
    bool can_go_on() const override { return true; }
    bool is_complete() const override { return answered_.n() + n_added_ == reader_.total(); }
    std::string progress() const override;
    int64_t n_left() const override { return reader_.total() - answered_.n(); }

    std::optional<Request> next() override;
    void interrupt() override { reader_.interrupt(); }
    void add(const Request& request, bool is_error, std::string line) override;
    bool failed() const override { return is_in_trouble_ || journal_->failed(); }
    void check() const override;
    void sync() override;
    std::string finish(const std::function<void(std::string_view line)>& in_order) override;

  private:
    void resume(const Options& options);
    void reopen_finished(const JobFile::Json& there, const Options& options);
    void begin();
    void note_finished();
    void assemble(const std::function<void(std::string_view line)>& in_order);

    RequestReader& reader_;
    RequestIntake intake_;
    const bool is_text_;
    const std::string path_, input_;
    const std::string journal_path_;
    const KeptFiles kept_;
    const bool overwrites_;
    JobFile file_;
    JobFile::Json identity_;
    JobRecord record_;
    bool is_new_ = true, is_finished_ = false;
    Answered answered_;  // by earlier runs
    std::mutex mutex_;   // guards what follows
    bool has_begun_ = false;
    Answered added_;        // text: all, with their places
    int64_t n_failed_ = 0;  // of those that this run has answered
    int64_t size_ = 0;      // of the journal
    std::atomic<int64_t> n_added_{0};
    std::string trouble_;  // with OUT.job; set before the next
    std::atomic<bool> is_in_trouble_{false};
    std::unique_ptr<OutputFile> journal_;  // itself not guarded: only append() is
    std::unique_ptr<Syncer> syncer_;       // uses the journal, so it goes first
};
