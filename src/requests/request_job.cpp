// request_job.cpp: one request while it runs: collects its tokens and the text that they spell.
#include <algorithm>
#include <atomic>
#include <chrono>

#include "requests.h"
#include "requests/stop_scanner.h"

namespace {

class RequestJob : public Job {
  public:
    RequestJob(Request request, const TextCodec& codec, ResultSink& sink)
        : request_(std::move(request)),
          tokenizer_(request_.kind != AnswerKind::kTokens && codec.has_tokenizer() ? &codec.tokenizer() : nullptr),
          content_(request_.stop_texts),
          sink_(sink) {
        if (request_.kind == AnswerKind::kChat) parser_.emplace(*tokenizer_, request_.tool_names);
        prompt = std::move(request_.prompt);
        max_new_tokens = request_.max_new_tokens;
        min_new_tokens = request_.min_new_tokens;
        sampling = request_.sampling;
        stop_ids = request_.stop_ids;
        answer_.n_prompt = int(prompt.size());
    }

    bool on_token(int id) override {
        if (!has_begun_.exchange(true)) answer_.first_token_s = seconds_since_read();
        answer_.ids.push_back(id);
        sink_.on_token();
        if (!tokenizer_) return true;
        if (std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end()) {
            if (parser_ && tokenizer_->is_special(id))
                add(parser_->feed(id));  // `<|call|>` makes what came before it a call
            return true;
        }
        if (parser_) return add(parser_->feed(id));
        add_text(utf8_.feed(tokenizer_->bytes(id)));
        return !content_.found();
    }

    bool cancelled() const override { return sink_.cancelled(has_begun_); }

    void on_done(Finish finish) override {
        if (finish == Finish::kCancelled) return;  // nobody wants half an answer
        if (parser_)
            add(parser_->finish());
        else
            content_.feed(utf8_.finish());
        answer_.finish = finish;
        answer_.request_s = seconds_since_read();
        answer_.content = content_.text() + (request_.include_stop ? content_.found_stop() : "");
        if (parser_) collect_messages();
        sink_.on_answer(request_, std::move(answer_));
    }

    void on_error(const std::string& why) override {
        Answer failed;
        failed.error = why;
        sink_.on_answer(request_, std::move(failed));
    }

  private:
    double seconds_since_read() const { return std::chrono::duration<double>(Clock::now() - read_).count(); }

    // Returns false if the answer ends here.
    bool add(const HarmonyParser::Delta& delta) {
        if (delta.audience == Audience::kReader) add_content(delta);
        const bool reasons = delta.audience == Audience::kReasoning && !delta.channel.empty() && !delta.message_done;
        if (reasons && reasons_) answer_.n_reasoning++;  // not the id that opened the message
        reasons_ = reasons;
        const bool called = delta.audience == Audience::kTool && delta.message_done;
        return !content_.found() && (!called || request_.parallel_tool_calls || is_too_short());
    }

    bool is_too_short() const { return int(answer_.ids.size()) <= request_.min_new_tokens; }

    // Looks for stop strings only where the answer may end.
    void add_text(const std::string& text) { is_too_short() ? content_.pass(text) : void(content_.feed(text)); }

    // Adds text for the user. A new message begins on a new line.
    void add_content(const HarmonyParser::Delta& delta) {
        if (!delta.text.empty()) {
            if (new_message_ && !content_.text().empty()) add_text("\n");
            new_message_ = false;
            add_text(delta.text);
        }
        if (delta.message_done) new_message_ = true;
    }

    void collect_messages() {
        for (const Message& message : parser_->messages()) {
            const Audience audience = audience_of(message);
            if (audience == Audience::kTool) answer_.tool_calls.push_back({called_tool(message), message.content});
            if (audience == Audience::kReasoning) {
                if (!answer_.reasoning.empty()) answer_.reasoning += "\n";
                answer_.reasoning += message.content;
            }
        }
    }

    using Clock = std::chrono::steady_clock;
    const Clock::time_point read_ = Clock::now();
    Request request_;
    const Tokenizer* const tokenizer_;  // null: ids only
    std::optional<HarmonyParser> parser_;
    Utf8Stream utf8_;
    StopScanner content_;
    std::atomic<bool> has_begun_{false};  // atomic, as any thread may call cancelled()
    bool new_message_ = false, reasons_ = false;
    Answer answer_;
    ResultSink& sink_;
};

}  // namespace

std::unique_ptr<Job> make_job(Request request, const TextCodec& codec, ResultSink& sink) {
    return std::make_unique<RequestJob>(std::move(request), codec, sink);
}
