// service.cpp: from a body to jobs: at most so many at once, read in a thread of its own, started by the loop's.
#include "serve/service.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <optional>

#include "serve/generation.h"
#include "version.h"

namespace {

// The last part of the model's path, as people call it.
std::string folder_name(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    const size_t slash = path.rfind('/');
    if (slash != std::string::npos) path = path.substr(slash + 1);
    const std::string kind = ".bin";
    if (path.size() > kind.size() && path.compare(path.size() - kind.size(), kind.size(), kind) == 0)
        path.resize(path.size() - kind.size());
    return path.empty() || path == "." ? "model" : path;
}

}  // namespace

ApiError api_error(int status, const char* type, std::string message, const char* code) {
    ApiError error;
    error.status = status;
    error.type = type;
    error.message = std::move(message);
    error.code = code;
    return error;
}

void respond_error(Exchange& exchange, const ApiError& error, HttpHeaders more) {
    if (error.status == 429 || error.status == 503) more.emplace_back("Retry-After", "1");
    if (exchange.note.empty()) exchange.note = error.message;
    exchange.respond(error.status, error_object(error), "application/json", more);
}

Service::Service(const Options& all_options, const CommonConfig& model_config, event_base* base)
    : options(all_options),
      config(model_config),
      created(std::time(nullptr)),
      mailbox(base),
      responses(size_t(all_options.serve.store)),
      names_(all_options.serve.names) {
    if (names_.empty()) names_.push_back(folder_name(all_options.model));
}

Service::~Service() = default;

bool Service::knows_model(const std::string& name) const {
    const std::string maker = "openai/";
    const std::string plain = name.compare(0, maker.size(), maker) == 0 ? name.substr(maker.size()) : name;
    const auto is_served = [&](const std::string& n) { return std::count(names_.begin(), names_.end(), n) > 0; };
    return name.empty() || name == "default" || is_served(name) || is_served(plain);
}

const std::string& Service::model_name(const std::string& name) const {
    return name.empty() || name == "default" ? names_.front() : name;
}

std::string Service::fingerprint() const {
    return fmt::format("run-{}", kVersion);
}

ApiError Service::failure(const std::string& why) const {
    return draining_ ? api_error(503, "unavailable", why) : api_error(500, "server_error", why);
}

ApiError Service::not_ready() const {
    return api_error(503, "unavailable", draining_ ? "the server is shutting down" : "the model is being loaded");
}

ApiError Service::unknown_model(const std::string& name) {
    const std::string what =
        fmt::format("the model \"{}\" is not served here; GET /v1/models lists those that are", name);
    ApiError error = api_error(404, "invalid_request_error", what, "model_not_found");
    error.param = "model";
    return error;
}

int Service::most_accepted() const {
    const int queue = options.serve.queue;
    return loaded_->in_flight + (queue >= 0 ? queue : 4 * loaded_->in_flight);
}

bool Service::accept(Exchange& exchange) {
    if (n_accepted_ < most_accepted()) {
        n_accepted_++;
        return true;
    }
    const std::string what =
        fmt::format("{} requests run or wait, and no more may (--in-flight, --queue)", n_accepted_);
    respond_error(exchange, api_error(429, "rate_limit_error", what, "queue_full"));
    return false;
}

void Service::run_task(Worker& worker, const std::shared_ptr<Exchange>& exchange, Task task,
                       std::function<void()> then) {
    const auto is_wanted = std::make_shared<std::atomic<bool>>(true);
    exchange->on_gone = [is_wanted] { *is_wanted = false; };
    in_tasks_.insert(exchange);
    worker.post([this, exchange, is_wanted, task = std::move(task), then = std::move(then), context = context()] {
        // `exchange` belongs to the loop's thread, which waits: only its body is touched here.
        std::optional<ApiError> error;
        try {
            if (*is_wanted) task(exchange->request.body, context);
        } catch (const BadRequest& e) {
            error = e.error;
        } catch (const Error& e) {
            error = bad_request(e.what());
        } catch (const std::exception& e) {
            error = api_error(500, "server_error", e.what());
        }
        mailbox.post([this, exchange, error, then] {
            in_tasks_.erase(exchange);
            exchange->request.body = {};
            if (exchange->is_open() && !error) return then();
            if (error) respond_error(*exchange, *error);
            release();
        });
    });
}

void Service::generate(const std::shared_ptr<Exchange>& exchange, Read read, Begin begin) {
    if (!accept(*exchange)) return;
    const auto requests = std::make_shared<std::vector<Request>>();
    run_task(
        worker_, exchange,
        [requests, read = std::move(read), index = n_requests_++](
            const std::string& body, const RequestContext& context) { *requests = read(body, context, index); },
        [this, exchange, requests, begin = std::move(begin)] { start(exchange, std::move(*requests), begin); });
}

void Service::start(const std::shared_ptr<Exchange>& exchange, std::vector<Request> requests, const Begin& begin) {
    if (const std::string& name = requests.front().model; !knows_model(name)) {
        respond_error(*exchange, unknown_model(name));
        return release();
    }
    Sinks sinks = begin(exchange, requests);
    if (sinks.empty()) return release();  // it has answered already
    const auto generation = std::make_shared<Generation>(*this, exchange);
    generation->start(std::move(requests), std::move(sinks), *loaded_->codec);
}

void Service::compute(const std::shared_ptr<Exchange>& exchange, Compute task) {
    if (!accept(*exchange)) return;
    const auto answer = std::make_shared<std::string>();
    run_task(
        side_worker_, exchange,
        [answer, task = std::move(task)](const std::string& body, const RequestContext& context) {
            *answer = task(body, context);
        },
        [this, exchange, answer] {
            exchange->respond(200, *answer);
            release();
        });
}

void Service::release() {
    n_accepted_--;
    if (draining_ && n_accepted_ == 0) jobs.close();
}

void Service::drain() {
    draining_ = true;
    if (n_accepted_ == 0) jobs.close();
}

void Service::fail_all(const std::string& why) {
    const std::vector<Generation*> all(running_.begin(), running_.end());
    for (Generation* const generation : all) generation->fail(why);
    for (const std::shared_ptr<Exchange>& exchange : in_tasks_) {
        if (!exchange->is_open()) continue;
        exchange->on_gone();
        respond_error(*exchange, failure(why));
    }
}

Metrics::Gauges Service::gauges() const {
    Metrics::Gauges gauges;
    if (!loaded_) return gauges;
    const EngineLoad load = loaded_->engine->load();
    const EngineStats stats = loaded_->engine->stats();
    gauges.running = std::min<int64_t>(load.in_flight, n_accepted_);
    gauges.waiting = n_accepted_ - gauges.running;
    gauges.kv_usage = load.n_pages > 0 ? double(load.pages_in_use) / double(load.n_pages) : 0;
    gauges.prefix_queries = stats.prompt_tokens + stats.reused_tokens;
    gauges.prefix_hits = stats.reused_tokens;
    gauges.prompt_tokens = gauges.prefix_queries;
    gauges.generated_tokens = stats.new_tokens;
    gauges.steps = stats.prefill_steps + stats.decode_steps;
    gauges.step_rows = stats.prefill_rows + stats.decode_rows;
    return gauges;
}
