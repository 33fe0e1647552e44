// chunks.cpp: a chunk is put together as text: only what the model has said needs to be escaped.
#include "serve/chunks.h"

#include <fmt/core.h>

#include <algorithm>

namespace {

using Object = nlohmann::ordered_json;

// Text as a JSON string, in quotes.
std::string json_text(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Writes one choice of a stream.
class ChunkSink : public AnswerEvents {
  public:
    ChunkSink(std::shared_ptr<ChunkStream> stream, int index) : stream_(std::move(stream)), index_(index) {}

    void on_logprobs(const TokenChoice& token, bool is_reasoning) override {
        (is_reasoning ? reasoning_logprobs_ : logprobs_).push_back(token);
    }
    void on_reasoning(std::string_view text) override {
        const AnswerHead& head = stream_->head();
        if (!stream_->shows_reasoning()) return;
        const std::string value = json_text(text);
        std::string fields;
        if (head.reasoning) fields += "\"reasoning\":" + value;
        if (head.reasoning_content) fields += (fields.empty() ? "" : ",") + ("\"reasoning_content\":" + value);
        std::string logprobs = "null";
        if (stream_->tells_reasoning_logprobs() && !reasoning_logprobs_.empty())
            logprobs = Object{{"reasoning_logprobs", chat_logprobs(reasoning_logprobs_)}}.dump();
        reasoning_logprobs_.clear();
        stream_->piece(index_, "{" + fields + "}", logprobs);
    }
    void on_content(std::string_view text, bool) override {
        const std::string logprobs = take_logprobs(text);
        stream_->piece(index_, stream_->is_chat() ? "{\"content\":" + json_text(text) + "}" : json_text(text),
                       logprobs);
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
    // Those of the tokens since the last piece of content; this one is `text`.
    std::string take_logprobs(std::string_view text) {
        Object json;
        if (!logprobs_.empty() && stream_->is_chat())
            json = {{"content", chat_logprobs(logprobs_)}, {"refusal", nullptr}};
        else if (!logprobs_.empty())
            json = completion_logprobs(logprobs_, stream_->n_logprobs() > 0, n_characters_);
        logprobs_.clear();
        n_characters_ += std::count_if(text.begin(), text.end(), [](char c) { return (uint8_t(c) & 0xc0) != 0x80; });
        return json.dump(-1, ' ', false, Object::error_handler_t::replace);
    }

    const std::shared_ptr<ChunkStream> stream_;
    const int index_;
    std::vector<TokenChoice> logprobs_, reasoning_logprobs_;
    int64_t n_characters_ = 0;  // of the content so far
};

}  // namespace

ChunkStream::ChunkStream(Service& service, std::shared_ptr<Exchange> exchange, const Request& request, AnswerHead head,
                         int n_choices)
    : service_(service),
      exchange_(std::move(exchange)),
      head_(std::move(head)),
      is_chat_(request.kind == AnswerKind::kChat),
      include_usage_(request.include_usage),
      shows_reasoning_(request.include_reasoning && (head_.reasoning || head_.reasoning_content)),
      return_token_ids_(request.return_token_ids),
      tells_reasoning_logprobs_(request.reasoning_logprobs),
      n_logprobs_(request.sampling.n_logprobs),
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

void ChunkStream::piece(int index, std::string_view delta, std::string_view logprobs) {
    chunk(index, delta, logprobs, "null");
}

void ChunkStream::chunk(int index, std::string_view delta, std::string_view logprobs, std::string_view finish,
                        std::string_view more) {
    exchange_->write(fmt::format(R"({}{{"index":{},"{}":{},"logprobs":{},"finish_reason":{}{}}}]{}}})"
                                 "\n\n",
                                 before_, index, is_chat_ ? "delta" : "text", delta, logprobs, finish, more,
                                 include_usage_ ? ",\"usage\":null" : ""));
}

void ChunkStream::end(int index, Answer answer) {
    if (!answer.error.empty()) {
        if (!failed_) exchange_->write("data: " + error_object(service_.failure(answer.error)) + "\n\n");
        failed_ = true;
    } else if (!failed_) {
        const std::string ids = return_token_ids_ ? ",\"token_ids\":" + Object(answer.ids).dump() : "";
        chunk(index, is_chat_ ? "{}" : "\"\"", "null", fmt::format("\"{}\"", finish_reason(answer)), ids);
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
