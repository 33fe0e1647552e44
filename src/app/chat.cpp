// chat.cpp: a conversation in the terminal, or over a pipe, one turn a line. Ctrl-C stops an answer and not the program.
#include <editline/readline.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "app/answer.h"
#include "error.h"
#include "log.h"
#include "options.h"
#include "profile.h"

namespace {

std::atomic<bool> interrupted{false};

void on_interrupt(int) {
    interrupted = true;
}

// A line of input with editing and history on a terminal; no value at the end of input.
std::optional<std::string> read_line() {
    if (!isatty(STDIN_FILENO)) {
        std::string line;
        if (!std::getline(std::cin, line)) return {};
        return line;
    }
    const std::unique_ptr<char, decltype(&std::free)> line(readline("> "), &std::free);
    if (!line) return {};
    if (*line) add_history(line.get());
    return std::string(line.get());
}

// Turns so far. A turn that fails, or is interrupted before it says anything, leaves no trace.
class Conversation {
  public:
    Conversation(const Options& options, const Model& model, const Tokenizer& tokenizer, Engine& engine,
                 AnswerText& out)
        : options_(options),
          config_(model.config),
          tokenizer_(tokenizer),
          renderer_(tokenizer),
          engine_(engine),
          out_(out) {
        preamble_.effort = options.effort;
        preamble_.instructions = options.instructions;
        stop_ids_ = model.config.stop_ids;
        for (const int id : renderer_.stop_ids()) stop_ids_.push_back(id);
    }

    void clear() { messages_.clear(); }

    void turn(const std::string& text) {
        std::vector<Message> messages = messages_;
        messages.push_back(user_message(text));
        const std::vector<int> prompt = renderer_.render_prompt(preamble_, messages);
        const int max_new = room_for_answer(config_, options_.steps, prompt.size());

        // Every turn has a stream of its own, so that asking again draws again.
        const Sampling sampling{options_.temperature.value_or(kFamilyTemperature), options_.top_p.value_or(kFamilyTopP),
                                options_.seed + uint64_t(n_turns_++)};
        HarmonyAnswer answer(out_, tokenizer_, options_.show_reasoning);
        interrupted = false;
        const AnswerStats stats = run_answer(engine_, prompt, max_new, sampling, stop_ids_, answer, &interrupted);
        out_.check();
        if (interrupted) log_line("(stopped)");
        if (stats.finish == Finish::kLength)
            log_line("(the answer ended at {} tokens; --steps sets the limit)", stats.n_prompt + stats.n_new);
        print_speed(stats);
        for (const Message& message : answer.messages())
            if (!message.content.empty()) messages.push_back(message);
        if (messages.size() > messages_.size() + 1) messages_ = std::move(messages);
    }

  private:
    static Message user_message(const std::string& text) {
        Message message;
        message.content = text;
        return message;
    }

    const Options& options_;
    const Config& config_;
    const Tokenizer& tokenizer_;
    const HarmonyRenderer renderer_;
    Engine& engine_;
    AnswerText& out_;
    Preamble preamble_;
    std::vector<int> stop_ids_;
    std::vector<Message> messages_;
    int n_turns_ = 0;
};

}  // namespace

int chat(const Options& options, const Model& model) {
    const Tokenizer tokenizer = Tokenizer::for_model(model, options.tokenizer);
    Engine engine(model, engine_options(options, /*max_sequences=*/1));
    AnswerText out;
    Conversation conversation(options, model, tokenizer, engine, out);
    log_line("{}", engine.describe());
    log_line("/new forgets the conversation, /quit or Ctrl-D leaves, Ctrl-C stops an answer.");
    std::signal(SIGINT, on_interrupt);

    bool failed = false;
    std::optional<std::string> line = options.input.empty() ? read_line() : options.input;
    for (; line && *line != "/quit"; line = read_line()) {
        if (line->empty()) continue;
        if (*line == "/new") {
            conversation.clear();
            continue;
        }
        try {
            conversation.turn(*line);
        } catch (const Error& e) {  // too long, not UTF-8: the conversation goes on
            out.check();            // but not without stdout
            log_line("run: {}", e.what());
            failed = true;
        }
    }
    if (options.profile) print_profile(engine.stats());
    return failed ? kExitRequestFailed : kExitOk;
}
