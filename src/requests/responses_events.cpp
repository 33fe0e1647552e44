// responses_events.cpp: a Responses answer as events. Their order is what OpenAI's clients check: a part is added
// before it has text, and every item ends before the response does.
#include "requests/responses_answer.h"
#include "requests/responses_json.h"
#include "requests/responses_request.h"

namespace {

using Kind = AnswerItem::Kind;

// What the names of an item's events begin with.
const char* prefix_of(const AnswerItem& item) {
    switch (item.kind) {
        case Kind::kReasoning:
            return "response.reasoning_text";
        case Kind::kPreamble:
        case Kind::kText:
            return "response.output_text";
        case Kind::kCall:
            return "response.function_call_arguments";
    }
    return "";
}

// Only text for the user has log-probabilities.
const char* logprobs_of(const AnswerItem& item) {
    return item.kind == Kind::kPreamble || item.kind == Kind::kText ? R"(,"logprobs":[])" : "";
}

}  // namespace

ResponseEvents::ResponseEvents(const Request& request, ResponseStamp stamp, ResponseStore* store, Out out)
    : AnswerItems(request.include_reasoning),
      request_(request.response),
      stamp_(std::move(stamp)),
      store_(store),
      out_(std::move(out)) {}

// `members` of the event's object come before its number, each followed by a comma.
void ResponseEvents::emit(std::string_view type, const std::string& members) {
    out_(type, fmt::format(R"({{"type":"{}",{}"sequence_number":{}}})", type, members, n_events_++));
}

void ResponseEvents::start() {
    if (has_started_) return;
    has_started_ = true;
    const std::string members = fmt::format("\"response\":{},", object_json(*request_, stamp_, nullptr, ""));
    emit("response.created", members);
    emit("response.in_progress", members);
}

// Where the last item stands, and its only part.
std::string ResponseEvents::place() const {
    const AnswerItem& item = items_.back();
    const size_t index = items_.size() - 1;
    return fmt::format(R"("item_id":"{}","output_index":{},{})", item_id(item, stamp_, index), index,
                       item.kind == Kind::kCall ? "" : R"("content_index":0,)");
}

void ResponseEvents::on_item_begin() {
    const AnswerItem& item = items_.back();
    const size_t index = items_.size() - 1;
    emit("response.output_item.added",
         fmt::format(R"("output_index":{},"item":{},)", index, begun_item_json(item, stamp_, index)));
    if (item.kind != Kind::kCall)
        emit("response.content_part.added", fmt::format("{}\"part\":{},", place(), part_json(item, "")));
}

void ResponseEvents::on_item_text(std::string_view text) {
    const AnswerItem& item = items_.back();
    emit(std::string(prefix_of(item)) + ".delta",
         fmt::format("{}\"delta\":{}{},", place(), json_string(text), logprobs_of(item)));
}

void ResponseEvents::end_item(const char* status) {
    const AnswerItem& item = items_.back();
    const size_t index = items_.size() - 1;
    const std::string done = std::string(prefix_of(item)) + ".done";
    if (item.kind == Kind::kCall) {
        emit(done,
             fmt::format(R"({}"name":{},"arguments":{},)", place(), json_string(item.name), json_string(item.text)));
    } else {
        emit(done, fmt::format("{}\"text\":{}{},", place(), json_string(item.text), logprobs_of(item)));
        emit("response.content_part.done", fmt::format("{}\"part\":{},", place(), part_json(item, item.text)));
    }
    emit("response.output_item.done",
         fmt::format(R"("output_index":{},"item":{},)", index,
                     ended_item_json(item, stamp_, index, status, request_->encrypts_reasoning)));
}

void ResponseEvents::on_done(Answer answer) {
    start();
    const bool failed = !answer.error.empty(), is_cut = failed || answer.finish == Finish::kLength;
    if (!items_.empty()) end_item(is_cut ? "incomplete" : "completed");
    if (failed) answer.finish = Finish::kLength;  // so that the last item is said to be incomplete
    answer.items = std::move(items_);
    const char* const type = failed ? "response.failed" : is_cut ? "response.incomplete" : "response.completed";
    if (store_ && !failed) store_response(*store_, *request_, stamp_, answer);
    emit(type, fmt::format("\"response\":{},", response_object(*request_, stamp_, answer)));
}
