// mailbox.cpp: a list under a lock, and an eventfd that the loop waits for.
#include "serve/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "error.h"

Mailbox::Mailbox(event_base* base)
    : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      event_(event_new(
          base, fd_, EV_READ | EV_PERSIST, [](int, short, void* self) { static_cast<Mailbox*>(self)->run_all(); },
          this)) {
    if (fd_ < 0) fail("serve: cannot wait for other threads: {}", std::strerror(errno));
    event_add(event_, nullptr);
}

Mailbox::~Mailbox() {
    event_free(event_);
    close(fd_);
}

void Mailbox::post(std::function<void()> work, bool soon) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        posted_.push_back(std::move(work));
    }
    if (soon) wake();
}

void Mailbox::wake() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (is_woken_ || posted_.empty()) return;
        is_woken_ = true;
    }
    eventfd_write(fd_, 1);
}

void Mailbox::run_all() {
    eventfd_t count = 0;
    eventfd_read(fd_, &count);
    std::vector<std::function<void()>> work;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        is_woken_ = false;
        work.swap(posted_);
    }
    for (const auto& one : work) one();
}
