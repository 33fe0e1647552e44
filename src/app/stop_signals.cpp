// stop_signals.cpp: handlers that count, and a thread that acts: a handler may neither lock nor log.
#include "stop_signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <iterator>

#include "error.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSignals[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP};
// How long a step may still take that was in progress when the grace was over.
constexpr double kLastStepS = 5;

std::atomic<int> n_stops{0}, n_status{0};
std::atomic<int> wake_fd{-1};
struct sigaction before[std::size(kSignals)];

void on_signal(int signal) {
    const int saved = errno;
    signal == SIGUSR2 ? n_status++ : n_stops++;
    eventfd_write(wake_fd, 1);
    errno = saved;
}

}  // namespace

StopSignals::StopSignals(double grace_s, Callbacks callbacks) : grace_s_(grace_s), callbacks_(std::move(callbacks)) {
    n_stops = n_status = 0;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0) fail("signals: cannot wait for them: {}", std::strerror(errno));
    thread_ = std::thread([this] { watch(); });
    struct sigaction ours {};
    ours.sa_flags = SA_RESTART;
    for (size_t i = 0; i < std::size(kSignals); i++) {
        sigaction(kSignals[i], nullptr, &before[i]);
        if (before[i].sa_handler == SIG_IGN) continue;
        ours.sa_handler = kSignals[i] == SIGHUP ? SIG_IGN : on_signal;
        sigaction(kSignals[i], &ours, nullptr);
    }
}

StopSignals::~StopSignals() {
    for (size_t i = 0; i < std::size(kSignals); i++) sigaction(kSignals[i], &before[i], nullptr);
    ending_ = true;
    eventfd_write(wake_fd, 1);
    thread_.join();
    close(wake_fd.exchange(-1));
}

void StopSignals::watch() {
    int status_seen = 0;
    Clock::time_point deadline;
    const auto seconds_left = [&] { return std::chrono::duration<double>(deadline - Clock::now()).count(); };
    while (!ending_) {
        const int wait_ms = !stopping_ ? -1 : 100;
        pollfd woken{wake_fd, POLLIN, 0};
        poll(&woken, 1, wait_ms);
        eventfd_t count = 0;
        if (woken.revents & POLLIN) eventfd_read(wake_fd, &count);
        if (ending_) return;
        if (n_status > status_seen) callbacks_.status();
        status_seen = n_status;
        if (n_stops > 1 || (n_stops == 1 && !has_work_ && !stopping_)) callbacks_.at_once();
        if (n_stops == 1 && !stopping_) {
            deadline =
                Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(grace_s_));
            stopping_ = true;
            callbacks_.stop();
        }
        if (stopping_ && seconds_left() <= 0) grace_is_over_ = true;
        if (stopping_ && has_work_ && seconds_left() < -kLastStepS) callbacks_.at_once();
    }
}
