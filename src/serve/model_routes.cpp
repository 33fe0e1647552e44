// model_routes.cpp: what the server says about itself and its model, and tokens without generation.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/json_fields.h"
#include "requests/answer_body.h"
#include "serve/page.h"
#include "serve/routes.h"

namespace {

using Object = nlohmann::ordered_json;

Object model_object(const Service& service, const std::string& name) {
    return {{"id", name},
            {"object", "model"},
            {"created", service.created},
            {"owned_by", "run"},
            {"max_model_len", service.config.max_context},
            {"meta", {{"n_ctx_train", service.config.max_context}}}};
}

JsonFields fields_of(const std::string& body) {
    return {parse_json(body, "the body"), "", ".", "the body"};
}

std::vector<int> read_tokens(const JsonFields& body, int vocab_size) {
    const Json* const tokens = body.find("tokens");
    if (!tokens || !tokens->is_array()) body.wrong("tokens", "an array of token ids");
    std::vector<int> ids;
    for (const Json& value : *tokens) {
        const std::optional<int64_t> id = value.is_number() ? value.integer() : std::nullopt;
        if (!id || *id < 0 || *id >= vocab_size)
            wrong(fmt::format("tokens[{}]", ids.size()), fmt::format("a token id below {}", vocab_size), value);
        ids.push_back(int(*id));
    }
    return ids;
}

// What a request with these messages or this text would read, as ids.
std::vector<int> tokens_of(const std::string& body, const RequestContext& context) {
    const JsonFields fields = fields_of(body);
    if (fields.has("messages")) return read_request("/v1/chat/completions", body, 0, context).prompt;
    for (const char* const key : {"prompt", "content"}) {
        if (!fields.has(key)) continue;
        const std::string text = fields.string_or(key, "");
        const bool special = fields.boolean_or("parse_special", true);
        const Tokenizer& tokenizer = context.codec.tokenizer();
        return special ? tokenizer.encode_with_special(text) : tokenizer.encode(text);
    }
    throw BadRequest(bad_request("prompt: expected text, or messages, found none"));
}

}  // namespace

void list_models(Service& service, const std::shared_ptr<Exchange>& exchange) {
    Object models = Object::array();
    for (const std::string& name : service.model_names()) models.push_back(model_object(service, name));
    // The second list is what one client looks for.
    exchange->respond(200, dump({{"object", "list"}, {"data", models}, {"models", models}}));
}

void show_model(Service& service, const std::shared_ptr<Exchange>& exchange) {
    const std::string& name = exchange->path_suffix;
    if (service.knows_model(name)) return exchange->respond(200, dump(model_object(service, name)));
    respond_error(*exchange, Service::unknown_model(name));
}

void show_health(Service& service, const std::shared_ptr<Exchange>& exchange) {
    if (service.is_ready()) return exchange->respond(200, R"({"status":"ok"})");
    respond_error(*exchange, service.not_ready());
}

void show_metrics(Service& service, const std::shared_ptr<Exchange>& exchange) {
    exchange->respond(
        200,
        service.metrics.text(service.options.serve.metrics_prefix, service.model_names().front(), service.gauges()),
        "text/plain; version=0.0.4; charset=utf-8");
}

void show_page(Service& service, const std::shared_ptr<Exchange>& exchange) {
    if (!service.options.serve.page)
        return respond_error(*exchange, api_error(404, "not_found_error", "there is no page here (--no-web)"));
    exchange->respond(200, page(), "text/html; charset=utf-8", page_headers());
}

void tokenize(Service& service, const std::shared_ptr<Exchange>& exchange) {
    service.compute(exchange, [](const std::string& body, const RequestContext& context) {
        const std::vector<int> ids = tokens_of(body, context);
        return dump({{"count", ids.size()}, {"max_model_len", context.config.max_context}, {"tokens", ids}});
    });
}

void detokenize(Service& service, const std::shared_ptr<Exchange>& exchange) {
    service.compute(exchange, [](const std::string& body, const RequestContext& context) {
        const JsonFields fields = fields_of(body);
        const std::string text = context.codec.tokenizer().decode(read_tokens(fields, context.config.vocab_size));
        return dump({{"prompt", text}, {"content", text}});
    });
}
