// connection.cpp: a state machine around libevent's buffers. Reading goes on while an answer is computed: that is how a
// client that leaves is noticed. One that has closed only its sending side counts as gone, too.
#include "serve/connection.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <random>

namespace {

double seconds(Connection::Clock::duration d) {
    return std::chrono::duration<double>(d).count();
}

}  // namespace

std::string random_id(const char* prefix) {
    static std::mt19937_64 random{std::random_device{}()};
    static constexpr std::string_view kLetters = "0123456789abcdefghijklmnopqrstuvwxyz";
    std::string id = prefix;
    for (int i = 0; i < 24; i++) id += kLetters[random() % kLetters.size()];
    return id;
}

Connection::Connection(event_base* base, int fd, const HttpLimits& limits, HttpHandler& handler,
                       const std::function<void(Connection&)>& on_close)
    : limits_(limits),
      handler_(handler),
      on_close_(on_close),
      events_(bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE)),
      parser_(limits.body_bytes) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // each token leaves at once
    if (limits.send_buffer_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &limits.send_buffer_bytes, sizeof limits.send_buffer_bytes);
    bufferevent_setcb(
        events_, [](bufferevent*, void* self) { static_cast<Connection*>(self)->on_readable(); },
        [](bufferevent*, void* self) { static_cast<Connection*>(self)->on_written(); },
        [](bufferevent*, short what, void* self) { static_cast<Connection*>(self)->on_event(what); }, this);
    bufferevent_enable(events_, EV_READ | EV_WRITE);
}

Connection::~Connection() {
    if (exchange_) {
        const std::shared_ptr<Exchange> exchange = std::move(exchange_);
        exchange->leave();
        handler_.on_end(*exchange);
    }
    bufferevent_free(events_);
}

void Connection::set_phase(Phase phase) {
    phase_ = phase;
    since_ = Clock::now();
}

double Connection::seconds_in_phase(Clock::time_point now) const {
    return seconds(now - since_);
}

void Connection::close() {
    phase_ = Phase::kClosed;
    on_close_(*this);  // deletes it
}

void Connection::on_readable() {
    evbuffer* const input = bufferevent_get_input(events_);
    // A client may send its next request ahead of the answer, and no more than that.
    if ((phase_ == Phase::kAnswering || has_backlog()) &&
        evbuffer_get_length(input) > size_t(limits_.body_bytes) + kMostHeadBytes)
        return close();
    if (phase_ == Phase::kFlushing || phase_ == Phase::kLingering) {
        evbuffer_drain(input, evbuffer_get_length(input));
        return;
    }
    read_on();
}

// The client asks on and does not read the answers, which must not fill the memory.
bool Connection::has_backlog() const {
    return evbuffer_get_length(bufferevent_get_output(events_)) > limits_.stalled_bytes;
}

