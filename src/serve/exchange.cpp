// exchange.cpp: heads of answers, and bodies: whole ones with their length, streams in chunks.
#include "serve/exchange.h"

#include <fmt/core.h>

#include "serve/connection.h"

namespace {

const char* reason(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 204:
            return "No Content";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 413:
            return "Content Too Large";
        case 417:
            return "Expectation Failed";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 503:
            return "Service Unavailable";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return "Error";
    }
}

}  // namespace

Exchange::Exchange(Connection& connection, HttpRequest http_request, std::string request_id)
    : request(std::move(http_request)),
      id(std::move(request_id)),
      connection_(&connection),
      keep_alive_(request.keep_alive) {}

std::string Exchange::head(int status, const char* type, const HttpHeaders& more) const {
    std::string text = fmt::format("HTTP/1.1 {} {}\r\n", status, reason(status));
    const auto add = [&](std::string_view name, std::string_view value) {
        text += fmt::format("{}: {}\r\n", name, value);
    };
    if (*type) add("Content-Type", type);
    add("x-request-id", id);
    for (const auto& [name, value] : extra) add(name, value);
    for (const auto& [name, value] : more) add(name, value);
    if (!keep_alive_)
        add("Connection", "close");
    else if (request.minor_version == 0)
        add("Connection", "keep-alive");
    return text;
}

void Exchange::respond(int status, std::string_view body, const char* type, const HttpHeaders& more) {
    if (!is_open() || has_answer()) return;
    keep_alive_ = keep_alive_ && connection_->may_stay_open();
    status_ = status;
    is_over_ = true;
    std::string text = head(status, body.empty() ? "" : type, more);
    if (status != 204) text += fmt::format("Content-Length: {}\r\n", body.size());
    text += "\r\n";
    if (request.method != "HEAD") text += body;
    connection_->send(text);
    connection_->end_exchange(keep_alive_);
}

void Exchange::begin_events() {
    if (!is_open() || has_answer()) return;
    keep_alive_ = keep_alive_ && connection_->may_stay_open() && request.minor_version == 1;
    status_ = 200;
    is_stream_ = true;
    std::string text =
        head(200, "text/event-stream; charset=utf-8", {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}});
    if (request.minor_version == 1) text += "Transfer-Encoding: chunked\r\n";
    connection_->send(text + "\r\n");
}

void Exchange::write(std::string_view text) {
    if (!is_open() || text.empty()) return;
    if (request.minor_version == 1)
        connection_->send(fmt::format("{:x}\r\n{}\r\n", text.size(), text));
    else
        connection_->send(text);
}

void Exchange::end_events(bool keep_alive) {
    if (!is_open()) return;
    is_over_ = true;
    if (request.minor_version == 1) connection_->send("0\r\n\r\n");
    connection_->end_exchange(keep_alive && keep_alive_);
}

void Exchange::leave() {
    connection_ = nullptr;
    if (is_over_) return;
    is_over_ = true;
    status_ = 499;
    if (on_gone) on_gone();
}
