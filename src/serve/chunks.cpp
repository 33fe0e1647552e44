// chunks.cpp: a chunk is put together as text: only what the model has said needs to be escaped.
#include "serve/chunks.h"

#include <fmt/core.h>

namespace {

using Object = nlohmann::ordered_json;

// Writes one choice of a stream.
class ChunkSink : public AnswerEvents {
  public:
    ChunkSink(std::shared_ptr<ChunkStream> stream, int index) : stream_(std::move(stream)), index_(index) {}

    void on_reasoning(std::string_view text) override {
        const AnswerHead& head = stream_->head();
        if (!stream_->shows_reasoning()) return;
        const std::string value = json_text(text);
        std::string fields;
        if (head.reasoning) fields += "\"reasoning\":" + value;
        if (head.reasoning_content) fields += (fields.empty() ? "" : ",") + ("\"reasoning_content\":" + value);
        stream_->piece(index_, "{" + fields + "}");
    }
    void on_content(std::string_view text, bool) override {
        stream_->piece(index_, stream_->is_chat() ? "{\"content\":" + json_text(text) + "}" : json_text(text));
    }
    void on_call_begin(int index, const std::string& name) override {
        stream_->piece(index_, fmt::format(R"({{"tool_calls":[{{"index":{},"id":"{}","type":"function",)"
                                           R"("function":{{"name":{},"arguments":""}}}}]}})",
                                           index, call_id(stream_->head(), index_, index), json_text(name)));
    }
    void on_call_arguments(int index, std::string_view text) override {
        stream_->piece(index_, fmt::format(R"({{"tool_calls":[{{"index":{},"function":{{"arguments":{}}}}}]}})", index,
                                           json_text(text)));
    }
    void on_done(Answer answer) override { stream_->end(index_, std::move(answer)); }

  private:
    const std::shared_ptr<ChunkStream> stream_;
    const int index_;
};

}  // namespace

std::string json_text(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ChunkStream::ChunkStream(Service& service, std::shared_ptr<Exchange> exchange, const Request& request, AnswerHead head,
                         int n_choices)
    : service_(service),
      exchange_(std::move(exchange)),
      head_(std::move(head)),
      is_chat_(request.kind == AnswerKind::kChat),
      include_usage_(request.include_usage),
      shows_reasoning_(request.include_reasoning && (head_.reasoning || head_.reasoning_content)),
      return_token_ids_(request.return_token_ids),
      before_(
          fmt::format(R"(data: {{"id":"{}","object":"{}","created":{},"model":{},"system_fingerprint":{},"choices":[)",
                      head_.id, is_chat_ ? "chat.completion.chunk" : "text_completion", head_.created,
                      json_text(head_.model), json_text(head_.fingerprint))),
      answers_(size_t(n_choices)),
      n_left_(n_choices) {}

Service::Sinks ChunkStream::begin(Service& service, const std::shared_ptr<Exchange>& exchange,
                                  const std::vector<Request>& requests, AnswerHead head) {
    const int n = int(requests.size());
    const auto stream = std::make_shared<ChunkStream>(service, exchange, requests.front(), std::move(head), n);
    exchange->begin_events();
    Service::Sinks sinks;
    for (int i = 0; i < n; i++) {
        if (stream->is_chat_) stream->piece(i, R"({"role":"assistant","content":""})");
        sinks.push_back(std::make_unique<ChunkSink>(stream, i));
    }
    return sinks;
}

void ChunkStream::piece(int index, std::string_view delta) {
    chunk(index, delta, "null");
}

void ChunkStream::chunk(int index, std::string_view delta, std::string_view finish, std::string_view more) {
    exchange_->write(fmt::format(R"({}{{"index":{},"{}":{},"logprobs":null,"finish_reason":{}{}}}]{}}})"
                                 "\n\n",
                                 before_, index, is_chat_ ? "delta" : "text", delta, finish, more,
                                 include_usage_ ? ",\"usage\":null" : ""));
}

void ChunkStream::end(int index, Answer answer) {
    if (!answer.error.empty()) {
        if (!failed_) exchange_->write("data: " + error_object(service_.failure(answer.error)) + "\n\n");
        failed_ = true;
    } else if (!failed_) {
        const std::string ids = return_token_ids_ ? ",\"token_ids\":" + Object(answer.ids).dump() : "";
        chunk(index, is_chat_ ? "{}" : "\"\"", fmt::format("\"{}\"", finish_reason(answer)), ids);
    }
    answers_[size_t(index)] = std::move(answer);
    if (--n_left_ == 0) end_all();
}

void ChunkStream::end_all() {
    if (failed_) return exchange_->end_events(/*keep_alive=*/false);
    if (include_usage_) {
        const Object usage = usage_object(is_chat_, answers_, head_.details);
        exchange_->write(fmt::format("{}],\"usage\":{},\"timings\":{}}}\n\n", before_, usage.dump(),
                                     timings_object(answers_.front()).dump()));
    }
    exchange_->write("data: [DONE]\n\n");
    exchange_->end_events();
}
