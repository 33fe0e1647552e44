// choices.cpp: the answers that one request asks for: a job each, and together one result.
#include <atomic>
#include <mutex>

#include "requests/responses_answer.h"

namespace {

// Waits for all answers to one request. Jobs of several replicas' threads may end at the same time.
class AllAnswers {
  public:
    AllAnswers(Request request, int n, ResultSink& sink)
        : request_(std::move(request)), sink_(sink), answers_(size_t(n)), n_left_(n) {}

    ResultSink& sink() const { return sink_; }
    // Nobody waits for the others any more.
    bool is_over() const { return over_; }
    void end() { over_ = true; }

    void add(int choice, Answer answer) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (over_) return;
        const bool failed = !answer.error.empty();
        answers_[size_t(choice)] = std::move(answer);
        if (--n_left_ > 0 && !failed) return;
        over_ = true;
        if (failed) answers_ = {std::move(answers_[size_t(choice)])};
        sink_.on_answers(request_, std::move(answers_));
    }

  private:
    const Request request_;  // without its prompts
    ResultSink& sink_;
    std::mutex mutex_;
    std::vector<Answer> answers_;
    int n_left_;
    std::atomic<bool> over_{false};
};

// Tells a sink of whole answers.
class AnswerToSink : public AnswerEvents {
  public:
    AnswerToSink(int choice, std::shared_ptr<AllAnswers> all) : choice_(choice), all_(std::move(all)) {}
    bool cancelled(bool has_begun) const override { return all_->is_over() || all_->sink().cancelled(has_begun); }
    void on_token(int) override { all_->sink().on_token(); }
    void on_done(Answer answer) override { all_->add(choice_, std::move(answer)); }
    void on_cancelled() override { all_->end(); }

  private:
    const int choice_;
    const std::shared_ptr<AllAnswers> all_;
};

}  // namespace

std::vector<Request> choices_of(const Request& request) {
    std::vector<Request> choices;
    Request one = request;
    one.more_prompts.clear();
    one.n = 1;
    for (size_t p = 0; p <= request.more_prompts.size(); p++) {
        if (p > 0) {
            one.prompt = request.more_prompts[p - 1].ids;
            one.max_new_tokens = request.more_prompts[p - 1].max_new_tokens;
        }
        for (int i = 0; i < request.n; i++) {
            one.choice = int(choices.size());
            one.shares_prompt = i > 0;
            one.sampling.seed = request.sampling.seed + uint64_t(i);
            choices.push_back(one);
        }
    }
    return choices;
}

std::vector<std::unique_ptr<Job>> make_jobs(Request request, const TextCodec& codec, ResultSink& sink) {
    std::vector<Request> choices = choices_of(request);
    request.prompt.clear();
    std::vector<std::unique_ptr<Job>> jobs;
    if (request.kind == AnswerKind::kResponse) {
        jobs.push_back(make_job(std::move(choices[0]), codec, items_to_sink(std::move(request), sink)));
        return jobs;
    }
    request.more_prompts.clear();
    const auto all = std::make_shared<AllAnswers>(std::move(request), int(choices.size()), sink);
    for (Request& choice : choices) {
        auto events = std::make_unique<AnswerToSink>(choice.choice, all);
        jobs.push_back(make_job(std::move(choice), codec, std::move(events)));
    }
    return jobs;
}
