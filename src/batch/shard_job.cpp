// shard_job.cpp: the way of a block from a claim to a file that is done.
//
// Each process writes its own part of a block, so that two processes which both think that they own the block never
// write to one file. A part is renamed to the block's file once it is whole and durable.
#include "batch/shard_job.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/line_reader.h"
#include "base/staged_output.h"
#include "batch/job_identity.h"
#include "batch/open_job.h"
#include "error.h"
#include "log.h"

namespace fs = std::filesystem;

namespace {

// A job has about so many blocks, so that a process that comes late finds work, and one that dies leaves little undone.
constexpr int64_t kBlocks = 256, kLeastBlock = 8, kMostBlock = 4096;
constexpr std::chrono::milliseconds kPause(200);  // between looks at what others have done

int64_t block_size(const InputScan& scan, int64_t n_requests) {
    const int64_t wanted = std::clamp(n_requests / kBlocks, kLeastBlock, kMostBlock);
    return (wanted + scan.stride - 1) / scan.stride * scan.stride;  // so that blocks begin where reading can begin
}

}  // namespace

ShardJob::ShardJob(const Options& options, const Model& model, const TextCodec& codec, RequestReader& reader,
                   SharedJob job)
    : reader_(reader), intake_(reader), is_text_(reader.is_text()), input_(options.input), job_(std::move(job)) {
    join(options, model, codec);
    record_ = {job_.identity["created"], job_.identity["seed"], job_.identity["model"]};
    done_.resize(size_t(job_.n_blocks()));
    find_done();
    reader_.leave_out([this](int64_t index) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto held = held_.find(reading_);
        return held == held_.end() || held->second.answered.has(index);  // it may be complete by now
    });
    syncer_ = std::make_unique<Syncer>([this] { sync(); });
}

ShardJob::~ShardJob() {
    syncer_.reset();
    for (auto& [index, block] : held_) block.part->sync();
    held_.clear();
    claims_.reset();
    // What the process that put the output together could not remove, because others still had files there.
    std::error_code ignored;
    if (is_gone()) fs::remove_all(job_.folder(), ignored);
}

// Finds the job in the folder, or puts it there if no other process does.
void ShardJob::join(const Options& options, const Model& model, const TextCodec& codec) {
    SharedJob::Json mine = job_identity(options, model, codec, reader_);
    const auto is_mine = [&](const SharedJob::Json& there, const std::string& path) {
        check_same_job(path, there, mine, options, reader_);
        if (there.value("requests", int64_t(0)) != reader_.total())
            fail(
                "{}: expected the {} requests that {} is about, found {}: an input that has grown is for one process "
                "(--shard none), once the job is complete",
                input_, there.value("requests", int64_t(0)), path, reader_.total());
    };
    const auto take_finished = [&] {
        SharedJob::Json finished = job_.finished();
        if (finished.empty()) return false;
        is_mine(finished, job_.output + ".job");
        job_.identity = std::move(finished);
        job_.identity["block_size"] = std::max<int64_t>(reader_.total(), 1);
        return true;
    };
    if (take_finished()) return;
    std::error_code error;
    fs::create_directories(job_.folder(), error);
    if (error) fail("{}: cannot make this directory: {}", job_.folder(), error.message());
    try {
        claims_ = std::make_unique<Claims>(job_.folder(), double(options.stale_after_s));
    } catch (const Error&) {
        if (take_finished()) return;  // and the folder is gone
        throw;
    }
    mine["block_size"] = block_size(*reader_.scan(), reader_.total());
    while (!job_.read()) {
        if (claims_->take("job")) {
            if (job_.read()) break;  // another process was faster
            const std::string path = job_.folder() + "/job." + claims_->owner();
            OutputFile file("--output", path, {}, OutputFile::Use::kAppend);
            file.append(mine.dump() + "\n");
            file.finish();
            if (rename(path.c_str(), (job_.folder() + "/job").c_str()) != 0)
                fail("{}: cannot rename to job: {}", path, std::strerror(errno));
        } else if (take_finished()) {  // the job was finished meanwhile
            claims_.reset();
            return;
        } else {
            std::this_thread::sleep_for(kPause);
        }
    }
    claims_->release("job");
    if (take_finished()) {  // meanwhile
        claims_.reset();
        fs::remove_all(job_.folder());
        return;
    }
    is_mine(job_.identity, job_.folder() + "/job");
    log_line("{}: a part of a job that several processes share, in {} blocks of {} requests", job_.folder(),
             job_.n_blocks(), job_.block_size());
}

