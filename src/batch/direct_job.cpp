// direct_job.cpp: writes each line at once; in the text format, as soon as all lines before it are written.
#include "batch/direct_job.h"

#include <ctime>

#include "error.h"

DirectJob::DirectJob(const Options& options, const Model& model, RequestReader& reader, std::unique_ptr<OutputFile> out)
    : input_(options.input),
      reader_(reader),
      intake_(reader),
      record_{int64_t(std::time(nullptr)), options.seed, model.path},
      out_(std::move(out)) {}

std::string DirectJob::why_not() const {
    return fmt::format(
        "{}, so that this job cannot go on after it has been stopped: the same command begins with the first request",
        reader_.scan() ? "the output is no file of its own" : "the input is a pipe");
}

std::string DirectJob::progress() const {
    return fmt::format("{} requests are answered in {}; {}", n_written_.load(), out_->name(), why_not());
}

std::optional<Request> DirectJob::next() {
    check();
    return intake_.next();
}

void DirectJob::check() const {
    if (is_in_trouble_) fail("{}", trouble_);
    out_->check();
}

void DirectJob::write(std::string_view line) {
    out_->append(std::string(line) + "\n");
    n_written_++;
}

void DirectJob::add(const Request& request, bool /*is_error*/, std::string line) {
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
        reader_.is_text() ? lines_.add(request.index, line) : write(line);
    } catch (const Error& e) {
        trouble_ = e.what();
        is_in_trouble_ = true;
    }
    if (failed()) reader_.interrupt();  // it may wait for a pipe
}

std::string DirectJob::finish(const std::function<void(std::string_view line)>& /*in_order*/) {
    check();
    out_->finish();
    return intake_.missing(input_, n_written_);
}
