// chat_routes.cpp: chat completions and completions, whole or as a stream.
#include "serve/chunks.h"
#include "serve/routes.h"

namespace {

// Collects the answers to a request and sends them when all are there.
class WholeAnswers {
  public:
    WholeAnswers(Service& service, std::shared_ptr<Exchange> exchange, const Request& request, AnswerHead head,
                 size_t n_answers)
        : service_(service),
          exchange_(std::move(exchange)),
          request_(request),
          head_(std::move(head)),
          answers_(n_answers),
          n_left_(n_answers) {
        request_.prompt = {};
    }

    void end(size_t index, Answer answer) {
        answers_[index] = std::move(answer);
        if (--n_left_ > 0) return;
        for (const Answer& each : answers_)
            if (!each.error.empty()) return respond_error(*exchange_, service_.failure(each.error));
        exchange_->respond(200, dump(answer_body(head_, request_, answers_)));
    }

  private:
    Service& service_;
    const std::shared_ptr<Exchange> exchange_;
    Request request_;
    const AnswerHead head_;
    std::vector<Answer> answers_;
    size_t n_left_;
};

class WholeSink : public AnswerEvents {
  public:
    WholeSink(std::shared_ptr<WholeAnswers> answers, size_t index) : answers_(std::move(answers)), index_(index) {}
    void on_done(Answer answer) override { answers_->end(index_, std::move(answer)); }

  private:
    const std::shared_ptr<WholeAnswers> answers_;
    const size_t index_;
};

AnswerHead make_head(const Service& service, const Request& request) {
    AnswerHead head;
    head.id = random_id(request.kind == AnswerKind::kChat ? "chatcmpl-" : "cmpl-");
    head.model = service.model_name(request.model);
    head.created =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    head.call_id = random_id("call_");
    head.fingerprint = service.fingerprint();
    const std::string& field = service.options.serve.reasoning_field;
    head.reasoning = field == "reasoning" || field == "both";
    head.reasoning_content = field == "reasoning_content" || field == "both";
    head.details = true;
    return head;
}

void answer(Service& service, const std::shared_ptr<Exchange>& exchange, const std::string& url) {
    service.generate(
        exchange,
        [url](const std::string& body, const RequestContext& context, int64_t index) {
            return choices_of(read_request(url, body, index, context));
        },
        [&service](const std::shared_ptr<Exchange>& asked, const std::vector<Request>& requests) {
            const AnswerHead head = make_head(service, requests.front());
            if (requests.front().stream) return ChunkStream::begin(service, asked, requests, head);
            const auto answers =
                std::make_shared<WholeAnswers>(service, asked, requests.front(), head, requests.size());
            Service::Sinks sinks;
            for (size_t i = 0; i < requests.size(); i++) sinks.push_back(std::make_unique<WholeSink>(answers, i));
            return sinks;
        });
}

}  // namespace

void chat_completions(Service& service, const std::shared_ptr<Exchange>& exchange) {
    answer(service, exchange, "/v1/chat/completions");
}

void completions(Service& service, const std::shared_ptr<Exchange>& exchange) {
    answer(service, exchange, "/v1/completions");
}
