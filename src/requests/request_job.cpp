// request_job.cpp: one request while it runs: collects its tokens and what they spell, and tells it as it comes.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <deque>

#include "request.h"
#include "requests/answer_events.h"
#include "requests/stop_scanner.h"
#include "sampler.h"

namespace {

// The text for the user: looks for stop strings in it, and tells what is sure to stay.
class Content {
  public:
    // Appends to `logprobs` what it tells of tokens.
    Content(std::vector<std::string> stops, AnswerEvents& events, std::vector<TokenChoice>& logprobs)
        : scanner_(std::move(stops)), events_(events), logprobs_(logprobs) {}

    // A further message begins, on a new line unless it is the first that says something.
    void begin_message(bool is_preamble, bool looks_for_stops) {
        if (scanner_.found()) return;
        starts_.push_back({scanner_.text().size(), is_preamble});
        if (!scanner_.text().empty()) add("\n", looks_for_stops);
    }

    void add(std::string_view text, bool looks_for_stops) {
        looks_for_stops ? void(scanner_.feed(text)) : scanner_.pass(text);
        tell(std::string_view(scanner_.text()).substr(0, scanner_.n_settled()));
    }

    // The next text is that of this token.
    void begin_token(TokenChoice token) { tokens_.push_back({scanner_.text().size(), std::move(token)}); }

    // Something else is said before the next message, and no stop string reaches across that.
    void interrupt() {
        scanner_.settle();
        tell(scanner_.text());
    }

    bool found_stop() const { return scanner_.found(); }

    std::string finish(bool include_stop) {
        std::string text = scanner_.text() + (include_stop ? scanner_.found_stop() : "");
        tell(text);
        if (!found_stop()) tell_tokens(std::string::npos);
        return text;
    }

  private:
    struct Start {
        size_t begin;  // in the text; of the new line, if there is one
        bool is_preamble;
    };
    struct Token {
        size_t begin;  // in the text
        TokenChoice choice;
    };

    // Tells those that begin before `end`.
    void tell_tokens(size_t end) {
        for (; !tokens_.empty() && tokens_.front().begin < end; tokens_.pop_front()) {
            events_.on_logprobs(tokens_.front().choice, /*is_reasoning=*/false);
            logprobs_.push_back(std::move(tokens_.front().choice));
        }
    }

    // Tells `text` from where the last call ended, message by message.
    void tell(std::string_view text) {
        while (n_told_ < text.size()) {
            while (next_ < starts_.size() && starts_[next_].begin <= n_told_) {
                is_preamble_ = starts_[next_++].is_preamble;
                if (n_told_ == 0) continue;
                events_.on_content_break(is_preamble_);
                n_told_++;
            }
            const size_t end = next_ < starts_.size() ? std::min(starts_[next_].begin, text.size()) : text.size();
            tell_tokens(end);
            if (end > n_told_) events_.on_content(text.substr(n_told_, end - n_told_), is_preamble_);
            n_told_ = end;
        }
    }

    StopScanner scanner_;
    AnswerEvents& events_;
    std::vector<TokenChoice>& logprobs_;
    std::deque<Token> tokens_;  // that are not told yet
    std::vector<Start> starts_;
    size_t next_ = 0;  // among starts_: the message after the one that is being told
    size_t n_told_ = 0;
    bool is_preamble_ = false;
};

class RequestJob : public Job {
  public:
    RequestJob(Request request, const TextCodec& codec, std::unique_ptr<AnswerEvents> events)
        : request_(std::move(request)),
          tokenizer_(request_.kind != AnswerKind::kTokens && codec.has_tokenizer() ? &codec.tokenizer() : nullptr),
          events_(std::move(events)),
          content_(request_.stop_texts, *events_, answer_.logprobs) {
        if (request_.response || request_.kind == AnswerKind::kChat) parser_.emplace(*tokenizer_, request_.tool_names);
        if (request_.headers) headers_.emplace(codec.tokenizer(), *request_.headers);
        for (const int id : request_.opening) {
            if (headers_) headers_->feed(id);
            open_ = opened(parser_->feed(id));
        }
        prompt = std::move(request_.prompt);
        want_logits = request_.echo && request_.sampling.n_logprobs >= 0;
        max_new_tokens = request_.max_new_tokens;
        min_new_tokens = request_.min_new_tokens;
        sampling = request_.sampling;
        stop_ids = request_.stop_ids;
        answer_.n_prompt = int(prompt.size());
        answer_.shares_prompt = request_.shares_prompt;
    }

