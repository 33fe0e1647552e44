// answer.cpp: the answer to stdout; reasoning, speed and profile to stderr.
#include "app/answer.h"

#include <fmt/core.h>

#include <algorithm>

#include "error.h"
#include "log.h"

namespace {

class AnswerJob : public Job {
  public:
    AnswerJob(AnswerSink& sink, const std::atomic<bool>* stop, AnswerStats& stats, std::string& error)
        : sink_(sink), stop_(stop), stats_(stats), error_(error) {}
    bool on_token(int id) override {
        stats_.n_new++;
        sink_.token(id);
        return !sink_.failed();
    }
    std::shared_ptr<const std::vector<int>> allowed() const override { return sink_.allowed(); }
    bool cancelled() const override { return stop_ && *stop_; }
    void on_reused(int n) override { stats_.n_reused = n; }
    void on_done(Finish finish) override { stats_.finish = finish; }
    void on_error(const std::string& why) override { error_ = why; }

  private:
    AnswerSink& sink_;
    const std::atomic<bool>* stop_;
    AnswerStats& stats_;
    std::string& error_;
};

}  // namespace

RawAnswer::RawAnswer(AnswerText& out, const Tokenizer& tokenizer, std::vector<int> stop_ids)
    : out_(out), tokenizer_(tokenizer), stop_ids_(std::move(stop_ids)) {}

void RawAnswer::token(int id) {
    if (std::find(stop_ids_.begin(), stop_ids_.end(), id) == stop_ids_.end())
        out_.write(utf8_.feed(tokenizer_.bytes(id)));
}

void RawAnswer::finish() {
    out_.write(utf8_.finish() + "\n");
}

HarmonyAnswer::HarmonyAnswer(AnswerText& out, const Tokenizer& tokenizer, bool show_reasoning, bool strict)
    : out_(out), parser_(tokenizer), show_reasoning_(show_reasoning) {
    if (strict) headers_.emplace(tokenizer, HeaderRules{});
}

void HarmonyAnswer::token(int id) {
    if (headers_) headers_->feed(id);
    show(parser_.feed(id));
}

void HarmonyAnswer::finish() {
    show(parser_.finish());
    log_stream_end();
    if (says_anything_) out_.write("\n");
}

void HarmonyAnswer::show(const HarmonyParser::Delta& delta) {
    if (!delta.text.empty() && delta.audience == Audience::kReader) {
        log_stream_end();
        out_.write(new_message_ && says_anything_ ? "\n" + delta.text : delta.text);
        says_anything_ = true;
        new_message_ = false;
    } else if (show_reasoning_) {
        log_stream(delta.text);
    }
    if (delta.message_done && delta.audience == Audience::kReader) new_message_ = true;
    if (delta.message_done) log_stream_end();
}

AnswerStats run_answer(Engine& engine, std::vector<int> prompt, int max_new_tokens, const Sampling& sampling,
                       std::vector<int> stop_ids, AnswerSink& sink, const std::atomic<bool>* stop) {
    AnswerStats stats;
    stats.n_prompt = int(prompt.size());
    std::string error;
    auto job = std::make_unique<AnswerJob>(sink, stop, stats, error);
    job->prompt = std::move(prompt);
    job->max_new_tokens = max_new_tokens;
    job->sampling = sampling;
    job->stop_ids = std::move(stop_ids);

    const EngineStats before = engine.stats();
    engine.run([&] { return std::move(job); });
    sink.finish();
    if (!error.empty()) throw Error(error);
    EngineStats used = engine.stats();
    used -= before;
    stats.prefill_s = used.prefill_s;
    stats.decode_s = used.decode_s;
    if (used.decode_s > 0) stats.decode_gbps = double(used.decode_bytes) * 1e-9 / used.decode_s;
    return stats;
}

Sampling sampling_for(const Options& options, const CommonConfig& config) {
    const SamplingDefaults& authors = config.sampling;
    const bool draws = authors.do_sample.value_or(false);  // without do_sample, transformers ignores the others
    Sampling sampling{draws ? authors.temperature.value_or(1) : kFamilyTemperature,
                      draws ? authors.top_p.value_or(1) : kFamilyTopP, options.seed};
    const bool has_top_k = draws && authors.top_k.value_or(0) > 0 && !options.top_k;
    const bool follows = draws && (!options.temperature || (*options.temperature > 0 && (!options.top_p || has_top_k)));
    sampling.temperature = options.temperature.value_or(sampling.temperature);
    sampling.top_p = options.top_p.value_or(sampling.top_p);
    sampling.top_k = has_top_k ? *authors.top_k : options.top_k.value_or(0);
    sampling.repetition_penalty = options.repetition_penalty.value_or(1);
    if (follows)
        log_line(
            "sampling, as generation_config.json says where no flag does: temperature {}, top_p {}{}, seed {}; -T 0 "
            "does not sample",
            sampling.temperature, sampling.top_p, has_top_k ? fmt::format(", top_k {}", sampling.top_k) : "",
            sampling.seed);
    return sampling;
}

void print_speed(const AnswerStats& s) {
    const auto rate = [](double n, double seconds) { return seconds > 0 ? n / seconds : 0.0; };
    const int n_computed = s.n_prompt - s.n_reused;
    const std::string reused = s.n_reused > 0 ? fmt::format(" and {} reused", s.n_reused) : "";
    log_line("prefill: {} tokens{}, {:.2f} tok/s; decode: {} tokens, {:.2f} tok/s, {:.2f} GB/s", n_computed, reused,
             rate(n_computed, s.prefill_s), s.n_new, rate(std::max(0, s.n_new - 1), s.decode_s), s.decode_gbps);
    log_line("achieved tok/s: {:f}", rate(s.n_new, s.prefill_s + s.decode_s));
}
