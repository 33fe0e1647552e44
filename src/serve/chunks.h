// chunks.h: the answers to a chat or a completion as a stream of chunks, in the order that the API's clients need.
#pragma once
#include "requests/answer_body.h"
#include "serve/service.h"

// One stream, for all choices of a request. Lives as long as one of its sinks.
class ChunkStream {
  public:
    ChunkStream(Service& service, std::shared_ptr<Exchange> exchange, const Request& request, AnswerHead head,
                int n_choices);

    // The sinks of all choices. The stream begins at once: a client that waits in the queue sees that it was heard.
    static Service::Sinks begin(Service& service, const std::shared_ptr<Exchange>& exchange,
                                const std::vector<Request>& requests, AnswerHead head);

    // A piece of choice `index`: `delta` is its JSON, or its text as JSON; logprobs is JSON too.
    void piece(int index, std::string_view delta, std::string_view logprobs = "null");
    void end(int index, Answer answer);
    bool shows_reasoning() const { return shows_reasoning_; }
    bool tells_reasoning_logprobs() const { return tells_reasoning_logprobs_; }
    int n_logprobs() const { return n_logprobs_; }
    const AnswerHead& head() const { return head_; }
    bool is_chat() const { return is_chat_; }

  private:
    void chunk(int index, std::string_view delta, std::string_view logprobs, std::string_view finish,
               std::string_view more = {});
    void end_all();

    Service& service_;
    const std::shared_ptr<Exchange> exchange_;
    const AnswerHead head_;
    const bool is_chat_, include_usage_, shows_reasoning_, return_token_ids_, tells_reasoning_logprobs_;
    const int n_logprobs_;
    std::string before_;  // each chunk up to its choices
    std::vector<Answer> answers_;
    int n_left_;
    bool failed_ = false;
};
