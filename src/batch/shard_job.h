// shard_job.h: one of several processes that share a job through a folder: it takes blocks of requests, one after the
// other, until all are done.
#pragma once
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>

#include "base/output_file.h"
#include "batch.h"
#include "batch/claims.h"
#include "batch/parts.h"
#include "batch/syncer.h"

class ShardJob : public BatchJob {
  public:
    // Throws Error. `job.output` is the output's path.
    ShardJob(const Options& options, const Model& model, const TextCodec& codec, RequestReader& reader, SharedJob job);
    ~ShardJob() override;

    const JobRecord& record() const override { return record_; }
    int64_t n_answered() const override { return n_answered_; }
    int64_t n_failed() const override { return n_failed_; }
    bool is_answered(int64_t /*index*/) const override { return false; }
    bool can_go_on() const override { return true; }
    bool is_complete() const override;
    std::string progress() const override;
    int64_t n_left() const override { return reader_.total() - n_answered_; }

    std::optional<Request> next() override;
    void interrupt() override;
    void add(const Request& request, bool is_error, std::string line) override;
    bool failed() const override { return is_in_trouble_; }
    void check() const override;
    void sync() override;
    std::string finish(const std::function<void(std::string_view line)>& in_order) override;

  private:
    // A block that this process has taken.
    struct Block {
        int64_t index;
        std::shared_ptr<OutputFile> part;
        std::string path;
        Answered answered;
        std::vector<std::string> older;  // parts of processes that had it before
    };

    void join(const Options& options, const Model& model, const TextCodec& codec);
    void find_done();
    bool take_a_block();
    bool try_to_open(int64_t index);
    void open_block(int64_t index);
    void add_older_part(Block& block, const std::string& path);
    void complete(Block& block);
    bool has_lost(const Block& block) const;
    void note_trouble(const std::string& what);
    void note_failure_of(const Block& block);
    void give_up(int64_t index);
    bool is_gone() const;

    RequestReader& reader_;
    RequestIntake intake_;
    const bool is_text_;
    const std::string input_;
    SharedJob job_;
    std::unique_ptr<Claims> claims_;  // null: the job was complete when this process came
    JobRecord record_;
    int64_t n_answered_ = 0, n_failed_ = 0;  // before this process came
    bool is_reading_ = false, is_broken_off_ = false;

    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    std::map<int64_t, Block> held_;
    std::vector<bool> done_;  // blocks known to be
    int64_t reading_ = 0;     // the block that next() reads
    int64_t n_added_ = 0;
    bool interrupted_ = false;
    std::string trouble_;  // set before the next
    std::atomic<bool> is_in_trouble_{false};
    std::unique_ptr<Syncer> syncer_;
};
