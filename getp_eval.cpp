// getp_eval.cpp: a file of requests in, a file of answers out: progress, verification and the report of a run.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <mutex>

#include "error.h"
#include "getp.h"
#include "line_writer.h"
#include "log.h"
#include "options.h"
#include "profile.h"
#include "report.h"

namespace {

using Clock = std::chrono::steady_clock;

// "done/total, tok/s, time left, in flight, KV in use", rewritten in place. Not thread-safe.
class ProgressLine {
  public:
    ProgressLine(int64_t total, const Engine& engine) : total_(total), engine_(engine) {}

    void update(int64_t n_done, int64_t n_tokens) {
        const Clock::time_point now = Clock::now();
        if (now - last_ < std::chrono::milliseconds(500)) return;
        last_ = now;
        const double seconds = std::chrono::duration<double>(now - start_).count();
        std::string text = total_ < 0 ? fmt::format("{}", n_done) : fmt::format("{}/{}", n_done, total_);
        text += fmt::format(" requests, {:.1f} tok/s", double(n_tokens) / seconds);
        if (n_done > 0 && total_ > 0) {
            const auto left = int64_t(seconds / double(n_done) * double(total_ - n_done));
            text += fmt::format(", {}:{:02}:{:02} left", left / 3600, left / 60 % 60, left % 60);
        }
        const EngineLoad load = engine_.load();
        text += fmt::format(", {} in flight, {}% of KV cache", load.in_flight,
                            100 * load.pages_in_use / std::max<int64_t>(load.n_pages, 1));
        log_status("{}", text);
    }

  private:
    const int64_t total_;  // -1: not known
    const Engine& engine_;
    const Clock::time_point start_ = Clock::now();
    Clock::time_point last_ = start_;
};

// Writes answers as they come, in order of the requests in the text format, and counts.
class Results : public ResultSink {
  public:
    Results(const Options& options, const Model& model, const Engine& engine, RequestReader& reader, LineWriter& out,
            Verifier* verifier)
        : input_(options.input),
          model_name_(model.path),
          is_text_(reader.is_text()),
          created_(std::time(nullptr)),
          reader_(reader),
          out_(out),
          verifier_(verifier),
          progress_(reader.total(), engine) {}

    void on_token() override {
        const std::lock_guard<std::mutex> lock(mutex_);
        progress_.update(report_.n_ok + report_.n_failed, ++n_tokens_);
    }

    void on_answer(const Request& request, Answer answer) override {
        // The long work first, before the lock.
        std::string line = is_text_ ? token_line(answer.ids) : answer_line(request, answer, model_name_, created_);
        const uint64_t hash = answer_hash(request.index, answer.ids);

        const std::lock_guard<std::mutex> lock(mutex_);
        if (answer.error.empty()) {
            report_.n_ok++;
            report_.n_prompt += answer.n_prompt;
            report_.n_generated += int64_t(answer.ids.size());
            if (!answer.ids.empty()) report_.first_token_s.push_back(float(answer.first_token_s));
            report_.request_s.push_back(float(answer.request_s));
            report_.hash += hash;
        } else {
            report_.n_failed++;
            log_repeated("failed requests", "{}:{}: {}", input_, request.line, answer.error);
        }
        is_text_ ? lines_.add(request.index, std::move(line)) : write(std::move(line));
        if (verifier_) ids_.add(request.index, std::move(answer.ids));
    }

    // If the disk is full, say, computing more would be useless.
    bool cancelled() const override { return out_.failed(); }

    // After the run; its times are the caller's to add.
    const Report& report() const { return report_; }
    bool any_failed() const { return report_.n_failed > 0; }
    int64_t n_written() const { return n_written_; }

  private:
    void write(std::string line) {
        out_.write(std::move(line));
        if (out_.failed()) reader_.interrupt();  // it may wait for a pipe
        n_written_++;
    }

