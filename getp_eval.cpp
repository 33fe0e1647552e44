// getp_eval.cpp: a file of requests in, a file of answers out: progress, signals, verification and the report of a run.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>

#include "batch.h"
#include "error.h"
#include "getp.h"
#include "line_writer.h"
#include "log.h"
#include "options.h"
#include "profile.h"
#include "report.h"
#include "stop_signals.h"

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
        log_status("{}", text(n_done, n_tokens));
    }

    std::string text(int64_t n_done, int64_t n_tokens) const {
        const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
        std::string text = total_ < 0 ? fmt::format("{}", n_done) : fmt::format("{}/{}", n_done, total_);
        text += fmt::format(" requests, {:.1f} tok/s", double(n_tokens) / seconds);
        if (n_done > 0 && total_ > 0) {
            const auto left = int64_t(seconds / double(n_done) * double(total_ - n_done));
            text += fmt::format(", {}:{:02}:{:02} left", left / 3600, left / 60 % 60, left % 60);
        }
        const EngineLoad load = engine_.load();
        text += fmt::format(", {} in flight, {}% of KV cache", load.in_flight,
                            100 * load.pages_in_use / std::max<int64_t>(load.n_pages, 1));
        return text;
    }

  private:
    const int64_t total_;  // -1: not known
    const Engine& engine_;
    const Clock::time_point start_ = Clock::now();
    Clock::time_point last_ = start_;
};

void note_difference(const Verifier& verifier, const std::string& difference) {
    if (difference.empty()) return;
    const int64_t index = verifier.n_compared() + verifier.n_skipped() - 1;
    log_repeated("differing requests", "verify: request {}: {}", index, difference);
}

// Turns answers into lines, and counts them.
class Results : public ResultSink {
  public:
    Results(const Options& options, const Engine& engine, const RequestReader& reader, BatchJob& job,
            Verifier* verifier)
        : input_(options.input),
          is_text_(reader.is_text()),
          job_(job),
          verifier_(is_text_ && job.can_go_on() ? nullptr : verifier),  // null: finish() compares
          progress_(job.n_left(), engine) {
        for (int64_t i = 0; verifier_ && job.n_answered() > 0 && i < reader.total(); i++)
            if (job.is_answered(i)) ids_.add(i, std::nullopt);
    }

    // From here on, obeys these signals.
    void obey(const StopSignals& stop) { stop_ = &stop; }

    void on_token() override {
        const std::lock_guard<std::mutex> lock(mutex_);
        progress_.update(report_.n_ok + report_.n_failed, ++n_tokens_);
    }

    void on_answers(const Request& request, std::vector<Answer> answers) override {
        // Does the long work before it takes the lock.
        const std::string& error = answers[0].error;
        std::vector<int> ids;  // of all answers
        for (const Answer& answer : answers) ids.insert(ids.end(), answer.ids.begin(), answer.ids.end());
        std::string line =
            is_text_ ? token_line(ids) : answer_line(request, answers, job_.record().model, job_.record().created);
        const uint64_t hash = answer_hash(request.index, ids);
        job_.add(request, !error.empty(), std::move(line));

        const std::lock_guard<std::mutex> lock(mutex_);
        if (error.empty()) {
            report_.n_ok++;
            report_.hash += hash;
            for (const Answer& answer : answers) count(answer);
        } else {
            report_.n_failed++;
            log_repeated("failed requests", "{}:{}: {}", input_, request.line, error);
        }
        if (verifier_) ids_.add(request.index, std::move(ids));
    }

    // To compute more would be useless if the disk is full, say.
    bool cancelled(bool has_begun) const override {
        if (stop_ && stop_->stopping() && (!has_begun || stop_->grace_is_over())) return true;
        return job_.failed();
    }