    std::shared_ptr<const std::vector<int>> allowed() const override {
        return headers_ ? headers_->allowed() : nullptr;
    }

    bool may_end() const override { return !headers_ || headers_->may_end(); }

    // Of an echoed prompt: each position says how likely the next token is.
    void on_logits(int pos, const float* logits) override {
        const auto next = size_t(pos) + 1;
        if (pos == 0) answer_.logprobs.push_back({{bytes_of(prompt[0]), std::nan("")}, {}});
        if (next >= prompt.size()) return;
        const int n_top = request_.sampling.n_logprobs;
        answer_.logprobs.push_back(spelled(logprobs_of(logits, request_.vocab_size, prompt[next], n_top)));
    }

    void on_logprobs(const TokenLogprobs& logprobs) override { last_ = spelled(logprobs); }

    bool on_token(int id) override {
        begin();
        answer_.ids.push_back(id);
        events_->on_token(id);
        if (headers_) headers_->feed(id);
        if (!tokenizer_) return true;
        if (std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end()) {
            if (parser_ && tokenizer_->is_special(id))
                add(parser_->feed(id));  // `<|call|>` makes what came before it a call
            return true;
        }
        if (parser_) return add(parser_->feed(id));
        begin_content_token();
        content_.add(utf8_.feed(tokenizer_->bytes(id)), !is_too_short());
        return !content_.found_stop();
    }

    bool cancelled() const override { return events_->cancelled(has_begun_); }

    void on_start() override { events_->on_start(); }

    void on_reused(int n) override { answer_.n_reused = n; }

    void on_done(Finish finish) override {
        if (finish == Finish::kCancelled) return events_->on_cancelled();  // nobody wants half an answer
        if (request_.echo) begin();
        if (parser_)
            add(parser_->finish());
        else
            content_.add(utf8_.finish(), /*looks_for_stops=*/true);
        answer_.finish = finish;
        answer_.request_s = seconds_since_read();
        answer_.content = content_.finish(request_.include_stop);
        events_->on_done(std::move(answer_));
    }

    void on_error(const std::string& why) override {
        Answer failed;
        failed.error = why;
        events_->on_done(std::move(failed));
    }

  private:
    double seconds_since_read() const { return std::chrono::duration<double>(Clock::now() - read_).count(); }

    // Once, before all else that is told.
    void begin() {
        if (has_begun_.exchange(true)) return;
        answer_.first_token_s = seconds_since_read();
        events_->on_begin(answer_.n_reused);
        if (!request_.echo || !tokenizer_) return;
        for (const TokenChoice& token : answer_.logprobs) events_->on_logprobs(token, /*is_reasoning=*/false);
        Utf8Stream utf8;
        content_.add(utf8.feed(tokenizer_->decode(prompt)), /*looks_for_stops=*/false);
        content_.add(utf8.finish(), /*looks_for_stops=*/false);
    }

    std::string bytes_of(int id) const { return std::string(tokenizer_ ? tokenizer_->bytes(id) : ""); }

    TokenChoice spelled(const TokenLogprobs& logprobs) const {
        TokenChoice choice{{bytes_of(logprobs.drawn.id), logprobs.drawn.logprob}, {}};
        for (const TokenLogprobs::Entry& entry : logprobs.top)
            choice.top.push_back({bytes_of(entry.id), entry.logprob});
        return choice;
    }

    // The last token is one of the text for the user.
    void begin_content_token() {
        if (last_) content_.begin_token(std::move(*last_));
        last_.reset();
    }

    // The last token is one of the analysis.
    void tell_reasoning_token() {
        if (!last_) return;
        events_->on_logprobs(*last_, /*is_reasoning=*/true);
        answer_.reasoning_logprobs.push_back(std::move(*last_));
        last_.reset();
    }

