// http_parser.h: HTTP/1 requests from the bytes of a connection, which come in any portions.
//
// Strict where two readers of the same bytes could differ: lines end in CR LF, a header is not continued on the next
// line, and a body's length is said once.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct HttpRequest {
    std::string method;
    std::string path;                                          // decoded, without the query
    std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
    std::string body;
    int minor_version = 1;  // of HTTP/1
    bool keep_alive = true;

    // The value of the first header of this name, given in lower case; null if there is none.
    const std::string* header(std::string_view name) const;
};

// With ASCII's letters made small, as names and schemes are compared.
std::string lowered(std::string_view text);

constexpr size_t kMostHeadBytes = size_t(64) << 10;
constexpr size_t kMostHeaders = 128;

class HttpParser {
  public:
    explicit HttpParser(int64_t most_body_bytes) : most_body_bytes_(most_body_bytes) {}

    // Reads on. Returns how many bytes it has taken: all, or those up to the end of a head or of a request, or to an
    // error.
    size_t feed(std::string_view bytes);

    bool has_begun() const { return state_ != State::kHead || !line_.empty(); }
    bool has_head() const { return state_ > State::kHead && state_ != State::kFailed; }
    bool is_done() const { return state_ == State::kDone; }
    bool expects_continue() const { return expects_continue_; }  // the client waits before it sends the body
    // What is wrong, and the status that says so; 0: nothing. There is no reading on after it.
    int error_status() const { return error_status_; }
    const std::string& error() const { return error_; }

    // The request, complete or up to its head.
    HttpRequest& request() { return request_; }
    // Makes ready for the next request.
    void reset();

  private:
    enum class State { kHead, kLength, kChunkSize, kChunkData, kChunkEnd, kTrailer, kDone, kFailed };

    size_t feed_head(std::string_view bytes);
    size_t feed_line(std::string_view bytes);
    size_t feed_data(std::string_view bytes);
    void read_head();
    bool read_request_line(std::string_view line);
    bool read_header(std::string_view line);
    bool read_framing();
    bool read_encoding(std::string_view value);
    bool read_length(std::string_view value);
    void read_chunk_line(std::string_view line);
    void begin_data(uint64_t n_bytes, State state);
    bool wrong(int status, std::string message);  // returns false

    const int64_t most_body_bytes_;
    State state_ = State::kHead;
    std::string line_;      // the head, or the line, as far as it has come
    uint64_t n_left_ = 0;   // bytes of the body or the chunk
    size_t n_trailer_ = 0;  // bytes
    bool expects_continue_ = false;
    int error_status_ = 0;
    std::string error_;
    HttpRequest request_;
};
