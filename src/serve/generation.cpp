// generation.cpp: each answer's events go through the mailbox, one after the other; the engine's thread waits for
// nothing. Sinks and the exchange are let go in the loop's thread, whoever holds the last reference.
#include "serve/generation.h"

#include <fmt/core.h>

#include <algorithm>

namespace {

double seconds(Exchange::Clock::duration d) {
    return std::chrono::duration<double>(d).count();
}

}  // namespace

// Stands where a sink would stand, in the engine's threads, and has the loop's thread tell the sink.
class Relay : public AnswerEvents {
  public:
    Relay(std::shared_ptr<Generation> generation, int index)
        : generation_(std::move(generation)), mailbox_(generation_->service_.mailbox), index_(index) {}

    bool cancelled(bool) const override { return generation_->cancelled(); }
    void on_start() override {
        if (!times_.start) times_.start = Generation::Clock::now();
    }
    void on_begin(int n_reused) override {
        tell([n_reused](AnswerEvents& sink) { sink.on_begin(n_reused); });
    }
    void on_token(int) override {
        const auto now = Generation::Clock::now();
        if (times_.n_tokens++ == 0)
            times_.first_token = now;
        else
            times_.gaps.add(seconds(now - times_.last_token));
        times_.last_token = now;
    }
    void on_logprobs(const TokenChoice& token, bool is_reasoning) override {
        tell([token, is_reasoning](AnswerEvents& sink) { sink.on_logprobs(token, is_reasoning); });
    }
    void on_reasoning(std::string_view text) override {
        tell([text = std::string(text)](AnswerEvents& sink) { sink.on_reasoning(text); });
    }
    void on_reasoning_break() override {
        tell([](AnswerEvents& sink) { sink.on_reasoning_break(); });
    }
    void on_content(std::string_view text, bool is_preamble) override {
        tell([text = std::string(text), is_preamble](AnswerEvents& sink) { sink.on_content(text, is_preamble); });
    }
    void on_content_break(bool is_preamble) override {
        tell([is_preamble](AnswerEvents& sink) { sink.on_content_break(is_preamble); });
    }
    void on_call_begin(int index, const std::string& name) override {
        tell([index, name](AnswerEvents& sink) { sink.on_call_begin(index, name); });
    }
    void on_call_arguments(int index, std::string_view text) override {
        tell([index, text = std::string(text)](AnswerEvents& sink) { sink.on_call_arguments(index, text); });
    }
    void on_call_end(int index) override {
        tell([index](AnswerEvents& sink) { sink.on_call_end(index); });
    }
    void on_done(Answer answer) override { end(std::move(answer)); }
    void on_cancelled() override { end({}); }

  private:
    template <class Tell>
    void tell(Tell tell) {
        mailbox_.post(
            [generation = generation_, index = index_, tell = std::move(tell)] {
                if (AnswerEvents* const sink = generation->sink(index)) tell(*sink);
            },
            /*soon=*/false);  // all that a step has brought goes together
    }
    // An end outside a step, as that of a job that was cancelled while it waited, is followed by no step.
    void end(std::optional<Answer> answer) {
        const bool soon = !answer || !answer->error.empty() || times_.n_tokens == 0;
        mailbox_.post([generation = generation_, index = index_, times = times_,
                       answer = std::make_shared<std::optional<Answer>>(
                           std::move(answer))] { generation->end(index, std::move(*answer), times); },
                      soon);
    }

    const std::shared_ptr<Generation> generation_;
    Mailbox& mailbox_;
    const int index_;
    Generation::Times times_;
};

Generation::Generation(Service& service, std::shared_ptr<Exchange> exchange)
    : service_(service), exchange_(std::move(exchange)) {
    service_.running_.insert(this);
}

void Generation::start(std::vector<Request> requests, Service::Sinks sinks, const TextCodec& codec) {
    sinks_ = std::move(sinks);
    n_left_ = int(requests.size());
    exchange_->on_gone = [self = weak_from_this()] {
        if (const auto generation = self.lock()) generation->cancel();
    };
    for (size_t i = 0; i < requests.size(); i++) {
        auto relay = std::make_unique<Relay>(shared_from_this(), int(i));
        if (!service_.jobs.submit(make_job(std::move(requests[i]), codec, std::move(relay)))) end(int(i), {}, {});
    }
}

void Generation::cancel() {
    cancelled_ = true;
    for (auto& sink : sinks_) sink.reset();
    service_.jobs.end_cancelled();
}

void Generation::fail(const std::string& why) {
    cancelled_ = true;
    for (auto& sink : sinks_) {
        const std::unique_ptr<AnswerEvents> failed = std::move(sink);
        Answer answer;
        answer.error = why;
        if (failed) failed->on_done(std::move(answer));
    }
    service_.jobs.end_cancelled();
}

void Generation::end(int index, std::optional<Answer> answer, const Times& times) {
    const std::unique_ptr<AnswerEvents> sink = std::move(sinks_[size_t(index)]);
    if (answer) count(*answer, times);
    if (!answer && sink) {
        answer.emplace();
        answer->error = "the engine has failed";
    }
    exchange_->note = note();
    if (sink) sink->on_done(std::move(*answer));
    if (--n_left_ > 0) return;
    exchange_->on_gone = {};
    exchange_.reset();
    service_.running_.erase(this);
    service_.release();
}

void Generation::count(const Answer& answer, const Times& times) {
    Metrics& metrics = service_.metrics;
    if (!answer.error.empty()) {
        finish_ = "error";
        metrics.finished[finish_]++;
        return;
    }
    const auto now = Clock::now();
    finish_ = answer.finish == Finish::kLength ? "length" : "stop";
    metrics.finished[finish_]++;
    n_prompt_ += answer.n_prompt;
    n_reused_ += answer.n_reused;
    n_new_ += int64_t(answer.ids.size());
    metrics.prompt_tokens.add(answer.n_prompt);
    metrics.generated_tokens.add(double(answer.ids.size()));
    metrics.latency.add(seconds(now - exchange_->began));
    metrics.gaps += times.gaps;
    if (times.start) metrics.queue_time.add(seconds(*times.start - exchange_->began));
    if (!times.first_token) return;
    first_token_s_ = seconds(*times.first_token - exchange_->began);
    metrics.first_token.add(first_token_s_);
    const double decode_s = seconds(times.last_token - *times.first_token);
    if (times.n_tokens > 1) metrics.token_time.add(decode_s / (times.n_tokens - 1));
    decode_s_ = std::max(decode_s_, decode_s);
    n_decoded_ += times.n_tokens - 1;
}

std::string Generation::note() const {
    const double rate = decode_s_ > 0 ? double(n_decoded_) / decode_s_ : 0;
    return fmt::format("prompt {} ({} reused), new {}, first token {:.0f} ms, {:.1f} tok/s, {}", n_prompt_, n_reused_,
                       n_new_, first_token_s_ * 1e3, rate, finish_);
}
