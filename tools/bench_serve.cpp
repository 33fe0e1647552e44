// bench_serve.cpp: how fast a running server answers a file of requests, all at once, as streams.
//
//     bench_serve PORT REQUESTS.jsonl [N]     N: at once, at most (default: all)
//
// Prints tokens a second over all, and the times to first tokens. One thread reads all connections, so that it takes
// little from the server; give it a core of its own for a fair figure.
#include <arpa/inet.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "error.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// One request on a connection of its own.
struct Stream {
    int fd = -1;
    Clock::time_point sent;
    double first_token_s = -1;
    std::string end;  // the last bytes
    bool is_done = false;
};

int connect_to(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(uint16_t(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fail("bench_serve: cannot connect to port {}", port);
    return fd;
}

Stream begin(int port, const nlohmann::json& request) {
    nlohmann::json body = request.contains("body") ? request["body"] : request;
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
    const std::string text = body.dump();
    const std::string head =
        fmt::format("POST /v1/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.contains("messages") ? "chat/completions" : "completions", text.size());
    Stream stream;
    stream.fd = connect_to(port);
    stream.sent = Clock::now();
    if (send(stream.fd, (head + text).data(), head.size() + text.size(), MSG_NOSIGNAL) < 0)
        fail("bench_serve: cannot send");
    return stream;
}

// What comes first is the head, and for a chat the chunk with the role; the first token is what comes with a reasoning,
// a text or a content that is not empty.
bool has_token(std::string_view bytes) {
    for (const std::string_view field : {"\"reasoning\":\"", "\"text\":\"", "{\"content\":\""})
        for (size_t at = bytes.find(field); at != std::string_view::npos; at = bytes.find(field, at + 1))
            if (at + field.size() < bytes.size() && bytes[at + field.size()] != '"') return true;
    return false;
}

void read_on(Stream& stream) {
    static char buffer[1 << 16];
    const ssize_t n = recv(stream.fd, buffer, sizeof buffer, 0);
    if (n <= 0) {
        close(stream.fd);
        stream.is_done = true;
        return;
    }
    if (stream.first_token_s < 0 && has_token({buffer, size_t(n)})) stream.first_token_s = seconds_since(stream.sent);
    stream.end.append(buffer, size_t(n));
    constexpr size_t kKept = 2048;  // more than the chunk with the usage
    if (stream.end.size() > 2 * kKept) stream.end.erase(0, stream.end.size() - kKept);
}

int64_t tokens_of(const Stream& stream) {
    const std::string key = "\"completion_tokens\":";
    const size_t at = stream.end.rfind(key);
    if (at == std::string::npos) fail("bench_serve: an answer has no usage: {}", stream.end);
    return std::atoll(stream.end.c_str() + at + key.size());
}

void run(int port, const std::vector<nlohmann::json>& requests, size_t n_at_once) {
    std::vector<Stream> running, done;
    size_t next = 0;
    const auto start = Clock::now();
    while (done.size() < requests.size()) {
        while (running.size() < n_at_once && next < requests.size()) running.push_back(begin(port, requests[next++]));
        std::vector<pollfd> polled;
        for (const Stream& stream : running) polled.push_back({stream.fd, POLLIN, 0});
        poll(polled.data(), polled.size(), -1);
        for (size_t i = 0; i < polled.size(); i++)
            if (polled[i].revents) read_on(running[i]);
        for (Stream& stream : running)
            if (stream.is_done) done.push_back(std::move(stream));
        running.erase(std::remove_if(running.begin(), running.end(), [](const Stream& s) { return s.is_done; }),
                      running.end());
    }
    const double all_s = seconds_since(start);
    int64_t n_tokens = 0;
    std::vector<double> first;
    for (const Stream& stream : done) {
        n_tokens += tokens_of(stream);
        if (stream.first_token_s >= 0) first.push_back(stream.first_token_s);
    }
    std::sort(first.begin(), first.end());
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    fmt::print(
        "{} requests, {} tokens in {:.3f} s: {:.1f} tok/s; first token: median {:.2f} ms, last {:.2f} ms; this "
        "client: {:.2f} s of CPU\n",
        done.size(), n_tokens, all_s, double(n_tokens) / all_s, first.empty() ? 0 : first[first.size() / 2] * 1e3,
        first.empty() ? 0 : first.back() * 1e3,
        double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
            double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc < 3) fail("usage: bench_serve PORT REQUESTS.jsonl [N]");
        std::vector<nlohmann::json> requests;
        std::ifstream file(argv[2]);
        for (std::string line; std::getline(file, line);)
            if (!line.empty()) requests.push_back(nlohmann::json::parse(line));
        if (requests.empty()) fail("bench_serve: no requests in {}", argv[2]);
        run(std::atoi(argv[1]), requests, argc > 3 ? size_t(std::atoi(argv[3])) : requests.size());
        return 0;
    } catch (const std::exception& e) {
        fmt::print(stderr, "{}\n", e.what());
        return 1;
    }
}
