// server.cpp: the life of the server: loading, serving, draining, the end.
#include "serve/server.h"

#include <csignal>

#include "error.h"
#include "log.h"

namespace {

constexpr timeval kTick{0, 50'000};
constexpr float kGraceS = 30;
// How long the last answers may take to be written.
constexpr std::chrono::seconds kLastWrites(2);

Exchange::Clock::duration seconds(double s) {
    return std::chrono::duration_cast<Exchange::Clock::duration>(std::chrono::duration<double>(s));
}

std::string message_of(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        return e.what();
    }
}

}  // namespace

Server::Server(const Options& options, const CommonConfig& config, const HttpLimits& limits, Load load)
    : options_(options),
      base_(event_base_new()),
      service_(options, config, base_.get()),
      router_(service_, options.serve),
      http_(base_.get(), limits, router_),
      load_(std::move(load)) {
    port_ = http_.listen(options.serve.host, options.serve.port);
    for (const int signal : {SIGTERM, SIGINT}) {
        struct sigaction before {};
        sigaction(signal, nullptr, &before);
        if (before.sa_handler == SIG_IGN) continue;  // nohup, or a job in the background
        events_.push_back(evsignal_new(
            base_.get(), signal, [](int, short, void* self) { static_cast<Server*>(self)->on_stop(); }, this));
        event_add(events_.back(), nullptr);
    }
    events_.push_back(event_new(
        base_.get(), -1, EV_PERSIST, [](int, short, void* self) { static_cast<Server*>(self)->tick(); }, this));
    event_add(events_.back(), &kTick);
}

Server::~Server() {
    service_.jobs.close();
    if (engine_thread_.joinable()) engine_thread_.join();
    for (event* const each : events_) event_free(each);
}

// The engine's thread.
void Server::run_engine() {
    std::exception_ptr failure;
    try {
        LoadedModel loaded = load_();
        Engine& engine = *loaded.engine;
        service_.mailbox.post([this, moved = std::make_shared<LoadedModel>(std::move(loaded))] {
            loaded_ = std::move(*moved);
            service_.set_loaded(&loaded_);
            log_line("serve: ready");
        });
        RunOptions run_options;
        run_options.in_order = true;
        run_options.gathers = false;
        run_options.after_step = [this] { service_.mailbox.wake(); };
        engine.run([this] { return service_.jobs.next(); }, [this] { service_.jobs.close(); }, run_options);
    } catch (...) {
        failure = std::current_exception();
    }
    service_.mailbox.post([this, failure] { on_engine_end(failure); });
}

void Server::on_engine_end(std::exception_ptr failure) {
    engine_ended_ = true;
    failure_ = failure;
    if (!failure) return;
    if (n_stops_ == 0) on_stop();
    service_.fail_all(message_of(failure));
}

void Server::stop() {
    service_.mailbox.post([this] { on_stop(); });
}

void Server::on_stop() {
    n_stops_++;
    if (n_stops_ > 1) {
        deadline_ = Exchange::Clock::now();
        return;
    }
    const double grace_s = double(options_.grace_s.value_or(kGraceS));
    log_line("serve: ending: {} requests have {:g} s to end", service_.n_accepted(), grace_s);
    deadline_ = Exchange::Clock::now() + seconds(grace_s);
    service_.drain();
    http_.stop_listening();
}

// Ends the loop once all has ended.
void Server::tick() {
    if (n_stops_ == 0) return;
    const auto now = Exchange::Clock::now();
    const bool engine_rests = engine_ended_ || !service_.has_model();
    const bool is_idle = engine_rests && service_.n_accepted() == 0;
    if (!grace_is_over_ && (is_idle || now >= deadline_)) {
        grace_is_over_ = true;
        deadline_ = now + kLastWrites;
        if (!is_idle) service_.fail_all("the server is shutting down");
    }
    if (!grace_is_over_) return;
    const bool all_written = !http_.has_work();
    left_work_ = !engine_ended_ || service_.n_accepted() > 0;
    if ((all_written && (engine_rests || n_stops_ > 1)) || now >= deadline_) event_base_loopbreak(base_.get());
}

int Server::run() {
    engine_thread_ = std::thread([this] { run_engine(); });
    event_base_dispatch(base_.get());
    if (failure_) std::rethrow_exception(failure_);
    log_line("serve: ended");
    return n_stops_ > 1 ? kExitRequestFailed : kExitOk;
}
