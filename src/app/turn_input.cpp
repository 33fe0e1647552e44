// turn_input.cpp: a terminal by libedit, anything else by read().
#include "app/turn_input.h"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "error.h"
#include "log.h"

namespace {

void remove_line_break(std::string& text) {
    if (!text.empty() && text.back() == '\n') text.pop_back();
    if (!text.empty() && text.back() == '\r') text.pop_back();
}

// Some bytes of stdin; 0 at its end.
size_t read_stdin(char* to, size_t n_bytes) {
    for (;;) {
        const ssize_t n = read(STDIN_FILENO, to, n_bytes);
        if (n >= 0) return size_t(n);
        if (errno == EAGAIN) {  // another program that shares stdin has set O_NONBLOCK
            pollfd readable{STDIN_FILENO, POLLIN, 0};
            poll(&readable, 1, -1);
        } else if (errno != EINTR) {
            fail("stdin: cannot read: {}", std::strerror(errno));
        }
    }
}

class PipeInput : public TurnInput {
  public:
    std::optional<std::string> next() override {
        std::string line;
        bool found = false;
        for (;;) {
            if (begin_ == end_) {
                begin_ = 0;
                end_ = read_stdin(buffer_, sizeof buffer_);
                if (end_ == 0) break;
            }
            found = true;
            const std::string_view rest(buffer_ + begin_, end_ - begin_);
            const size_t length = std::min(rest.find('\n'), rest.size());
            line.append(rest, 0, std::min(length, kMaxTurnBytes + 1 - line.size()));
            begin_ += std::min(length + 1, rest.size());
            if (length < rest.size()) break;
        }
        if (!found) return {};
        remove_line_break(line);
        return line;
    }
    bool is_terminal() const override { return false; }

  private:
    char buffer_[65536];
    size_t begin_ = 0, end_ = 0;  // what has been read and not yet given
};

// While a line is edited, Ctrl-C is a key: it clears the line; pressed twice on an empty line, it leaves the chat.
class TerminalInput : public TurnInput {
  public:
    TerminalInput() : history_(history_init()) {
        // Makes letters beyond ASCII editable, even if the environment names no locale.
        if (const char* set = std::setlocale(LC_CTYPE, ""); !set || MB_CUR_MAX == 1)
            std::setlocale(LC_CTYPE, "C.UTF-8");
        editor_ = el_init("run", stdin, isatty(STDOUT_FILENO) ? stdout : stderr, stderr);
        if (!editor_ || !history_) fail("stdin: cannot edit lines on this terminal");
        HistEvent event;
        history(history_, &event, H_SETSIZE, 1000);
        el_set(editor_, EL_CLIENTDATA, this);
        el_set(editor_, EL_PROMPT, prompt);
        el_set(editor_, EL_EDITOR, "emacs");
        el_set(editor_, EL_SIGNAL, 1);
        el_set(editor_, EL_HIST, history, history_);
        el_set(editor_, EL_SETTY, "-d", "-isig", nullptr);  // keys, and no signals, while a line is edited
        el_set(editor_, EL_ADDFN, "clear-or-leave", "Ctrl-C", clear_or_leave);
        el_set(editor_, EL_BIND, "^C", "clear-or-leave", nullptr);
        el_set(editor_, EL_ADDFN, "suspend", "Ctrl-Z", suspend);
        el_set(editor_, EL_BIND, "^Z", "suspend", nullptr);
    }
    ~TerminalInput() override {
        if (editor_) el_end(editor_);
        if (history_) history_end(history_);
    }
    TerminalInput(const TerminalInput&) = delete;
    TerminalInput& operator=(const TerminalInput&) = delete;

    std::optional<std::string> next() override {
        bool warned = false;
        for (;;) {
            key_ = Key::kOther;
            errno = 0;
            int n = 0;
            const char* text = el_gets(editor_, &n);
            if (!text && errno == EINTR) continue;  // a signal is not the end of the input
            if (key_ == Key::kOther) return text ? std::optional(entered(std::string(text, size_t(n)))) : std::nullopt;
            if (key_ == Key::kOnEmpty && warned) return {};
            warned = key_ == Key::kOnEmpty;
            log_line(warned ? "(Ctrl-C again, or Ctrl-D, leaves)" : "");
        }
    }
    bool is_terminal() const override { return true; }

  private:
    enum class Key { kOther, kOnText, kOnEmpty };  // what ended the line: Ctrl-C with or without text on it, or else

    static char* prompt(EditLine*) {
        static char text[] = "> ";
        return text;
    }

    static unsigned char clear_or_leave(EditLine* editor, int) {
        void* self = nullptr;
        el_get(editor, EL_CLIENTDATA, &self);
        const LineInfo* line = el_line(editor);
        static_cast<TerminalInput*>(self)->key_ = line->lastchar > line->buffer ? Key::kOnText : Key::kOnEmpty;
        return CC_NEWLINE;
    }

    static unsigned char suspend(EditLine*, int) {
        std::raise(SIGTSTP);
        return CC_REFRESH;
    }

    std::string entered(std::string line) {
        remove_line_break(line);
        HistEvent event;
        if (!line.empty()) history(history_, &event, H_ENTER, line.c_str());
        if (line.size() > kMaxTurnBytes) line.resize(kMaxTurnBytes + 1);
        return line;
    }

    EditLine* editor_ = nullptr;
    History* history_;
    Key key_ = Key::kOther;
};

}  // namespace

std::unique_ptr<TurnInput> open_turn_input() {
    if (isatty(STDIN_FILENO)) return std::make_unique<TerminalInput>();
    return std::make_unique<PipeInput>();
}

std::string read_prompt_from_stdin() {
    std::string text;
    char buffer[65536];
    for (size_t n; (n = read_stdin(buffer, sizeof buffer)) > 0 && text.size() <= kMaxTurnBytes;) text.append(buffer, n);
    if (text.size() > kMaxTurnBytes)
        fail("--input -: expected a prompt of at most {} MB, found more", kMaxTurnBytes >> 20);
    remove_line_break(text);
    return text;
}