    void verify(const std::vector<int>& ids) {
        const int64_t index = verifier_->n_compared();
        const std::string difference = verifier_->compare(ids);
        if (!difference.empty()) log_repeated("differing requests", "verify: request {}: {}", index, difference);
    }

    const std::string input_, model_name_;
    const bool is_text_;
    const int64_t created_;
    RequestReader& reader_;
    std::mutex mutex_;  // guards what follows
    LineWriter& out_;
    Verifier* const verifier_;  // may be null
    InOrder<std::string> lines_{[this](std::string line) { write(std::move(line)); }};
    InOrder<std::vector<int>> ids_{[this](const std::vector<int>& ids) { verify(ids); }};
    ProgressLine progress_;
    Report report_;
    int64_t n_tokens_ = 0, n_written_ = 0;
};

// The summary of --verify on stderr; false if anything differs, or lines are left over after `all` requests.
bool print_verification(const Options& options, const Verifier& verifier) {
    const int64_t n = verifier.n_compared();
    log_line("verify: {} of {} requests equal", verifier.n_equal(), n);
    const bool lines_left = options.max_requests < 0 && verifier.n_lines() > n;
    if (lines_left) log_line("verify: {} has {} lines more", options.verify, verifier.n_lines() - n);
    return verifier.n_equal() == n && !lines_left;
}

// The report of a run that is over, on stderr and in --report's file.
void report(Report report, const GetpRun& run, const Model& model, LineWriter* file, bool profile) {
    report.load_s = run.load_s;
    report.warm_up_s = run.warm_up_s;
    report.inference_s = run.inference_s;
    report.devices = finish(run);
    log_clear_status();
    log_counts();
    print_report(report);
    EngineStats total;
    for (const DeviceStats& device : report.devices) total += device.stats;
    if (profile) print_profile(total);
    if (!file) return;
    file->write(report_json(report, model));
    file->finish();
}

}  // namespace

int getp(const Options& options, const Model& model) {
    if (options.input.empty()) fail("--input: expected a file of requests, found none");
    if (options.output.empty()) fail("--output: expected a file for the answers, found none");
    // First, so that their errors come before the engine is made.
    LineWriter out("--output", options.output, options, model);
    std::optional<LineWriter> report_file;
    if (!options.report.empty()) report_file.emplace("--report", options.report, options, model);

    const TextCodec codec(model, options.tokenizer);
    RequestReader reader(options, model.config, codec, Purpose::kAnswer);
    std::optional<Verifier> verifier;
    if (!options.verify.empty()) verifier.emplace(options.verify);

    EngineOptions engine = engine_options(options, /*max_sequences=*/0);
    engine.max_request_positions = reader.max_request_positions();
    // Makes room for no more requests than there are.
    if (reader.total() >= 0) engine.max_sequences = int(std::clamp<int64_t>(reader.total(), 1, engine.max_sequences));
    GetpRun run = warm_up(model, engine);
    log_line("{}", run.engine->describe());

    Results results(options, model, *run.engine, reader, out, verifier ? &*verifier : nullptr);
    RequestIntake requests(reader);
    const auto next = [&] {
        out.check();
        return requests.next();
    };
    try {
        inference(
            run, next, [&] { reader.interrupt(); }, codec, results);
    } catch (const EngineFailure& e) {
        Report broken_off = results.report();
        broken_off.error = e.what();
        report(std::move(broken_off), run, model, report_file ? &*report_file : nullptr, options.profile);
        log_line("answers written before the last device failed: {}", results.n_written());
        throw;
    }
    out.check();

    report(results.report(), run, model, report_file ? &*report_file : nullptr, options.profile);
    const bool verified = !verifier || print_verification(options, *verifier);
    out.finish();
    const std::string missing = requests.missing(options.input, results.n_written());
    if (!missing.empty()) log_line("run: {}", missing);
    return results.any_failed() || !verified || !missing.empty() ? kExitRequestFailed : kExitOk;
}
