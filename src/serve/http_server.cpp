// http_server.cpp: a listener, and a clock that looks at every connection ten times a second.
#include "serve/http_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "error.h"
#include "log.h"

namespace {

constexpr int kBacklog = 1024;
constexpr timeval kTick{0, 100'000};

// A socket for each client: as many as the system lets this process have.
void allow_many_files() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int port_of(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                               : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace

HttpServer::HttpServer(event_base* base, const HttpLimits& limits, HttpHandler& handler)
    : base_(base),
      limits_(limits),
      handler_(handler),
      clock_(event_new(
          base, -1, EV_PERSIST, [](int, short, void* self) { static_cast<HttpServer*>(self)->tick(); }, this)) {
    event_add(clock_, &kTick);
}

HttpServer::~HttpServer() {
    if (listener_) evconnlistener_free(listener_);
    auto connections = std::move(connections_);
    connections.clear();
    event_free(clock_);
}

int HttpServer::listen(const std::string& host, int port) {
    allow_many_files();
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0)
        fail("--host: expected an address of this machine, found \"{}\": {}", host, gai_strerror(error));
    const auto on_connection = [](evconnlistener*, evutil_socket_t fd, sockaddr*, int, void* self) {
        static_cast<HttpServer*>(self)->accept(fd);
    };
    listener_ = evconnlistener_new_bind(base_, on_connection, this,
                                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, kBacklog,
                                        found->ai_addr, int(found->ai_addrlen));
    const int error = errno;
    freeaddrinfo(found);
    if (!listener_) fail("--port: cannot listen on {}:{}: {}", host, port, std::strerror(error));
    evconnlistener_set_error_cb(listener_, [](evconnlistener*, void*) {
        log_repeated("connections that failed", "serve: cannot take a connection: {}", std::strerror(errno));
        usleep(10'000);  // too many open files, say: others must end first
    });
    return port_of(evconnlistener_get_fd(listener_));
}

void HttpServer::accept(int fd) {
    auto connection = std::make_unique<Connection>(base_, fd, limits_, handler_, forget_);
    Connection* const key = connection.get();
    connections_.emplace(key, std::move(connection));
}

void HttpServer::stop_listening() {
    if (listener_) evconnlistener_free(listener_);
    listener_ = nullptr;
    std::vector<Connection*> all;
    for (const auto& [connection, owner] : connections_) all.push_back(connection);
    for (Connection* const connection : all) connection->close_if_idle();
}

bool HttpServer::has_work() const {
    return std::any_of(connections_.begin(), connections_.end(),
                       [](const auto& each) { return each.first->has_work(); });
}

void HttpServer::tick() {
    const auto now = Connection::Clock::now();
    std::vector<Connection*> all;
    for (const auto& [connection, owner] : connections_) all.push_back(connection);
    for (Connection* const connection : all) connection->tick(now);
}
