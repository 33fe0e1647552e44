// responses_routes.cpp: the Responses API: answers, whole or as events, and the responses that are kept.
#include <fmt/core.h>

#include <ctime>

#include "requests/responses_answer.h"
#include "serve/routes.h"

namespace {

// Sends an answer when all of it is there.
class WholeResponse : public AnswerItems {
  public:
    WholeResponse(Service& service, std::shared_ptr<Exchange> exchange, const Request& request, ResponseStamp stamp)
        : AnswerItems(request.include_reasoning),
          service_(service),
          exchange_(std::move(exchange)),
          request_(request.response),
          stamp_(std::move(stamp)) {}

    void on_done(Answer answer) override {
        if (!answer.error.empty()) return respond_error(*exchange_, service_.failure(answer.error));
        answer.items = std::move(items_);
        store_response(service_.responses, *request_, stamp_, answer);
        exchange_->respond(200, response_object(*request_, stamp_, answer));
    }

  private:
    Service& service_;
    const std::shared_ptr<Exchange> exchange_;
    const std::shared_ptr<const ResponseRequest> request_;
    const ResponseStamp stamp_;
};

// Begins at once: a client that waits in the queue sees that it was heard.
class StreamedResponse : public ResponseEvents {
  public:
    StreamedResponse(Service& service, const std::shared_ptr<Exchange>& exchange, const Request& request,
                     ResponseStamp stamp)
        : ResponseEvents(request, std::move(stamp), &service.responses,
                         [exchange](std::string_view type, const std::string& data) {
                             exchange->write(fmt::format("event: {}\ndata: {}\n\n", type, data));
                         }),
          exchange_(exchange) {
        exchange_->begin_events();
        start();
    }

    void on_done(Answer answer) override {
        const bool failed = !answer.error.empty();
        ResponseEvents::on_done(std::move(answer));
        exchange_->end_events(/*keep_alive=*/!failed);
    }

  private:
    const std::shared_ptr<Exchange> exchange_;
};

void respond_not_stored(Exchange& exchange) {
    ApiError error =
        api_error(404, "not_found_error", fmt::format("there is no response {} here", exchange.path_suffix));
    error.param = "response_id";
    respond_error(exchange, error);
}

}  // namespace

void create_response(Service& service, const std::shared_ptr<Exchange>& exchange) {
    service.generate(
        exchange,
        [](const std::string& body, const RequestContext& context, int64_t index) {
            return std::vector<Request>{read_request("/v1/responses", body, index, context)};
        },
        [&service](const std::shared_ptr<Exchange>& asked, const std::vector<Request>& requests) {
            const Request& request = requests.front();
            const ResponseStamp stamp{random_id(""), service.model_name(request.model), std::time(nullptr)};
            Service::Sinks sinks;
            if (request.stream)
                sinks.push_back(std::make_unique<StreamedResponse>(service, asked, request, stamp));
            else
                sinks.push_back(std::make_unique<WholeResponse>(service, asked, request, stamp));
            return sinks;
        });
}

void count_response_input(Service& service, const std::shared_ptr<Exchange>& exchange) {
    service.compute(exchange, [](const std::string& body, const RequestContext& context) {
        const size_t n = read_request("/v1/responses", body, 0, context).prompt.size();
        return fmt::format(R"({{"object":"response.input_tokens","input_tokens":{}}})", n);
    });
}

void show_response(Service& service, const std::shared_ptr<Exchange>& exchange) {
    const std::optional<std::string> object = service.responses.object(exchange->path_suffix);
    object ? exchange->respond(200, *object) : respond_not_stored(*exchange);
}

void delete_response(Service& service, const std::shared_ptr<Exchange>& exchange) {
    const std::string& id = exchange->path_suffix;
    if (!service.responses.remove(id)) return respond_not_stored(*exchange);
    exchange->respond(200, fmt::format(R"({{"id":"{}","object":"response","deleted":true}})", id));
}

// Only responses in the background can be cancelled, and there are none: a client ends the others by leaving.
void cancel_response(Service& service, const std::shared_ptr<Exchange>& exchange) {
    if (!service.responses.object(exchange->path_suffix)) return respond_not_stored(*exchange);
    respond_error(*exchange, bad_request("only a response in the background can be cancelled, and this one is none"));
}
