// chat.cpp: a conversation in the terminal, or over a pipe; each line is a turn. Ctrl-C stops an answer, not the
// program.
#include <algorithm>

#include "app/answer.h"
#include "app/interrupt.h"
#include "app/turn_input.h"
#include "base/output_file.h"
#include "error.h"
#include "line_writer.h"
#include "log.h"
#include "options.h"
#include "profile.h"

namespace {

Message user_message(const std::string& text) {
    Message message;
    message.content = text;
    return message;
}

// The turns so far. A turn that fails, or is interrupted before it says anything, is not kept.
class ChatSession {
  public:
    ChatSession(const Options& options, const Model& model, const Tokenizer& tokenizer, Engine& engine, AnswerText& out)
        : options_(options),
          config_(model.common()),
          tokenizer_(tokenizer),
          renderer_(tokenizer),
          engine_(engine),
          out_(out),
          sampling_(sampling_for(options, model.common())) {
        preamble_.effort = options.effort;
        preamble_.instructions = options.instructions;
        stop_ids_ = model.common().stop_ids;
        for (const int id : renderer_.stop_ids()) stop_ids_.push_back(id);
    }

    void clear() { messages_.clear(); }

    void turn(const std::string& text) {
        if (text.size() > kMaxTurnBytes) fail("expected a line of at most {} MB, found more", kMaxTurnBytes >> 20);
        std::vector<Message> messages = messages_;
        messages.push_back(user_message(text));
        std::vector<int> prompt = fit(messages);
        const int room = room_for_answer(config_, options_.steps, prompt.size());
        const int max_new = std::min(room, options_.max_new.value_or(room));

        // Every turn has a random stream of its own, so that asking again may give another answer.
        Sampling sampling = sampling_;
        sampling.seed += uint64_t(n_turns_++);
        HarmonyAnswer answer(out_, tokenizer_, options_.show_reasoning, options_.strict_harmony);
        const AnswerStats stats =
            run_answer(engine_, std::move(prompt), max_new, sampling, stop_ids_, answer, &interrupted());
        out_.check();
        if (interrupted())
            log_line("(stopped)");
        else if (stats.finish == Finish::kLength)
            log_line("(the answer ended at {} tokens, the limit of {})", stats.n_prompt + stats.n_new,
                     stats.n_new < max_new ? "the memory for the KV cache"
                     : max_new < room      ? "--num-tokens"
                                           : limit_name(config_, options_.steps));
        print_speed(stats);
        for (const Message& message : answer.messages())
            if (!message.content.empty() && audience_of(message) != Audience::kNobody) messages.push_back(message);
        if (messages.back().role != Role::kUser) messages_ = std::move(messages);
    }

  private:
    // The prompt made of `messages`. To leave room for an answer, it drops the oldest turns, one by one, until the
    // prompt takes at most three quarters of the positions.
    std::vector<int> fit(std::vector<Message>& messages) const {
        const int limit = answer_limit(config_, options_.steps);
        std::vector<int> prompt = renderer_.render_prompt(preamble_, messages);
        int n_forgotten = 0;
        while (int64_t(prompt.size()) > int64_t(limit) * 3 / 4) {
            const auto second = std::find_if(messages.begin() + 1, messages.end(),
                                             [](const Message& m) { return m.role == Role::kUser; });
            if (second == messages.end()) break;
            messages.erase(messages.begin(), second);
            n_forgotten++;
            prompt = renderer_.render_prompt(preamble_, messages);
        }
        if (n_forgotten > 0)
            log_line("(the conversation has come near {} tokens, the limit of {}: its oldest {} forgotten)", limit,
                     limit_name(config_, options_.steps),
                     n_forgotten == 1 ? "turn is" : fmt::format("{} turns are", n_forgotten));
        return prompt;
    }

    const Options& options_;
    const CommonConfig& config_;
    const Tokenizer& tokenizer_;
    const HarmonyRenderer renderer_;
    Engine& engine_;
    AnswerText& out_;
    const Sampling sampling_;
    Preamble preamble_;
    std::vector<int> stop_ids_;
    std::vector<Message> messages_;
    int n_turns_ = 0;
};

// Runs one turn; false if it failed. On a terminal, Ctrl-C stops the answer and never the conversation, even if it
// comes a moment too late. Without a terminal it ends the program.
bool take_turn(ChatSession& session, const std::string& text, bool is_terminal, const AnswerText& out) {
    bool ok = true;
    catch_interrupts();
    try {
        session.turn(text);
    } catch (const Error& e) {  // the turn is too long or not UTF-8: the conversation goes on
        out.check();            // throws if stdout is lost, which ends it
        log_line("run: {}", e.what());
        ok = false;
    }
    if (!is_terminal) {
        release_interrupts();
        if (interrupted()) end_by_interrupt();
    }
    return ok;
}

}  // namespace

int chat(const Options& options, const Model& model) {
    const Tokenizer tokenizer = Tokenizer::for_model(model, options.tokenizer);
    Engine engine(model, engine_options(options, /*max_sequences=*/1));
    AnswerText out(model_files(options, model));
    ChatSession session(options, model, tokenizer, engine, out);
    const std::unique_ptr<TurnInput> input = open_turn_input();
    log_line("{}", engine.describe());
    log_line("/new forgets the conversation, /quit or Ctrl-D leaves, Ctrl-C stops an answer or clears the line.");

    if (input->is_terminal()) catch_interrupts();
    bool failed = false;
    const bool has_first = !options.input.empty() && options.input != "-";  // "-": lines of stdin, as without -i
    std::optional<std::string> line = has_first ? options.input : input->next();
    for (; line && *line != "/quit"; line = input->next()) {
        if (*line == "/new")
            session.clear();
        else if (!line->empty())
            failed = !take_turn(session, *line, input->is_terminal(), out) || failed;
    }
    if (options.profile) print_profile(engine.stats());
    return failed ? kExitRequestFailed : kExitOk;
}
