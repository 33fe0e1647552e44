// responses_answer.cpp: an answer's items, and the object that holds them.
#include "requests/responses_answer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "requests/responses_json.h"
#include "requests/responses_request.h"

namespace {

using Kind = AnswerItem::Kind;

class ItemsToSink : public AnswerItems {
  public:
    ItemsToSink(Request request, ResultSink& sink)
        : AnswerItems(request.include_reasoning), request_(std::move(request)), sink_(sink) {}
    bool cancelled(bool has_begun) const override { return sink_.cancelled(has_begun); }
    void on_token(int) override { sink_.on_token(); }
    void on_done(Answer answer) override {
        answer.items = std::move(items_);
        sink_.on_answers(request_, {std::move(answer)});
    }

  private:
    const Request request_;
    ResultSink& sink_;
};

std::string usage_json(const Answer& answer, bool tells_run) {
    return fmt::format(R"({{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{}}},"output_tokens":{},)"
                       R"("output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{}}})",
                       answer.n_prompt, tells_run ? answer.n_reused : 0, answer.ids.size(), answer.n_reasoning,
                       answer.n_prompt + int64_t(answer.ids.size()));
}

// An item whose content, or arguments, are `inner`.
std::string item_json(const AnswerItem& item, const ResponseStamp& stamp, size_t index, const char* status,
                      const std::string& inner) {
    const std::string id = item_id(item, stamp, index);
    switch (item.kind) {
        case Kind::kReasoning:
            return fmt::format(R"({{"id":"{}","type":"reasoning","summary":[],"content":[{}],"status":"{}"}})", id,
                               inner, status);
        case Kind::kPreamble:
        case Kind::kText:
            return fmt::format(
                R"({{"id":"{}","type":"message","role":"assistant","status":"{}","content":[{}],"phase":"{}"}})", id,
                status, inner, item.kind == Kind::kText ? "final_answer" : "commentary");
        case Kind::kCall:
            return fmt::format(
                R"({{"id":"{}","type":"function_call","call_id":"call_{}_{}","name":{},"arguments":{},"status":"{}"}})",
                id, stamp.id, index, json_string(item.name), inner, status);
    }
    return "";
}

// The items of an answer that is no failure. The last one is what the limit of tokens has cut off.
std::vector<std::string> items_json(const ResponseRequest& request, const ResponseStamp& stamp, const Answer& answer) {
    std::vector<std::string> items;
    for (size_t i = 0; i < answer.items.size(); i++) {
        const bool is_cut = answer.finish == Finish::kLength && i + 1 == answer.items.size();
        items.push_back(ended_item_json(answer.items[i], stamp, i, is_cut ? "incomplete" : "completed",
                                        request.encrypts_reasoning));
    }
    return items;
}

}  // namespace

void AnswerItems::begin(AnswerItem item) {
    if (!items_.empty()) on_item_end();
    items_.push_back(std::move(item));
    on_item_begin();
}

void AnswerItems::add(Kind kind, std::string_view text) {
    if (text.empty()) return;
    if (items_.empty() || items_.back().kind != kind) begin({kind, "", ""});
    items_.back().text += text;
    on_item_text(text);
}

void AnswerItems::add_break(Kind kind) {
    if (!items_.empty() && items_.back().kind == kind) add(kind, "\n");
}

void AnswerItems::on_reasoning(std::string_view text) {
    if (with_reasoning_) add(Kind::kReasoning, text);
}

void AnswerItems::on_call_begin(int, const std::string& name) {
    begin({Kind::kCall, "", name});
}

void AnswerItems::on_call_arguments(int, std::string_view text) {
    items_.back().text += text;
    on_item_text(text);
}

std::unique_ptr<AnswerEvents> items_to_sink(Request request, ResultSink& sink) {
    return std::make_unique<ItemsToSink>(std::move(request), sink);
}

std::string json_string(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string item_id(const AnswerItem& item, const ResponseStamp& stamp, size_t index) {
    const char* const kind = item.kind == Kind::kReasoning ? "rs" : item.kind == Kind::kCall ? "fc" : "msg";
    return fmt::format("{}_{}_{}", kind, stamp.id, index);
}

std::string part_json(const AnswerItem& item, std::string_view text) {
    if (item.kind == Kind::kReasoning)
        return fmt::format(R"({{"type":"reasoning_text","text":{}}})", json_string(text));
    return fmt::format(R"({{"type":"output_text","text":{},"annotations":[],"logprobs":[]}})", json_string(text));
}

std::string begun_item_json(const AnswerItem& item, const ResponseStamp& stamp, size_t index) {
    return item_json(item, stamp, index, "in_progress", item.kind == Kind::kCall ? "\"\"" : "");
}

std::string ended_item_json(const AnswerItem& item, const ResponseStamp& stamp, size_t index, const char* status,
                            bool encrypts_reasoning) {
    if (item.kind == Kind::kCall) return item_json(item, stamp, index, status, json_string(item.text));
    std::string json = item_json(item, stamp, index, status, part_json(item, item.text));
    if (item.kind == Kind::kReasoning && encrypts_reasoning) {
        json.pop_back();
        json += fmt::format(R"(,"encrypted_content":"{}"}})", encrypted_content(item.text));
    }
    return json;
}

std::string object_json(const ResponseRequest& request, const ResponseStamp& stamp, const Answer* answer,
                        const std::string& output) {
    const bool failed = answer && !answer->error.empty();
    const bool is_cut = answer && !failed && answer->finish == Finish::kLength;
    const char* const status = !answer ? "in_progress" : failed ? "failed" : is_cut ? "incomplete" : "completed";
    const bool is_whole = answer && !failed && !is_cut;
    const int64_t took_s = answer && stamp.tells_run ? int64_t(answer->request_s) : 0;
    return fmt::format(
        R"({{"id":"resp_{}","object":"response","created_at":{},"completed_at":{},"status":"{}","error":{},)"
        R"("incomplete_details":{},"model":{},{},"output":[{}],"usage":{}}})",
        stamp.id, stamp.created, is_whole ? std::to_string(stamp.created + took_s) : "null", status,
        failed ? fmt::format(R"({{"code":"server_error","message":{}}})", json_string(answer->error)) : "null",
        is_cut ? R"({"reason":"max_output_tokens"})" : "null", json_string(stamp.model), request.echo, output,
        answer && !failed ? usage_json(*answer, stamp.tells_run) : "null");
}

std::string response_object(const ResponseRequest& request, const ResponseStamp& stamp, const Answer& answer) {
    return object_json(request, stamp, &answer, fmt::format("{}", fmt::join(items_json(request, stamp, answer), ",")));
}

void store_response(ResponseStore& store, const ResponseRequest& request, const ResponseStamp& stamp,
                    const Answer& answer) {
    if (!request.store) return;
    std::vector<std::string> turn = request.input;
    for (std::string& item : items_json(request, stamp, answer)) turn.push_back(std::move(item));
    std::vector<ResponseTurn> turns = request.turns;
    turns.push_back(std::make_shared<std::vector<std::string>>(std::move(turn)));
    store.add("resp_" + stamp.id, response_object(request, stamp, answer), std::move(turns));
}
