// routes.h: what the server answers to which method and path, and what holds for all of it: keys, hosts, origins,
// errors and the log.
#pragma once
#include <string>
#include <vector>

#include "serve/connection.h"
#include "serve/service.h"

struct Route {
    const char* method;
    // Without "/v1", which may stand before it; "{id}" takes one or more characters.
    const char* path;
    void (*handle)(Service&, const std::shared_ptr<Exchange>&);
    bool needs_model = true;  // answers 503 until the model is loaded, and once the server ends
    bool needs_key = true;
};

// Each is the `handle` of a route.
void chat_completions(Service& service, const std::shared_ptr<Exchange>& exchange);
void completions(Service& service, const std::shared_ptr<Exchange>& exchange);
void create_response(Service& service, const std::shared_ptr<Exchange>& exchange);
void count_response_input(Service& service, const std::shared_ptr<Exchange>& exchange);
void show_response(Service& service, const std::shared_ptr<Exchange>& exchange);
void delete_response(Service& service, const std::shared_ptr<Exchange>& exchange);
void cancel_response(Service& service, const std::shared_ptr<Exchange>& exchange);
void list_models(Service& service, const std::shared_ptr<Exchange>& exchange);
void show_model(Service& service, const std::shared_ptr<Exchange>& exchange);
void tokenize(Service& service, const std::shared_ptr<Exchange>& exchange);
void detokenize(Service& service, const std::shared_ptr<Exchange>& exchange);
void show_health(Service& service, const std::shared_ptr<Exchange>& exchange);
void show_metrics(Service& service, const std::shared_ptr<Exchange>& exchange);
void show_page(Service& service, const std::shared_ptr<Exchange>& exchange);

class Router : public HttpHandler {
  public:
    // Throws Error if other hosts may come and there is no key.
    Router(Service& service, const ServeOptions& options);

    void on_head(Exchange& exchange) override;
    void on_request(const std::shared_ptr<Exchange>& exchange) override;
    void on_bad_request(Exchange& exchange, int status, const std::string& what) override;
    void on_end(Exchange& exchange) override;
    bool is_draining() const override { return service_.is_draining(); }

  private:
    bool has_key(const Exchange& exchange) const;
    bool may_ask_this_host(const Exchange& exchange) const;
    bool allows_origin(const std::string& origin) const;
    bool may_post_from_its_page(const Exchange& exchange) const;
    void allow_origin(Exchange& exchange) const;
    void answer_preflight(Exchange& exchange) const;
    const Route* find(Exchange& exchange) const;

    Service& service_;
    const ServeOptions& options_;
    std::vector<std::string> keys_;
    const bool is_loopback_;
};

// Whether both are equal, in a time that does not tell where they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);
