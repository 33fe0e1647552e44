// answer_text.cpp: writes the answer to stdout. Waits for a slow reader; no reader, no room or no stdout is an error.
#include "app/answer_text.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/output_file.h"
#include "base/visible.h"
#include "error.h"

AnswerText::AnswerText(const KeptFiles& kept) : is_terminal_(isatty(STDOUT_FILENO)) {
    struct stat file {};
    if (fstat(STDOUT_FILENO, &file) == 0) kept.check(file, "stdout", "one of these");
}

void AnswerText::write(std::string_view text) {
    std::string shown;
    if (is_terminal_) text = shown = visible(text, LineBreaks::kKeep);
    while (!text.empty() && !failed()) {
        const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
        if (n >= 0) {
            text.remove_prefix(size_t(n));
        } else if (errno == EAGAIN) {  // another program that shares stdout has set O_NONBLOCK
            pollfd writable{STDOUT_FILENO, POLLOUT, 0};
            poll(&writable, 1, -1);
        } else if (errno != EINTR) {
            errno_ = errno;
        }
    }
}

void AnswerText::check() const {
    if (failed()) fail("stdout: cannot write: {}", std::strerror(errno_));
}
