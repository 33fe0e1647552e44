// answer.h: one answer as generate and chat show it: text as it comes, reasoning apart, then the speed.
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "app/answer_text.h"
#include "engine.h"
#include "harmony.h"
#include "options.h"
#include "tokenizer.h"

// Where an answer's text goes while it is generated.
class AnswerSink {
  public:
    virtual ~AnswerSink() = default;
    virtual void token(int id) = 0;
    virtual void finish() = 0;
    virtual bool failed() const = 0;  // nothing more can be shown
    // The ids that may come next, ascending; null: any may.
    virtual std::shared_ptr<const std::vector<int>> allowed() const { return nullptr; }
};

// Writes the text as it stands to stdout, without `stop_ids`.
class RawAnswer : public AnswerSink {
  public:
    RawAnswer(AnswerText& out, const Tokenizer& tokenizer, std::vector<int> stop_ids);
    void token(int id) override;
    void finish() override;
    bool failed() const override { return out_.failed(); }

  private:
    AnswerText& out_;
    const Tokenizer& tokenizer_;
    std::vector<int> stop_ids_;
    Utf8Stream utf8_;
};

// Writes an answer in harmony: what is for the reader to stdout, as getp's content; the rest dimmed to stderr, or
// nowhere.
class HarmonyAnswer : public AnswerSink {
  public:
    // strict: no headers but the format's can be drawn.
    HarmonyAnswer(AnswerText& out, const Tokenizer& tokenizer, bool show_reasoning, bool strict = false);
    void token(int id) override;
    void finish() override;
    bool failed() const override { return out_.failed(); }
    std::shared_ptr<const std::vector<int>> allowed() const override {
        return headers_ ? headers_->allowed() : nullptr;
    }
    const std::vector<Message>& messages() const { return parser_.messages(); }
    bool says_anything() const { return says_anything_; }  // to the reader

  private:
    void show(const HarmonyParser::Delta& delta);
    AnswerText& out_;
    HarmonyParser parser_;
    std::optional<HeaderAutomaton> headers_;
    const bool show_reasoning_;
    bool says_anything_ = false, new_message_ = false;
};

// How long one answer took, and how long it is.
struct AnswerStats {
    int n_prompt = 0, n_new = 0;
    int n_reused = 0;  // of the prompt, found in the KV cache
    Finish finish = Finish::kLength;
    double prefill_s = 0, decode_s = 0;
    double decode_gbps = 0;
};

// Generates one answer: runs `prompt` on the engine, showing tokens as they come. `stop`, if given, ends it early.
// Throws Error if the engine refuses the request.
AnswerStats run_answer(Engine& engine, std::vector<int> prompt, int max_new_tokens, const Sampling& sampling,
                       std::vector<int> stop_ids, AnswerSink& sink, const std::atomic<bool>* stop = nullptr);

// How to sample: by the flags, else as the model's authors say (then a line on stderr says so), else greedily.
Sampling sampling_for(const Options& options, const CommonConfig& config);

// "prefill 71 tokens at 24.1 tok/s, decode ..." on stderr.
void print_speed(const AnswerStats& stats);
