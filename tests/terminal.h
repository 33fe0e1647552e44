// terminal.h: a program on a terminal of its own, for tests of what people see and type. Waits for output, never for
// time.
#pragma once
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

class Terminal {
  public:
    // Starts args[0] with the terminal as its three streams. SIGALRM ends it after two minutes. Environment: ours, with
    // TERM as given.
    explicit Terminal(const std::vector<std::string>& args, const std::string& term = "xterm") {
        std::vector<char*> argv;
        for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
        argv.push_back(nullptr);
        winsize size{};
        size.ws_row = 24, size.ws_col = 200;
        pid_ = forkpty(&fd_, nullptr, nullptr, &size);
        if (pid_ < 0) throw std::runtime_error("cannot make a terminal");
        if (pid_ == 0) {
            setenv("TERM", term.c_str(), 1);
            alarm(120);
            execvp(argv[0], argv.data());
            _exit(127);
        }
    }
    ~Terminal() {
        hang_up();
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
    }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    void type(const std::string& text) const {
        if (write(fd_, text.data(), text.size()) != ssize_t(text.size())) throw std::runtime_error("cannot type");
    }

    // Reads until `text` has come, after what was found before; false if the program ended first.
    bool shows(const std::string& text) {
        for (;;) {
            const size_t at = output_.find(text, seen_);
            if (at != std::string::npos) {
                seen_ = at + text.size();
                return true;
            }
            if (!read_some()) return false;
        }
    }

    // The same, and then until the program takes single keys: a prompt may be seen before that.
    bool prompts(const std::string& text) {
        if (!shows(text)) return false;
        for (termios settings; tcgetattr(fd_, &settings) == 0 && (settings.c_lflag & ICANON);) usleep(1000);
        return true;
    }

    // Whether it comes while the program is silent for no longer than that; throws if the program ended.
    bool shows_within(const std::string& text, int milliseconds) {
        for (pollfd readable{fd_, POLLIN, 0}; poll(&readable, 1, milliseconds) > 0;)
            if (!read_some()) throw std::runtime_error("the program ended: " + output_);
        const size_t at = output_.find(text, seen_);
        if (at != std::string::npos) seen_ = at + text.size();
        return at != std::string::npos;
    }

    void hang_up() {
        if (fd_ >= 0) close(fd_);
        fd_ = -1;
    }

    // Reads to the end: the exit code, -N if signal N ended the program.
    int wait() {
        while (fd_ >= 0 && read_some()) continue;
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

    const std::string& output() const { return output_; }

  private:
    bool read_some() {
        char buffer[4096];
        const ssize_t n = read(fd_, buffer, sizeof buffer);  // EIO when the program has ended
        if (n > 0) output_.append(buffer, size_t(n));
        return n > 0;
    }

    int fd_ = -1;
    pid_t pid_ = -1;
    std::string output_;
    size_t seen_ = 0;  // where the next search begins
};
