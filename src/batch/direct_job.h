// direct_job.h: a job that reads or writes a pipe or a device, and so cannot go on after its process.
#pragma once
#include <atomic>
#include <mutex>

#include "base/output_file.h"
#include "batch.h"
#include "batch/ordered_lines.h"

class DirectJob : public BatchJob {
  public:
    DirectJob(const Options& options, const Model& model, RequestReader& reader, std::unique_ptr<OutputFile> out);

    const JobRecord& record() const override { return record_; }
    int64_t n_answered() const override { return 0; }
    int64_t n_failed() const override { return 0; }
    bool is_answered(int64_t /*index*/) const override { return false; }
    bool can_go_on() const override { return false; }
    bool is_complete() const override { return n_written_ == reader_.total(); }
    std::string progress() const override;
    std::string why_not() const;  // it can go on
    int64_t n_left() const override { return reader_.total(); }

    std::optional<Request> next() override;
    void interrupt() override { reader_.interrupt(); }
    void add(const Request& request, bool is_error, std::string line) override;
    bool failed() const override { return is_in_trouble_ || out_->failed(); }
    void check() const override;
    void sync() override { out_->sync(); }
    std::string finish(const std::function<void(std::string_view line)>& in_order) override;

  private:
    void write(std::string_view line);

    const std::string input_;
    RequestReader& reader_;
    RequestIntake intake_;
    const JobRecord record_;
    const std::unique_ptr<OutputFile> out_;
    std::mutex mutex_;  // guards what follows
    OrderedLines lines_{[this](std::string_view line) { write(line); }};
    std::atomic<int64_t> n_written_{0};
    std::string trouble_;  // with lines that wait; set before the next
    std::atomic<bool> is_in_trouble_{false};
};
