// log.cpp: writes to stderr, each limited in time and length. One that fails loses its text and stops nothing.
#include "log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

#include "base/utf8.h"
#include "base/visible.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxLineBytes = 1000;   // with what is added, less than a pipe takes whole (PIPE_BUF, 4096)
constexpr size_t kMaxWriteBytes = 2048;  // likewise
constexpr int kPatienceMs = 500;         // for a reader that sleeps; then lines are lost until it wakes
constexpr int kShownOfAKind = 20;
constexpr const char* kEraseLine = "\r\x1b[K";
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kPlain = "\x1b[0m";

// stderr. A pipe or terminal is opened again, because the shell would notice an O_NONBLOCK on fd 2, which it shares.
// For files, and where opening fails, it is fd 2 itself.
class Descriptor {
  public:
    Descriptor() {
        struct stat status;
        if (fstat(STDERR_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || isatty(STDERR_FILENO)))
            opened_ = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    ~Descriptor() {
        if (opened_ >= 0) close(opened_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return opened_ >= 0 ? opened_ : STDERR_FILENO; }

  private:
    int opened_ = -1;
};

bool is_terminal() {
    const char* term = std::getenv("TERM");
    return isatty(STDERR_FILENO) && term && *term && std::string_view(term) != "dumb";
}

bool has_color() {
    const char* no_color = std::getenv("NO_COLOR");
    return is_terminal() && !(no_color && *no_color);
}

// At most `limit` bytes of `text`, no character cut.
std::string_view cut(std::string_view text, size_t limit) {
    return text.size() <= limit ? text : text.substr(0, utf8_valid_prefix(text.substr(0, limit)));
}

class Log {
  public:
    void line(std::string_view text) {
        const std::lock_guard<std::mutex> lock(mutex_);
        put_line(text);
    }

    void repeated(const char* kind, std::string_view text) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (++counts_[kind] <= kShownOfAKind) put_line(text);
    }

    void counts() {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (const auto& [kind, n] : counts_)
            if (n > kShownOfAKind) put_line(fmt::format("{}: {} more like these, not shown", kind, n - kShownOfAKind));
        counts_.clear();
    }

    // "" takes the line away.
    void status(std::string_view text) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!is_terminal() || (text.empty() && state_ != State::kStatus)) return;
        winsize window{};
        const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1;
        const std::string shown = visible(text, LineBreaks::kEscape);
        put(leave() + std::string(cut(shown, known ? window.ws_col - 1u : kMaxLineBytes)));
        if (!text.empty()) state_ = State::kStatus;
    }

    void stream(std::string_view text) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (text.empty()) return;
        if (state_ != State::kStream) put(leave() + (has_color() ? kDim : ""));
        state_ = State::kStream;
        put(visible(text, LineBreaks::kKeep));
    }

    void stream_end() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (state_ == State::kStream) put(leave());
    }

  private:
    enum class State { kLineStart, kStatus, kStream };

    // What takes the cursor to the start of an empty line.
    std::string leave() {
        const State before = state_;
        state_ = State::kLineStart;
        if (before == State::kStatus) return kEraseLine;
        if (before == State::kStream) return has_color() ? std::string(kPlain) + "\n" : "\n";
        return "";
    }

    void put_line(std::string_view text) {
        const std::string_view start = text.substr(0, kMaxLineBytes);  // so that a long text costs little
        const std::string shown = visible(start, LineBreaks::kEscape);
        const std::string_view kept = cut(shown, kMaxLineBytes);
        std::string whole = leave() + std::string(kept);
        if (start.size() < text.size() || kept.size() < shown.size())
            whole += fmt::format("... (a line of {} bytes)", text.size());
        put(whole + "\n");
    }

    void put(std::string_view text) {
        for (; !text.empty(); text.remove_prefix(std::min(text.size(), kMaxWriteBytes)))
            if (!write_piece(text.substr(0, kMaxWriteBytes))) return;
    }

    // False if it is lost.
    bool write_piece(std::string_view piece) {
        const Descriptor descriptor;
        const Clock::time_point start = Clock::now();
        while (!piece.empty()) {
            const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
            const int patience = asleep_ ? 0 : std::max(0, kPatienceMs - int(waited));
            // Before the first write too: it could block where fd 2 itself is written to.
            pollfd writable{descriptor.get(), POLLOUT, 0};
            if (poll(&writable, 1, patience) == 0) {
                asleep_ = true;
                return false;
            }
            const ssize_t n = write(descriptor.get(), piece.data(), piece.size());
            if (n < 0 && errno != EINTR && (errno != EAGAIN || patience == 0)) return false;
            if (n < 0) continue;
            asleep_ = false;
            piece.remove_prefix(size_t(n));
        }
        return true;
    }

    std::mutex mutex_;  // guards what follows
    State state_ = State::kLineStart;
    bool asleep_ = false;  // the reader did not read for as long as we wait
    std::map<std::string, int64_t> counts_;
};

// Never destroyed: threads may log after main().
Log& the_log() {
    static Log* const log = new Log;
    return *log;
}

// A line that cannot be made, for lack of memory say, is lost.
template <class F>
void quietly(const F& f) noexcept {
    const int saved = errno;
    try {
        f(the_log());
    } catch (...) {
    }
    errno = saved;
}

}  // namespace

void prepare_streams() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)  // open() takes the lowest that is free
        if (fcntl(fd, F_GETFD) < 0) open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    std::signal(SIGPIPE, SIG_IGN);
}

void log_formatted(fmt::string_view format, fmt::format_args args) noexcept {
    quietly([&](Log& log) { log.line(fmt::vformat(format, args)); });
}

void log_formatted(const char* kind, fmt::string_view format, fmt::format_args args) noexcept {
    quietly([&](Log& log) { log.repeated(kind, fmt::vformat(format, args)); });
}

void log_formatted_status(fmt::string_view format, fmt::format_args args) noexcept {
    quietly([&](Log& log) { log.status(fmt::vformat(format, args)); });
}

void log_counts() noexcept {
    quietly([](Log& log) { log.counts(); });
}

void log_clear_status() noexcept {
    quietly([](Log& log) { log.status(""); });
}

void log_stream(std::string_view text) noexcept {
    quietly([&](Log& log) { log.stream(text); });
}

void log_stream_end() noexcept {
    quietly([](Log& log) { log.stream_end(); });
}