// Counts what is done already.
void ShardJob::find_done() {
    if (!claims_) {
        n_answered_ = reader_.total();
        n_failed_ = job_.n_failed();
        done_.assign(done_.size(), true);
        return;
    }
    for (int64_t block = 0; block < job_.n_blocks(); block++) {
        done_[size_t(block)] = job_.is_done(block);
        if (done_[size_t(block)]) n_answered_ += job_.end_of(block) - job_.begin_of(block);
    }
}

bool ShardJob::is_complete() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::find(done_.begin(), done_.end(), false) == done_.end();
}

std::string ShardJob::progress() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return fmt::format(
        "{} requests were answered by this process, and {} of {} blocks in {} are done; the same command "
        "goes on with the others",
        n_added_, std::count(done_.begin(), done_.end(), true), done_.size(), job_.folder());
}

// Another process has put the output together and removed the folder.
bool ShardJob::is_gone() const {
    return !is_file(job_.folder() + "/job") && !job_.finished().empty();
}

std::optional<Request> ShardJob::next() {
    for (;;) {
        check();
        if (is_reading_) {
            if (std::optional<Request> request = intake_.next()) return request;
            is_reading_ = false;
            is_broken_off_ = !intake_.missing(input_, reader_.total()).empty();
        }
        if (is_broken_off_) return {};
        try {
            if (take_a_block()) continue;
        } catch (const std::exception& e) {  // a full disk, say
            const std::lock_guard<std::mutex> lock(mutex_);
            note_trouble(e.what());
        }
        std::unique_lock<std::mutex> lock(mutex_);
        if (std::find(done_.begin(), done_.end(), false) == done_.end()) return {};
        if (changed_.wait_for(lock, kPause, [&] { return interrupted_ || is_in_trouble_; })) {
            lock.unlock();
            check();
            return {};
        }
    }
}

void ShardJob::interrupt() {
    reader_.interrupt();
    const std::lock_guard<std::mutex> lock(mutex_);
    interrupted_ = true;
    changed_.notify_all();
}

// Looks for a block that nobody has. False: there is none now.
bool ShardJob::take_a_block() {
    for (int64_t block = 0; block < job_.n_blocks(); block++) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (interrupted_) return false;
            if (done_[size_t(block)] || held_.count(block)) continue;
        }
        bool is_done = job_.is_done(block);
        const bool taken = !is_done && claims_->take(job_.name_of(block));
        if (taken) {
            is_done = job_.is_done(block);  // it may have been done before the claim
            // Once the output has been put together, no block's file is there any more, done or not.
            if (!is_done && try_to_open(block)) return true;
            claims_->release(job_.name_of(block));
            if (!is_done) break;
        }
        if (!is_done) continue;
        const std::lock_guard<std::mutex> lock(mutex_);
        done_[size_t(block)] = true;
    }
    if (is_gone()) {
        const std::lock_guard<std::mutex> lock(mutex_);
        done_.assign(done_.size(), true);
    }
    return false;
}

// False if all is done: the folder may go while this process opens the block, or sleeps before it does.
bool ShardJob::try_to_open(int64_t index) {
    if (is_gone()) return false;
    try {
        open_block(index);
        return true;
    } catch (const std::exception&) {
        if (!is_gone()) throw;
        return false;
    }
}

