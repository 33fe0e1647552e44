// responses_answer.h: answers as OpenAI's Responses API has them: an object with items, whole or as a stream of events.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "requests/answer_events.h"

// Puts the pieces of an answer together to its items: what comes in a row and is of one kind is one item.
class AnswerItems : public AnswerEvents {
  public:
    explicit AnswerItems(bool with_reasoning) : with_reasoning_(with_reasoning) {}

    void on_reasoning(std::string_view text) override;
    void on_reasoning_break() override { add_break(AnswerItem::Kind::kReasoning); }
    void on_content(std::string_view text, bool is_preamble) override { add(kind_of(is_preamble), text); }
    void on_content_break(bool is_preamble) override { add_break(kind_of(is_preamble)); }
    void on_call_begin(int index, const std::string& name) override;
    void on_call_arguments(int index, std::string_view text) override;

  protected:
    // The last item has begun, without text; has one more piece of it; another one follows it.
    virtual void on_item_begin() {}
    virtual void on_item_text(std::string_view /*text*/) {}
    virtual void on_item_end() {}
    std::vector<AnswerItem> items_;

  private:
    static AnswerItem::Kind kind_of(bool is_preamble) {
        return is_preamble ? AnswerItem::Kind::kPreamble : AnswerItem::Kind::kText;
    }
    void begin(AnswerItem item);
    void add(AnswerItem::Kind kind, std::string_view text);
    void add_break(AnswerItem::Kind kind);
    const bool with_reasoning_;
};

// Gives `sink` the answer to `request` with its items. The sink outlives it.
std::unique_ptr<AnswerEvents> items_to_sink(Request request, ResultSink& sink);

// What an answer's object says that neither the request nor the model does.
struct ResponseStamp {
    std::string id;         // without what goes before it: "resp_", or in an item "msg_" and so on
    std::string model;      // its name
    int64_t created = 0;    // a Unix time, in seconds
    bool tells_run = true;  // how long it took, and what the KV cache had, which is another at every run
};

// The object for an answer, which is no failure and has its items.
std::string response_object(const ResponseRequest& request, const ResponseStamp& stamp, const Answer& answer);
// The same for a request that is to be stored; `store` then has it.
void store_response(ResponseStore& store, const ResponseRequest& request, const ResponseStamp& stamp,
                    const Answer& answer);

// Writes an answer as events while it comes.
class ResponseEvents : public AnswerItems {
  public:
    // Takes an event's name and its data, which is JSON in one line.
    using Out = std::function<void(std::string_view type, const std::string& data)>;
    // `store` is null if nothing is stored.
    ResponseEvents(const Request& request, ResponseStamp stamp, ResponseStore* store, Out out);

    // The first two events. They come by themselves before the first token, if they have not come yet.
    void start();
    void on_begin(int) override { start(); }
    void on_done(Answer answer) override;

  protected:
    void on_item_begin() override;
    void on_item_text(std::string_view text) override;
    void on_item_end() override { end_item("completed"); }

  private:
    void end_item(const char* status);
    void emit(std::string_view type, const std::string& members);
    std::string place() const;

    const std::shared_ptr<const ResponseRequest> request_;
    const ResponseStamp stamp_;
    ResponseStore* const store_;
    const Out out_;
    bool has_started_ = false;
    int64_t n_events_ = 0;
};
