// serve_client.h: a plain HTTP client for tests: it sends any bytes, and reads what comes, in its own time.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "support/json.h"

struct HttpAnswer {
    int status = 0;                              // 0: none came
    std::string reason;                          // the words after the status
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
    nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
};

class HttpClient {
  public:
    // receive_bytes: the size of the socket's buffer; 0: the system's.
    explicit HttpClient(int port, int receive_bytes = 0) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
        if (receive_bytes > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(uint16_t(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    ~HttpClient() { close(); }
    HttpClient(HttpClient&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_), unread_(std::move(other.unread_)) {}
    HttpClient(const HttpClient&) = delete;

    bool connected() const { return connected_; }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    void half_close() const { shutdown(fd_, SHUT_WR); }

    void send(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return;
            bytes.remove_prefix(size_t(n));
        }
    }
    static std::string head(const std::string& method, const std::string& path, const std::string& more = "") {
        return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + more;
    }
    void get(const std::string& path, const std::string& headers = "") const {
        send(head("GET", path, headers) + "\r\n");
    }
    void post(const std::string& path, const std::string& body, const std::string& headers = "") const {
        send(head("POST", path, headers + "Content-Length: " + std::to_string(body.size()) + "\r\n") + "\r\n" + body);
    }

    // Reads a whole answer; its status stays 0 if none comes.
    HttpAnswer answer(bool is_to_head = false) {
        HttpAnswer answer = head_of_answer();
        if (answer.status == 0 || is_to_head || answer.status == 204 || answer.status == 100) return answer;
        if (answer.headers.count("transfer-encoding")) {
            for (std::string piece; next_chunk(piece);) answer.body += piece;
        } else if (answer.headers.count("content-length")) {
            const size_t n = std::stoul(answer.headers["content-length"]);
            while (unread_.size() < n && receive()) {
            }
            answer.body = take(n);
        } else {
            while (receive()) {
            }
            answer.body = take(unread_.size());
        }
        return answer;
    }
    // Reads the head of an answer alone.
    HttpAnswer head_of_answer() {
        HttpAnswer answer;
        size_t end = 0;
        while ((end = unread_.find("\r\n\r\n")) == std::string::npos)
            if (!receive()) return answer;
        std::string text = take(end + 4);
        const size_t status_at = text.find(' ') + 1, first_end = text.find("\r\n");
        answer.status = std::stoi(text.substr(status_at));
        answer.reason = text.substr(status_at + 4, first_end - status_at - 4);
        for (size_t at = first_end + 2; at + 2 < text.size();) {
            const size_t line_end = text.find("\r\n", at), colon = text.find(':', at);
            std::string name = text.substr(at, colon - at);
            for (char& c : name) c = char(std::tolower(c));
            answer.headers[name] = text.substr(colon + 2, line_end - colon - 2);
            at = line_end + 2;
        }
        return answer;
    }
    // One chunk of a body; false at its end.
    bool next_chunk(std::string& piece) {
        size_t end = 0;
        while ((end = unread_.find("\r\n")) == std::string::npos)
            if (!receive()) return false;
        const size_t n = std::stoul(unread_.substr(0, end), nullptr, 16);
        while (unread_.size() < end + 2 + n + 2)
            if (!receive()) return false;
        piece = take(end + 2 + n + 2).substr(end + 2, n);
        return n > 0;
    }
    // The data of all server-sent events up to the end of the answer; comments left out.
    std::vector<std::string> events() {
        std::string text;
        for (std::string piece; next_chunk(piece);) text += piece;
        return events_of(text);
    }
    static std::vector<std::string> events_of(const std::string& text) {
        std::vector<std::string> events;
        for (size_t at = 0; at < text.size();) {
            const size_t end = text.find("\n\n", at);
            const std::string event = text.substr(at, end - at);
            if (event.rfind("data: ", 0) == 0) events.push_back(event.substr(6));
            at = end == std::string::npos ? text.size() : end + 2;
        }
        return events;
    }
    // Whether the server has closed the connection, or does so soon.
    bool is_closed() {
        while (receive()) {
        }
        return ended_;
    }

  private:
    // Waits for more bytes; false at the end, or if none come for long.
    bool receive() {
        pollfd polled{fd_, POLLIN, 0};
        if (poll(&polled, 1, 20'000) <= 0) return false;
        char buffer[65536];
        const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
        ended_ = n <= 0;
        if (n <= 0) return false;
        unread_.append(buffer, size_t(n));
        return true;
    }
    std::string take(size_t n) {
        const std::string taken = unread_.substr(0, n);
        unread_.erase(0, n);
        return taken;
    }
    int fd_;
    bool connected_ = false, ended_ = false;
    std::string unread_;
};