    // Whose message is open, for ids within it; none in a header, and where a message ends.
    static std::optional<Audience> opened(const HarmonyParser::Delta& delta) {
        if (delta.channel.empty() || delta.message_done) return {};
        return delta.audience;
    }

    // Returns false if the answer ends here.
    bool add(const HarmonyParser::Delta& delta) {
        const std::optional<Audience> open = opened(delta);
        const bool is_text = open && open == open_;  // the id that opens a message is none of its text
        open_ = open;
        if (is_text && open == Audience::kReasoning) {
            answer_.n_reasoning++;
            tell_reasoning_token();
        } else if (is_text && open == Audience::kReader) {
            begin_content_token();
        }
        collect(delta.message_done);
        const bool called = delta.audience == Audience::kTool && delta.message_done;
        return !content_.found_stop() && (!called || request_.parallel_tool_calls || is_too_short());
    }

    // Stop strings count only where the answer may end.
    bool is_too_short() const { return int(answer_.ids.size()) <= request_.min_new_tokens; }

    // Takes what one more id has added to the messages. If it has ended a message and begun another, the other one is
    // still open.
    void collect(bool message_done) {
        const std::vector<Message>& messages = parser_->messages();
        const size_t n_open = message_done && messages.size() < n_messages_ + 2 ? 0 : 1;
        for (; n_closed_ < messages.size(); n_closed_++, n_bytes_ = 0) {
            const Message& message = messages[n_closed_];
            if (n_closed_ >= n_messages_) begin(message);
            add_text(message, std::string_view(message.content).substr(n_bytes_));
            n_bytes_ = message.content.size();
            if (n_closed_ + n_open >= messages.size()) break;
            if (audience_of(message) == Audience::kTool) events_->on_call_end(int(answer_.tool_calls.size()) - 1);
        }
        n_messages_ = messages.size();
    }

    void begin(const Message& message) {
        const Audience audience = audience_of(message);
        new_message_ = true;
        if (audience == Audience::kTool || audience == Audience::kReasoning) content_.interrupt();
        if (audience == Audience::kTool) {
            answer_.tool_calls.push_back({called_tool(message), ""});
            events_->on_call_begin(int(answer_.tool_calls.size()) - 1, answer_.tool_calls.back().name);
        }
        if (audience == Audience::kReasoning && !answer_.reasoning.empty()) {
            answer_.reasoning += "\n";
            events_->on_reasoning_break();
        }
    }

    void add_text(const Message& message, std::string_view text) {
        if (text.empty()) return;
        const Audience audience = audience_of(message);
        if (audience == Audience::kReader) {
            if (new_message_) content_.begin_message(message.channel == "commentary", !is_too_short());
            content_.add(text, !is_too_short());
        } else if (audience == Audience::kReasoning) {
            answer_.reasoning += text;
            events_->on_reasoning(text);
        } else if (audience == Audience::kTool) {
            answer_.tool_calls.back().arguments += text;
            events_->on_call_arguments(int(answer_.tool_calls.size()) - 1, text);
        }
        new_message_ = false;
    }

    using Clock = std::chrono::steady_clock;
    const Clock::time_point read_ = Clock::now();
    Request request_;
    const Tokenizer* const tokenizer_;  // null: ids only
    const std::unique_ptr<AnswerEvents> events_;
    std::optional<HarmonyParser> parser_;
    size_t n_messages_ = 0, n_closed_ = 0;  // the parser's messages that have begun, and those that have ended
    size_t n_bytes_ = 0;                    // of the open message, collected so far
    bool new_message_ = false;              // the open message has said nothing yet
    std::optional<HeaderAutomaton> headers_;
    std::optional<Audience> open_;     // whose message the last id has left open
    std::optional<TokenChoice> last_;  // of the token that comes next
    Utf8Stream utf8_;
    Content content_;
    std::atomic<bool> has_begun_{false};  // atomic, as any thread may call cancelled()
    Answer answer_;
};

}  // namespace

std::unique_ptr<Job> make_job(Request request, const TextCodec& codec, std::unique_ptr<AnswerEvents> events) {
    return std::make_unique<RequestJob>(std::move(request), codec, std::move(events));
}