void ShardJob::open_block(int64_t index) {
    const int64_t begin = job_.begin_of(index), end = job_.end_of(index);
    const std::string start = job_.name_of(index) + ".part.";
    Block block{index, nullptr, job_.folder() + "/" + start + claims_->owner(), Answered(end - begin, begin), {}};
    block.part = std::make_shared<OutputFile>("--output", block.path, KeptFiles(), OutputFile::Use::kAppend);
    block.part->begin();
    for (const auto& entry : fs::directory_iterator(job_.folder())) {
        const std::string name = entry.path().filename();
        if (name.compare(0, start.size(), start) == 0 && entry.path() != block.path)
            add_older_part(block, entry.path());
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    Block& held = held_.emplace(index, std::move(block)).first->second;
    if (held.answered.is_complete()) return complete(held);
    reading_ = index;
    is_reading_ = true;
    reader_.read_only(begin, end);
}

// Adds the answers of a process that had the block before. They need not be computed again.
void ShardJob::add_older_part(Block& block, const std::string& path) {
    block.older.push_back(path);
    if (!is_file(path)) return;
    const int64_t size = size_of(path);
    LineReader lines(path);
    for (std::string_view line; lines.next(line);) {
        const bool whole = lines.offset() + int64_t(line.size()) < size && !lines.too_long();
        const auto mark = whole ? job_.read_mark()(line) : std::nullopt;
        if (!mark || !block.answered.covers(mark->index) || block.answered.has(mark->index)) continue;
        if (mark->hash != reader_.scan()->hashes[size_t(mark->index)]) continue;
        block.part->append(std::string(line) + "\n");
        block.answered.add(mark->index, mark->is_error, 0);
    }
}

void ShardJob::add(const Request& request, bool is_error, std::string line) {
    if (is_text_) line = text_record(request, is_error, line);
    line += '\n';
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto held = held_.find(request.index / job_.block_size());
    if (held == held_.end() || is_in_trouble_) return;
    Block& block = held->second;
    // A block that was lost and taken again: what was in flight meanwhile is answered twice.
    if (block.answered.has(request.index)) return;
    block.part->append(line);
    if (!block.part->failed()) {
        block.answered.add(request.index, is_error, 0);
        n_added_++;
        if (block.answered.is_complete()) return complete(block);
        return syncer_->wrote();
    }
    note_failure_of(block);
}

// Call under the mutex: makes the part the block's file, and removes `block`.
void ShardJob::complete(Block& block) {
    const std::string name = job_.name_of(block.index);
    if (job_.is_done(block.index)) {  // by another, while this process slept; a third may be merging its file
        unlink(block.path.c_str());
        done_[size_t(block.index)] = true;
        return give_up(block.index);
    }
    try {
        block.part->finish();
        if (rename(block.path.c_str(), job_.done_path(block.index).c_str()) != 0 && !is_gone())
            fail("{}: cannot rename to {}.done: {}", block.path, name, std::strerror(errno));
        sync_directory_of(block.path);
        for (const std::string& older : block.older) unlink(older.c_str());
    } catch (const Error& e) {
        return has_lost(block) ? give_up(block.index) : note_trouble(e.what());
    }
    done_[size_t(block.index)] = true;
    give_up(block.index);
}

// Under the mutex: the block is done, or another's.
void ShardJob::give_up(int64_t index) {
    claims_->release(job_.name_of(index));
    held_.erase(index);
}

void ShardJob::note_trouble(const std::string& what) {
    if (is_in_trouble_) return;
    trouble_ = what;
    is_in_trouble_ = true;
    changed_.notify_all();
}

// Whether others have taken the block, with the part that this process wrote: it has slept for too long.
bool ShardJob::has_lost(const Block& block) const {
    return claims_->has_lost(job_.name_of(block.index)) || job_.is_done(block.index) || is_gone();
}

// Under the mutex: the block's part cannot be written. May remove `block`.
void ShardJob::note_failure_of(const Block& block) {
    if (has_lost(block)) return give_up(block.index);
    try {
        block.part->check();
    } catch (const Error& e) {
        note_trouble(e.what());
    }
}

void ShardJob::check() const {
    if (is_in_trouble_) fail("{}", trouble_);
}

void ShardJob::sync() {
    std::vector<std::pair<int64_t, std::shared_ptr<OutputFile>>> parts;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto& [index, block] : held_) parts.emplace_back(index, block.part);
    }
    for (const auto& [index, part] : parts) {
        part->sync();
        if (!part->failed()) continue;
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto held = held_.find(index);
        if (held != held_.end() && held->second.part == part) note_failure_of(held->second);
    }
}

std::string ShardJob::finish(const std::function<void(std::string_view line)>& /*in_order*/) {
    if (!claims_) return "";
    if (const std::string missing = intake_.missing(input_, reader_.total()); !missing.empty()) return missing;
    if (!claims_->take("merge") || is_gone()) return "";  // another process does it, or has done it
    const std::string missing = merge_parts(job_);
    n_failed_ = job_.n_failed();  // of all processes
    return missing;
}
