// exchange.h: one HTTP request and its answer, as the rest of the server sees it. Belongs to the loop's thread.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/http_parser.h"

class Connection;

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// An answer is either sent whole by respond(), or begun, written piece by piece and ended. If the client goes away
// first, on_gone is called once, and what is written after that is dropped.
class Exchange {
  public:
    using Clock = std::chrono::steady_clock;

    Exchange(Connection& connection, HttpRequest http_request, std::string request_id);

    HttpRequest request;
    const std::string id;     // of the request, in the header x-request-id and in the log
    std::string path_suffix;  // what a route's {id} stands for
    HttpHeaders extra;        // headers of the answer, whatever it is
    std::string note;         // for the log: what there is to say about the request
    std::function<void()> on_gone;
    const Clock::time_point began = Clock::now();

    bool is_open() const { return connection_ && !is_over_; }  // an answer can still be written
    bool has_answer() const { return status_ != 0; }           // its head has been written
    int status() const { return status_; }                     // 0: none yet; 499: the client has left

    void respond(int status, std::string_view body, const char* type = "application/json",
                 const HttpHeaders& more = {});
    // A stream of server-sent events. Silence is filled with comments, so that no proxy takes it for the end.
    void begin_events();
    void write(std::string_view text);
    void end_events(bool keep_alive = true);

  private:
    friend class Connection;
    std::string head(int status, const char* type, const HttpHeaders& more) const;
    void leave();  // the client has gone

    Connection* connection_;  // null: it has gone
    int status_ = 0;
    bool is_over_ = false, is_stream_ = false;
    bool keep_alive_;
};