// Reads requests until one must be waited for, or an answer, or the client.
void Connection::read_on() {
    if (is_reading_) return;  // an answer was given at once; the loop below goes on
    is_reading_ = true;
    evbuffer* const input = bufferevent_get_input(events_);
    while ((phase_ == Phase::kIdle || phase_ == Phase::kReading) && evbuffer_get_length(input) > 0 && !has_backlog()) {
        const size_t n = evbuffer_get_contiguous_space(input);
        const auto* const bytes = reinterpret_cast<const char*>(evbuffer_pullup(input, ssize_t(n)));
        evbuffer_drain(input, parser_.feed({bytes, n}));
        if (phase_ == Phase::kIdle && parser_.has_begun()) set_phase(Phase::kReading);
        if (parser_.error_status() != 0) {
            refuse(parser_.error_status(), parser_.error());
            break;
        }
        if (parser_.has_head() && !has_head_) {
            has_head_ = true;
            since_ = Clock::now();
            exchange_ = new_exchange();
            handler_.on_head(*exchange_);
            if (!exchange_) continue;  // it has its answer
            if (parser_.expects_continue() && !parser_.is_done()) send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        if (!parser_.is_done()) continue;
        exchange_->request.body = std::move(parser_.request().body);
        set_phase(Phase::kAnswering);
        const std::shared_ptr<Exchange> exchange = exchange_;
        handler_.on_request(exchange);
    }
    is_reading_ = false;
}

std::shared_ptr<Exchange> Connection::new_exchange() {
    return std::make_shared<Exchange>(*this, parser_.request(), random_id("req_"));
}

// Answers a request that cannot be read on.
void Connection::refuse(int status, const std::string& what) {
    if (!exchange_) exchange_ = new_exchange();
    exchange_->keep_alive_ = false;
    handler_.on_bad_request(*exchange_, status, what);
}

// Writes at once what the socket takes: to have the loop wait for it would be three system calls instead of one.
void Connection::send(std::string_view bytes) {
    if (evbuffer_get_length(bufferevent_get_output(events_)) == 0) {
        const ssize_t n = ::send(bufferevent_getfd(events_), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) bytes.remove_prefix(size_t(n));  // of an error, the loop will hear
    }
    if (!bytes.empty()) bufferevent_write(events_, bytes.data(), bytes.size());
    last_sent_ = Clock::now();
}

void Connection::end_exchange(bool keep_alive) {
    const std::shared_ptr<Exchange> exchange = std::move(exchange_);
    exchange_ = nullptr;
    keep_alive = keep_alive && has_read_all();
    has_head_ = false;
    handler_.on_end(*exchange);
    exchange->connection_ = nullptr;
    if (!keep_alive) {
        set_phase(Phase::kFlushing);
        if (evbuffer_get_length(bufferevent_get_output(events_)) == 0) begin_to_linger();
        return;
    }
    parser_.reset();
    set_phase(Phase::kIdle);
    if (!is_reading_) bufferevent_trigger(events_, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

// All that was to be written is written.
void Connection::on_written() {
    if (phase_ == Phase::kIdle || phase_ == Phase::kReading) return read_on();
    if (phase_ != Phase::kFlushing) return;
    if (has_seen_end_) return close();
    begin_to_linger();
}

void Connection::begin_to_linger() {
    shutdown(bufferevent_getfd(events_), SHUT_WR);
    set_phase(Phase::kLingering);
}

void Connection::on_event(short what) {
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))) return;
    const bool has_output = evbuffer_get_length(bufferevent_get_output(events_)) > 0;
    if ((what & BEV_EVENT_EOF) && (what & BEV_EVENT_READING) && !exchange_ && has_output) {
        has_seen_end_ = true;  // it has asked, and may want the answer
        return set_phase(Phase::kFlushing);
    }
    close();
}

bool Connection::may_stay_open() const {
    return has_read_all() && !handler_.is_draining();
}

// Not the body of a request that is refused by its head, nor what cannot be read.
bool Connection::has_read_all() const {
    return (!has_head_ || parser_.is_done()) && parser_.error_status() == 0;
}

void Connection::close_if_idle() {
    if (phase_ != Phase::kIdle && phase_ != Phase::kReading) return;
    if (evbuffer_get_length(bufferevent_get_output(events_)) == 0) return close();
    set_phase(Phase::kFlushing);  // the answer before is still being written
}

void Connection::tick(Clock::time_point now) {
    const double waited_s = seconds_in_phase(now);
    const size_t n_unread = evbuffer_get_length(bufferevent_get_output(events_));
    if (n_unread <= limits_.stalled_bytes)
        stalled_since_ = Clock::time_point::max();
    else if (stalled_since_ == Clock::time_point::max())
        stalled_since_ = now;
    const bool stalled = (n_unread > limits_.stalled_bytes && seconds(now - stalled_since_) > limits_.stalled_s) ||
                         (phase_ == Phase::kFlushing && waited_s > limits_.stalled_s);
    if (stalled || (phase_ == Phase::kLingering && waited_s > limits_.linger_s)) return close();
    if (phase_ == Phase::kIdle && waited_s > limits_.idle_s) return close();
    if (phase_ == Phase::kReading && waited_s > (has_head_ ? limits_.body_s : limits_.head_s))
        return refuse(408, fmt::format("the {} has not come within {:g} s", has_head_ ? "body" : "head",
                                       has_head_ ? limits_.body_s : limits_.head_s));
    if (phase_ != Phase::kAnswering) return;
    if (exchange_ && exchange_->is_stream_ && seconds(now - last_sent_) > limits_.ping_s)
        exchange_->write(": ping\n\n");
}
