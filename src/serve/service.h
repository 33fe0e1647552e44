// service.h: what the routes share: the model, the way to the engine, and what there is to say about both. Belongs to
// the loop's thread.
#pragma once
#include <functional>
#include <memory>
#include <unordered_set>

#include "options.h"
#include "request.h"
#include "requests/answer_events.h"
#include "requests/responses_store.h"
#include "serve/exchange.h"
#include "serve/job_source.h"
#include "serve/mailbox.h"
#include "serve/metrics.h"
#include "serve/worker.h"

class Generation;

// What must be read or made before requests can be answered.
struct LoadedModel {
    std::unique_ptr<const TextCodec> codec;
    std::unique_ptr<Engine> engine;
    int in_flight = 1;  // requests that run at once
};

class Service {
  public:
    // How a body becomes requests, one for each answer. In a thread of its own, where it may take its time. Throws
    // BadRequest.
    using Read = std::function<std::vector<Request>(const std::string& body, const RequestContext&, int64_t index)>;
    // Who is told the answers, in the loop's thread: one for each request.
    using Sinks = std::vector<std::unique_ptr<AnswerEvents>>;
    using Begin = std::function<Sinks(const std::shared_ptr<Exchange>&, const std::vector<Request>&)>;

    Service(const Options& all_options, const CommonConfig& model_config, event_base* base);
    ~Service();

    // Reads the body of `exchange`, and has the engine answer its requests. Answers errors itself, up to there.
    void generate(const std::shared_ptr<Exchange>& exchange, Read read, Begin begin);
    // Runs `task` with the body in a thread of its own, and answers with the JSON that it returns. It may throw
    // BadRequest.
    using Compute = std::function<std::string(const std::string& body, const RequestContext&)>;
    void compute(const std::shared_ptr<Exchange>& exchange, Compute task);

    // Whether `name`, from a request, is one of the model's.
    bool knows_model(const std::string& name) const;
    // How an answer names it, if the request asked for `name`.
    const std::string& model_name(const std::string& name) const;
    const std::vector<std::string>& model_names() const { return names_; }
    std::string fingerprint() const;

    // What to answer if a request failed while it ran.
    ApiError failure(const std::string& why) const;
    // What to answer while is_ready() is false.
    ApiError not_ready() const;
    static ApiError unknown_model(const std::string& name);

    bool is_ready() const { return loaded_ && !draining_; }
    bool is_draining() const { return draining_; }
    bool has_model() const { return loaded_; }
    void set_loaded(LoadedModel* loaded) { loaded_ = loaded; }
    void drain();
    // Answers all that is left with an error, and stops its computation.
    void fail_all(const std::string& why);
    int n_accepted() const { return n_accepted_; }
    Metrics::Gauges gauges() const;

    const Options& options;
    const CommonConfig& config;
    const int64_t created;  // Unix time
    Mailbox mailbox;
    JobSource jobs;
    Metrics metrics;
    ResponseStore responses;

  private:
    friend class Generation;
    RequestContext context() const {
        return {options,
                config,
                *loaded_->codec,
                Purpose::kAnswer,
                options.serve.store > 0 ? &responses : nullptr,
                /*can_stream=*/true};
    }
    int most_accepted() const;
    // Counts the request; false if there are too many, which is answered.
    bool accept(Exchange& exchange);
    // Of an accepted request: `task`, in the worker's thread, with its body, then `then`, in the loop's. A client that
    // leaves meanwhile is spared both. What `task` throws is answered.
    using Task = std::function<void(const std::string& body, const RequestContext&)>;
    void run_task(Worker& worker, const std::shared_ptr<Exchange>& exchange, Task task, std::function<void()> then);
    void start(const std::shared_ptr<Exchange>& exchange, std::vector<Request> requests, const Begin& begin);
    void release();

    std::vector<std::string> names_;
    LoadedModel* loaded_ = nullptr;
    bool draining_ = false;
    int n_accepted_ = 0;  // in tasks, running or waiting
    int64_t n_requests_ = 0;
    std::unordered_set<std::shared_ptr<Exchange>> in_tasks_;
    std::unordered_set<Generation*> running_;
    // The last: their tasks use the others. Requests to answer do not wait for texts that are only to be counted.
    Worker worker_, side_worker_;
};

ApiError api_error(int status, const char* type, std::string message, const char* code = "");
// Answers with the error object; with Retry-After, if a retry may help.
void respond_error(Exchange& exchange, const ApiError& error, HttpHeaders more = {});
