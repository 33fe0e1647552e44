// generation.h: the answers to one HTTP request, while the engine makes them: events from its threads to the loop's.
#pragma once
#include <atomic>
#include <optional>

#include "serve/service.h"

// Lives until every answer has ended and every job has gone. All but cancelled() belongs to the loop's thread.
class Generation : public std::enable_shared_from_this<Generation> {
  public:
    Generation(Service& service, std::shared_ptr<Exchange> exchange);

    // Makes a job of each request, and tells `sinks` what they say.
    void start(std::vector<Request> requests, Service::Sinks sinks, const TextCodec& codec);
    // Nobody wants the answers any more.
    void cancel();
    // Tells the sinks that do not have their answer yet that there will be none.
    void fail(const std::string& why);
    bool cancelled() const { return cancelled_; }

  private:
    friend class Relay;
    using Clock = Exchange::Clock;
    // When the things happened that metrics are about, in the engine's threads.
    struct Times {
        std::optional<Clock::time_point> start, first_token;
        Clock::time_point last_token;
        Histogram gaps = token_gaps();
        int n_tokens = 0;
    };

    AnswerEvents* sink(int index) { return sinks_[size_t(index)].get(); }
    void end(int index, std::optional<Answer> answer, const Times& times);
    void count(const Answer& answer, const Times& times);
    std::string note() const;

    Service& service_;
    std::shared_ptr<Exchange> exchange_;
    Service::Sinks sinks_;  // null: it has had its end
    std::atomic<bool> cancelled_{false};
    int n_left_ = 0;
    int64_t n_prompt_ = 0, n_reused_ = 0, n_new_ = 0;
    double first_token_s_ = 0, decode_s_ = 0;
    int64_t n_decoded_ = 0;  // new tokens but each answer's first
    std::string finish_;
};
