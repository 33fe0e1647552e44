// server.h: the server as a whole: listens at once, loads the model in a thread of its own, runs the loop until it is
// told to end.
#pragma once
#include <exception>
#include <thread>

#include "serve/http_server.h"
#include "serve/routes.h"

class Server {
  public:
    using Load = std::function<LoadedModel()>;

    // Throws Error. The first two outlive it.
    Server(const Options& options, const CommonConfig& config, const HttpLimits& limits, Load load);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    int port() const { return port_; }
    // Serves until stop() or a signal, and what has begun until the grace is over. Returns the exit code. Throws what
    // loading throws.
    int run();
    // As SIGTERM does: the first time ends what has begun; the second time, at once. From any thread.
    void stop();
    // Work of the engine, or on a request's body, goes on that nobody waits for any more.
    bool left_work() const { return left_work_; }
    size_t n_connections() const { return http_.n_connections(); }  // while the loop does not run

  private:
    struct BaseDeleter {
        void operator()(event_base* base) const { event_base_free(base); }
    };
    void run_engine();
    void on_engine_end(std::exception_ptr failure);
    void on_stop();
    void tick();

    const Options& options_;
    const std::unique_ptr<event_base, BaseDeleter> base_;
    LoadedModel loaded_;  // before the service, whose threads may use it to their end
    Service service_;
    Router router_;
    HttpServer http_;
    const Load load_;
    int port_ = 0;
    int n_stops_ = 0;
    bool engine_ended_ = false, left_work_ = false, grace_is_over_ = false;
    Exchange::Clock::time_point deadline_;  // of the grace, then of writing the last answers
    std::exception_ptr failure_;
    std::vector<event*> events_;
    std::thread engine_thread_;
};