    std::string status() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return progress_.text(report_.n_ok + report_.n_failed, n_tokens_);
    }

    // Valid after the run. The caller adds the times.
    const Report& report() const { return report_; }

  private:
    void count(const Answer& answer) {
        if (!answer.shares_prompt) report_.n_prompt += answer.n_prompt;
        report_.n_generated += int64_t(answer.ids.size());
        if (!answer.ids.empty()) report_.first_token_s.push_back(float(answer.first_token_s));
        report_.request_s.push_back(float(answer.request_s));
    }

    void verify(const std::optional<std::vector<int>>& ids) {
        if (!ids) return verifier_->skip();
        note_difference(*verifier_, verifier_->compare(*ids));
    }

    const std::string input_;
    const bool is_text_;
    BatchJob& job_;
    const StopSignals* stop_ = nullptr;
    std::mutex mutex_;          // guards what follows
    Verifier* const verifier_;  // may be null
    InOrder<std::optional<std::vector<int>>> ids_{[this](const auto& ids) { verify(ids); }};
    ProgressLine progress_;
    Report report_;
    int64_t n_tokens_ = 0;
};

// The summary of --verify on stderr; false if anything differs, or lines are left over after `all` requests.
bool print_verification(const Options& options, const Verifier& verifier) {
    const int64_t n = verifier.n_compared();
    log_line("verify: {} of {} requests equal", verifier.n_equal(), n);
    if (verifier.n_skipped() > 0)
        log_line("verify: {} were answered by an earlier run and not compared", verifier.n_skipped());
    const int64_t n_more = verifier.n_lines() - n - verifier.n_skipped();
    const bool lines_left = options.max_requests < 0 && n_more > 0;
    if (lines_left) log_line("verify: {} has {} more lines", options.verify, n_more);
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

// Whether two paths are one file, or would be. Devices and pipes may have several uses.
bool is_same_file(const std::string& a, const std::string& b) {
    namespace fs = std::filesystem;
    std::error_code error;
    if (a.empty() || a == "-" || (fs::exists(b, error) && !fs::is_regular_file(b, error))) return false;
    return fs::weakly_canonical(a, error) == fs::weakly_canonical(b, error);
}

// What signals act on during a run, from its first look at the input to its last write.
class Watch {
  public:
    explicit Watch(double grace_s)
        : signals_(grace_s, {[this] { stop(); }, [this] { say_status(); }, [this] { end_at_once(); }}) {}

    StopSignals& signals() { return signals_; }
    void show(BatchJob& job) {
        const std::lock_guard<std::mutex> lock(mutex_);
        job_ = &job;
    }
    void show(Results* results) {
        const std::lock_guard<std::mutex> lock(mutex_);
        results_ = results;
    }

  private:
    void stop() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (job_) job_->interrupt();
    }
    void say_status() {
        const std::lock_guard<std::mutex> lock(mutex_);
        log_line("{}", results_ ? results_->status() : "no request runs at this moment");
    }
    [[noreturn]] void end_at_once() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (job_) job_->sync();
        log_line("run: stopped at once by a signal: {}",
                 job_ ? job_->progress() : "nothing was done; the same command starts the job");
        _exit(kExitPartial);
    }

    std::mutex mutex_;  // guards what follows
    BatchJob* job_ = nullptr;
    Results* results_ = nullptr;
    StopSignals signals_;  // its thread uses all of this
};

// What getp() has made before the engine runs.
struct GetpJob {
    const Options& options;
    const Model& model;
    const TextCodec& codec;
    const RequestReader& reader;
    BatchJob& job;
    LineWriter* report_file;
    Verifier* verifier;
    Watch& watch;
};

// Runs the requests that are left. Returns why it broke off; "" if it did not.
std::string run_requests(const GetpJob& g, GetpRun& run, Results& results) {
    StopSignals& signals = g.watch.signals();
    results.obey(signals);
    g.watch.show(&results);
    const std::unique_ptr<Results, std::function<void(Results*)>> hides(&results, [&](Results*) {
        signals.work_ends();
        g.watch.show(static_cast<Results*>(nullptr));
    });
    signals.work_begins();
    const auto next = [&]() -> std::optional<Request> {
        if (signals.stopping()) return {};
        std::optional<Request> request = g.job.next();
        return signals.stopping() ? std::nullopt : std::move(request);
    };
    try {
        inference(
            run, next, [&] { g.job.interrupt(); }, g.codec, results);
        g.job.check();
    } catch (const EngineFailure& e) {
        return e.what();
    } catch (const Error& e) {
        if (!g.job.failed() || !g.job.can_go_on()) throw;
        return e.what();
    }
    return signals.stopping() && !g.job.is_complete() ? "stopped by a signal" : "";
}

