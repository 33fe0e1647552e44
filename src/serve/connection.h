// connection.h: one client's connection: its requests one after the other, time limits, and whether it is still there.
#pragma once
#include <event2/bufferevent.h>

#include <functional>

#include "serve/exchange.h"

struct HttpLimits {
    int64_t body_bytes = int64_t(8) << 20;
    double head_s = 10, body_s = 60;  // a request's head and body must be there in this time
    double idle_s = 65;               // between requests; longer than the usual proxies' 60
    double ping_s = 10;               // a stream that is silent so long says that it is alive
    double stalled_s = 30;            // a client that leaves so much unread for so long has gone
    size_t stalled_bytes = size_t(1) << 20;
    double linger_s = 2;        // how long the end of what a client sends is waited for
    int send_buffer_bytes = 0;  // of sockets; 0: the system's
};

// What a connection tells its server. Every exchange that begins also ends.
class HttpHandler {
  public:
    virtual ~HttpHandler() = default;
    // The head is there; the answer may be given already, and then the body is not read.
    virtual void on_head(Exchange& exchange) = 0;
    virtual void on_request(const std::shared_ptr<Exchange>& exchange) = 0;
    virtual void on_bad_request(Exchange& exchange, int status, const std::string& what) = 0;
    virtual void on_end(Exchange& exchange) = 0;  // answered, or the client has gone
    virtual bool is_draining() const = 0;         // connections end with their present answer
};

class Connection {
  public:
    using Clock = Exchange::Clock;

    // Takes the socket. `on_close` outlives this object, and deletes it: that is the last thing that it does.
    Connection(event_base* base, int fd, const HttpLimits& limits, HttpHandler& handler,
               const std::function<void(Connection&)>& on_close);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Looks at the clock. May delete this object.
    void tick(Clock::time_point now);
    // Closes the connection if no answer is on its way.
    void close_if_idle();
    bool has_work() const { return phase_ == Phase::kAnswering || phase_ == Phase::kFlushing; }

    // For exchanges.
    bool may_stay_open() const;  // after the present answer
    void send(std::string_view bytes);
    void end_exchange(bool keep_alive);

  private:
    enum class Phase {
        kIdle,     // nothing of a request has come
        kReading,  // a head or a body
        kAnswering,
        kFlushing,   // the last answer is being written
        kLingering,  // it is written; what the client still sends is dropped, so that it can read the answer
        kClosed,
    };

    void on_readable();
    void on_written();
    void on_event(short what);
    void read_on();
    void set_phase(Phase phase);
    std::shared_ptr<Exchange> new_exchange();
    void refuse(int status, const std::string& what);
    bool has_read_all() const;
    bool has_backlog() const;
    void begin_to_linger();
    void close();
    double seconds_in_phase(Clock::time_point now) const;

    const HttpLimits& limits_;
    HttpHandler& handler_;
    const std::function<void(Connection&)>& on_close_;
    bufferevent* const events_;
    HttpParser parser_;
    Phase phase_ = Phase::kIdle;
    bool has_head_ = false;                   // of the request that is being read
    bool is_reading_ = false;                 // within read_on()
    bool has_seen_end_ = false;               // the client sends no more
    Clock::time_point since_ = Clock::now();  // of the phase, or of the body
    Clock::time_point last_sent_ = Clock::now();
    Clock::time_point stalled_since_ = Clock::time_point::max();
    std::shared_ptr<Exchange> exchange_;
};

// A random name for a request ("req_"), an answer or a call: the prefix, and 24 letters and digits.
std::string random_id(const char* prefix);
