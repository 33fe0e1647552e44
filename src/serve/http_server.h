// http_server.h: listens, and keeps the connections. All of it belongs to the loop's thread.
#pragma once
#include <event2/event.h>
#include <event2/listener.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "serve/connection.h"

class HttpServer {
  public:
    HttpServer(event_base* base, const HttpLimits& limits, HttpHandler& handler);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // Opens a port; 0: one that is free. Returns it. Throws Error.
    int listen(const std::string& host, int port);
    // Takes no more connections, and closes those that wait for a request.
    void stop_listening();
    size_t n_connections() const { return connections_.size(); }
    bool has_work() const;  // an answer is being made or written

  private:
    void accept(int fd);
    void tick();

    event_base* const base_;
    const HttpLimits limits_;
    HttpHandler& handler_;
    evconnlistener* listener_ = nullptr;
    event* const clock_;
    const std::function<void(Connection&)> forget_ = [this](Connection& closed) { connections_.erase(&closed); };
    std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
};