// The engine's part: returns the exit code.
int answer_requests(const GetpJob& g) {
    EngineOptions engine = engine_options(g.options, /*max_sequences=*/0);
    engine.max_request_positions = g.reader.max_request_positions();
    // Makes room for no more requests than there are.
    if (g.job.n_left() >= 0) engine.max_sequences = int(std::clamp<int64_t>(g.job.n_left(), 1, engine.max_sequences));
    GetpRun run = warm_up(g.model, engine);
    log_line("{}", run.engine->describe());

    Results results(g.options, *run.engine, g.reader, g.job, g.verifier);
    const std::string broken_off = run_requests(g, run, results);
    if (!broken_off.empty()) g.job.sync();
    Report done = results.report();
    done.error = broken_off;
    report(std::move(done), run, g.model, g.report_file, g.options.profile);
    if (!broken_off.empty()) {
        log_line("run: {}: {}", broken_off, g.job.progress());
        return kExitPartial;
    }
    return results.report().n_failed > 0 ? kExitRequestFailed : kExitOk;
}

// After the last answer: puts the output in its place, and compares it if asked to. Returns the exit code.
int finish_job(const Options& options, BatchJob& job, Verifier* verifier, int code) {
    const auto compare = [&](std::string_view line) { note_difference(*verifier, verifier->compare_line(line)); };
    std::string missing;
    try {
        missing = job.finish(verifier ? std::function<void(std::string_view)>(compare) : nullptr);
    } catch (const Error& e) {
        if (!job.can_go_on()) throw;
        log_line("run: {}: {}", e.what(), job.progress());
        return kExitPartial;
    }
    const bool verified = !verifier || print_verification(options, *verifier);
    if (!missing.empty()) log_line("run: {}", missing);
    return job.n_failed() > 0 || !verified || !missing.empty() ? std::max(code, int(kExitRequestFailed)) : code;
}

}  // namespace

int getp(const Options& given, const Model& model) {
    if (given.input.empty()) fail("--input: expected a file of requests, found none");
    if (given.output.empty()) fail("--output: expected a file for the answers, found none");
    if (is_same_file(given.report, given.output))
        fail("--report: expected a file other than --output's, found {}", given.report);
    Options options = given;
    const TextCodec codec(model, options.tokenizer);
    std::optional<RequestReader> reader;
    std::unique_ptr<BatchJob> job;
    Watch watch(double(options.grace_s.value_or(10)));  // destroyed before reader and job, which it uses
    reader.emplace(options, model.common(), codec, Purpose::kAnswer);
    job = open_batch_job(options, model, codec, *reader);
    watch.show(*job);
    options.seed = job->record().seed;
    // Opened here so that their errors come before the engine is made.
    std::optional<LineWriter> report_file;
    if (!options.report.empty()) report_file.emplace("--report", options.report, options, model);
    std::optional<Verifier> verifier;
    if (!options.verify.empty()) verifier.emplace(options.verify);

    if (job->n_answered() > 0)
        log_line("{}: {} requests are answered, {} of them failed; {} are left", options.output, job->n_answered(),
                 job->n_failed(), job->n_left());
    int code = kExitOk;
    if (job->n_left() != 0 || job->n_answered() == 0)
        code = answer_requests({options, model, codec, *reader, *job, report_file ? &*report_file : nullptr,
                                verifier ? &*verifier : nullptr, watch});
    return code == kExitPartial ? code : finish_job(options, *job, verifier ? &*verifier : nullptr, code);
}
