// interrupt.cpp: the handler and its flag.
#include "app/interrupt.h"

#include <csignal>
#include <cstdlib>

namespace {

std::atomic<bool> flag{false};

void on_interrupt(int) {
    flag = true;
}

}  // namespace

void catch_interrupts() {
    flag = false;
    std::signal(SIGINT, on_interrupt);
}

void release_interrupts() {
    std::signal(SIGINT, SIG_DFL);
}

const std::atomic<bool>& interrupted() {
    return flag;
}

void end_by_interrupt() {
    release_interrupts();
    std::raise(SIGINT);
    std::abort();  // SIGINT was blocked
}
