// score.cpp: how likely given text is: the log-probability of every token after those before it, perplexity, raw
// logits.
#include <algorithm>
#include <cmath>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/output_file.h"
#include "error.h"
#include "line_writer.h"
#include "log.h"
#include "options.h"
#include "profile.h"

namespace {

using Json = nlohmann::ordered_json;

// --logits: float32 in the machine's byte order, (tokens of all requests, V), requests in the order of the file. Rows
// come in any order from several threads; each is written at its place. A request that the engine refuses leaves zeros.
class LogitsFile {
  public:
    LogitsFile(const std::string& path, const KeptFiles& kept, int vocab_size)
        : row_bytes_(int64_t(vocab_size) * int64_t(sizeof(float))) {
        if (!path.empty()) file_.emplace("--logits", path, kept, OutputFile::Use::kPlaced);
    }

    void write_row(int64_t row, const float* logits) {
        if (file_) file_->write_at(row * row_bytes_, logits, row_bytes_);
    }
    bool failed() const { return file_ && file_->failed(); }
    void check() const {
        if (file_) file_->check();
    }
    // Makes the file `n_rows` long even if the engine refused the last of them.
    void finish(int64_t n_rows) {
        if (!file_) return;
        file_->set_size(n_rows * row_bytes_);
        file_->finish();
    }

  private:
    const int64_t row_bytes_;
    std::optional<OutputFile> file_;  // absent: not wanted
};

// log softmax(logits)[id], in double.
double log_probability(const float* logits, int vocab_size, int id) {
    const double top = *std::max_element(logits, logits + vocab_size);
    double sum = 0;
    for (int i = 0; i < vocab_size; i++) sum += std::exp(double(logits[i]) - top);
    return double(logits[id]) - top - std::log(sum);
}

// exp of the mean negative log-probability; null where there is nothing to take the mean of.
Json perplexity(double log_probability_sum, int64_t n) {
    return n > 0 ? Json(std::exp(-log_probability_sum / double(n))) : Json();
}

// Writes lines in order of the requests, and adds up the sums over all.
class Scores {
  public:
    Scores(const std::string& input, RequestReader& reader, LineWriter& out)
        : input_(input), reader_(reader), out_(out) {}

    void add(int64_t index, const std::vector<int>& tokens, const std::vector<double>& logprobs) {
        Json list = Json::array({nullptr});  // nothing stands before the first token
        double sum = 0;
        for (const double logprob : logprobs) {
            list.push_back(logprob);
            sum += logprob;
        }
        const auto n = int64_t(logprobs.size());
        const Json line{{"index", index}, {"tokens", tokens}, {"logprobs", list}, {"perplexity", perplexity(sum, n)}};
        std::string text = line.dump();

        const std::lock_guard<std::mutex> lock(mutex_);
        n_scored_++;
        n_logprobs_ += n;
        sum_ += sum;
        lines_.add(index, std::move(text));
    }

    void add_error(int64_t index, int64_t line_number, const std::string& why) {
        const Json line{{"index", index}, {"error", why}};
        const std::lock_guard<std::mutex> lock(mutex_);
        n_failed_++;
        log_repeated("failed requests", "{}:{}: {}", input_, line_number, why);
        lines_.add(index, line.dump(-1, ' ', false, Json::error_handler_t::replace));
    }

    void print_report() const {
        log_counts();
        log_line("requests: {} scored, {} failed", n_scored_, n_failed_);
        const std::string mean =
            n_logprobs_ > 0 ? fmt::format("{:.6f}", std::exp(-sum_ / double(n_logprobs_))) : "null";
        log_line("perplexity of all {} scored tokens: {}", n_logprobs_, mean);
    }
    bool any_failed() const { return n_failed_ > 0; }
    int64_t n_written() const { return n_written_; }
    bool failed() const { return out_.failed(); }  // nothing more can be written
    void stop_reading() { reader_.interrupt(); }   // reading may wait for a pipe

  private:
    const std::string input_;
    RequestReader& reader_;
    std::mutex mutex_;  // guards what follows
    LineWriter& out_;
    InOrder<std::string> lines_{[this](std::string line) {
        out_.write(std::move(line));
        if (out_.failed()) stop_reading();
        n_written_++;
    }};
    int64_t n_scored_ = 0, n_failed_ = 0, n_logprobs_ = 0, n_written_ = 0;
    double sum_ = 0;
};

class ScoreJob : public Job {
  public:
    ScoreJob(Request request, int vocab_size, int64_t first_row, LogitsFile& logits_file, Scores& scores)
        : index_(request.index),
          line_(request.line),
          vocab_size_(vocab_size),
          first_row_(first_row),
          logits_file_(logits_file),
          scores_(scores) {
        prompt = std::move(request.prompt);
        want_logits = true;
    }
    void on_logits(int pos, const float* logits) override {
        logits_file_.write_row(first_row_ + pos, logits);
        if (size_t(pos) + 1 < prompt.size())
            logprobs_.push_back(log_probability(logits, vocab_size_, prompt[size_t(pos) + 1]));
    }
    // To compute more would be useless if the disk is full, say.
    bool cancelled() const override { return scores_.failed() || logits_file_.failed(); }
    void on_done(Finish finish) override {
        if (finish == Finish::kCancelled) return scores_.stop_reading();
        scores_.add(index_, prompt, logprobs_);
    }
    void on_error(const std::string& why) override { scores_.add_error(index_, line_, why); }

  private:
    const int64_t index_, line_;
    const int vocab_size_;
    const int64_t first_row_;  // of the logits file
    LogitsFile& logits_file_;
    Scores& scores_;
    std::vector<double> logprobs_;  // of tokens 1, 2, ...
};

}  // namespace

int score(const Options& options, const Model& model) {
    if (options.input.empty()) fail("--input: expected a file of requests, found none");
    LineWriter out("--output", options.output, options, model);
    KeptFiles kept = kept_files(options, model);
    kept.add_open(out.fd(), "--output's");
    LogitsFile logits_file(options.logits, kept, model.common().vocab_size);

    const TextCodec codec(model, options.tokenizer);
    RequestReader reader(options, model.common(), codec, Purpose::kScore);
    EngineOptions engine_settings = engine_options(options, /*max_sequences=*/0);
    engine_settings.max_request_positions = reader.max_request_positions();
    Engine engine(model, engine_settings);
    log_line("{}", engine.describe());

    Scores scores(options.input, reader, out);
    int64_t n_rows = 0;
    RequestIntake requests(reader);
    const auto next_job = [&]() -> std::unique_ptr<Job> {
        out.check();
        logits_file.check();
        while (std::optional<Request> request = requests.next()) {
            if (!request->error.empty()) {
                scores.add_error(request->index, request->line, request->error);
                continue;
            }
            const int64_t first_row = n_rows;
            n_rows += int64_t(request->prompt.size());
            return std::make_unique<ScoreJob>(std::move(*request), model.common().vocab_size, first_row, logits_file,
                                              scores);
        }
        return nullptr;
    };
    engine.run(next_job, [&] { reader.interrupt(); });
    out.check();
    logits_file.check();
    scores.print_report();
    if (options.profile) print_profile(engine.stats());
    out.finish();
    logits_file.finish(n_rows);
    const std::string missing = requests.missing(options.input, scores.n_written());
    if (!missing.empty()) log_line("run: {}", missing);
    return scores.any_failed() || !missing.empty() ? kExitRequestFailed : kExitOk;
}
