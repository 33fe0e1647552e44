// routes.cpp: the table, and the checks that come before any route: in the order in which they may tell a stranger
// something.
#include "serve/routes.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <fstream>

#include "error.h"
#include "log.h"

namespace {

// Whether only this machine can connect to `host`.
bool is_loopback(const std::string& host) {
    in_addr address{};
    const bool is_ipv4 = inet_pton(AF_INET, host.c_str(), &address) == 1;  // 127.evil.example is none
    return lowered(host) == "localhost" || host == "::1" || (is_ipv4 && ntohl(address.s_addr) >> 24 == 127);
}

// Whether `path` is that of the route; then {id} is `id`.
bool matches(std::string_view pattern, std::string_view path, std::string& id) {
    constexpr std::string_view kId = "{id}";
    const size_t at = pattern.find(kId);
    if (at == std::string_view::npos) return pattern == path;
    const std::string_view before = pattern.substr(0, at), after = pattern.substr(at + kId.size());
    if (path.size() <= before.size() + after.size() || path.substr(0, before.size()) != before ||
        path.substr(path.size() - after.size()) != after)
        return false;
    id = path.substr(before.size(), path.size() - before.size() - after.size());
    return after.empty() || id.find('/') == std::string::npos;
}

// "/v1/models/" and "/models" are one path.
std::string_view plain_path(std::string_view path) {
    while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    const std::string_view version = "/v1";
    return path.size() > version.size() + 1 && path.substr(0, version.size()) == version && path[version.size()] == '/'
               ? path.substr(version.size())
               : path;
}

// What the API has and these models have not.
const char* why_missing(std::string_view path) {
    const auto begins = [&](std::string_view with) { return path.substr(0, with.size()) == with; };
    if (begins("/embeddings")) return "this server generates text: it has no embeddings";
    if (begins("/audio/")) return "this server generates text: it has no audio";
    if (begins("/images/")) return "this server generates text: it has no images";
    return nullptr;
}

std::vector<std::string> read_keys(const ServeOptions& options) {
    std::vector<std::string> keys = options.api_keys;
    if (!options.api_key_file.empty()) {
        std::ifstream file(options.api_key_file);
        if (!file) fail("--api-key-file: cannot read {}", options.api_key_file);
        for (std::string line; std::getline(file, line);) {
            while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
            if (!line.empty()) keys.push_back(line);
        }
        if (keys.empty()) fail("--api-key-file: expected a key a line in {}, found none", options.api_key_file);
    }
    for (const std::string& key : keys)
        if (key.empty()) fail("--api-key: expected a key, found \"\"");
    if (keys.empty() && !is_loopback(options.host) && !options.no_auth)
        fail(
            "--host {}: other machines could use this server without a key: give --api-key or --api-key-file, or "
            "--no-auth if they may",
            options.host);
    return keys;
}

// "localhost:8000" without its port.
std::string_view host_name(std::string_view host) {
    if (!host.empty() && host[0] == '[') return host.substr(1, host.find(']') - 1);
    return host.substr(0, host.find(':'));
}

// All of them. A new endpoint is a row here.
const std::vector<Route>& routes() {
    static const std::vector<Route> all = {
        {"POST", "/chat/completions", chat_completions},
        {"POST", "/completions", completions},
        {"POST", "/responses", create_response},
        {"POST", "/responses/input_tokens", count_response_input},
        {"GET", "/responses/{id}", show_response, false},
        {"DELETE", "/responses/{id}", delete_response, false},
        {"POST", "/responses/{id}/cancel", cancel_response, false},
        {"POST", "/tokenize", tokenize},
        {"POST", "/detokenize", detokenize},
        {"GET", "/models", list_models, false},
        {"GET", "/models/{id}", show_model, false},
        {"GET", "/metrics", show_metrics, false},
        {"GET", "/health", show_health, false, false},
        {"GET", "/", show_page, false, false},
    };
    return all;
}

}  // namespace

bool equal_in_constant_time(std::string_view a, std::string_view b) {
    unsigned difference = a.size() == b.size() ? 0 : 1;
    for (size_t i = 0; i < a.size(); i++)
        difference |= b.empty() ? 1u : unsigned(uint8_t(a[i]) ^ uint8_t(b[i % b.size()]));
    return difference == 0;
}

Router::Router(Service& service, const ServeOptions& options)
    : service_(service), options_(options), keys_(read_keys(options)), is_loopback_(is_loopback(options.host)) {}

// All keys are compared, so that the time does not tell which one is nearly right.
bool Router::has_key(const Exchange& exchange) const {
    if (keys_.empty()) return true;
    std::string_view given;
    const std::string_view scheme = "bearer ";
    if (const std::string* value = exchange.request.header("authorization");
        value && lowered(value->substr(0, scheme.size())) == scheme)
        given = std::string_view(*value).substr(scheme.size());
    else if (const std::string* key = exchange.request.header("x-api-key"))
        given = *key;
    bool found = false;
    for (const std::string& key : keys_) found = equal_in_constant_time(given, key) || found;
    return found;
}

// A page from elsewhere may have had its own name resolved to this machine, to have its visitors' browsers ask here.
bool Router::may_ask_this_host(const Exchange& exchange) const {
    if (!is_loopback_ || !keys_.empty()) return true;
    const std::string* const host = exchange.request.header("host");
    if (!host) return true;  // HTTP/1.0: no browser
    const std::string name(host_name(*host));
    return is_loopback(name) || lowered(name) == lowered(options_.host);
}

bool Router::allows_origin(const std::string& origin) const {
    const auto& allowed = options_.cors;
    return std::count(allowed.begin(), allowed.end(), "*") || std::count(allowed.begin(), allowed.end(), origin);
}

// A browser sends a page's POST anywhere, and only keeps the answer from the page. Without a key, it would be computed.
bool Router::may_post_from_its_page(const Exchange& exchange) const {
    const std::string& method = exchange.request.method;
    const std::string* const origin = exchange.request.header("origin");
    if (!keys_.empty() || !origin || method == "GET" || method == "HEAD" || method == "OPTIONS") return true;
    const std::string* const host = exchange.request.header("host");
    const size_t scheme = origin->find("://");
    const bool is_own =
        host && scheme != std::string::npos && origin->compare(scheme + 3, std::string::npos, *host) == 0;
    return is_own || allows_origin(*origin);
}

void Router::allow_origin(Exchange& exchange) const {
    const std::string* const origin = exchange.request.header("origin");
    if (!origin || !allows_origin(*origin)) return;
    const auto& allowed = options_.cors;
    if (std::count(allowed.begin(), allowed.end(), "*"))
        exchange.extra.emplace_back("Access-Control-Allow-Origin", "*");
    else
        exchange.extra.insert(exchange.extra.end(), {{"Access-Control-Allow-Origin", *origin}, {"Vary", "Origin"}});
    exchange.extra.emplace_back("Access-Control-Expose-Headers", "x-request-id, retry-after");
}

void Router::answer_preflight(Exchange& exchange) const {
    HttpHeaders headers = {{"Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"},
                           {"Access-Control-Max-Age", "86400"}};
    if (const std::string* wanted = exchange.request.header("access-control-request-headers"))
        headers.emplace_back("Access-Control-Allow-Headers", *wanted);
    exchange.respond(204, "", "", headers);
}

// The route; null if there is none, which is answered.
const Route* Router::find(Exchange& exchange) const {
    const std::string_view path = plain_path(exchange.request.path);
    const std::string method = exchange.request.method == "HEAD" ? "GET" : exchange.request.method;
    std::string allowed;
    for (const Route& route : routes()) {
        if (!matches(route.path, path, exchange.path_suffix)) continue;
        if (method == route.method) return &route;
        if (allowed.find(route.method) == std::string::npos)
            allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
    }
    if (!allowed.empty()) {
        const std::string what =
            fmt::format("{} is not for {}: expected {}", exchange.request.method, exchange.request.path, allowed);
        respond_error(exchange, api_error(405, "invalid_request_error", what), {{"Allow", allowed}});
        return nullptr;
    }
    const char* const missing = why_missing(path);
    respond_error(exchange, api_error(404, "not_found_error",
                                      missing ? missing : fmt::format("there is no {}", exchange.request.path)));
    return nullptr;
}

void Router::on_head(Exchange& exchange) {
    if (!may_ask_this_host(exchange))
        return respond_error(exchange,
                             api_error(403, "permission_error", "the header host: expected the name of this machine"));
    if (!may_post_from_its_page(exchange))
        return respond_error(exchange, api_error(403, "permission_error",
                                                 "pages of other origins may ask only with --cors ORIGIN, or a key"));
    allow_origin(exchange);
    if (exchange.request.method == "OPTIONS" && !options_.cors.empty()) return answer_preflight(exchange);
    const Route* const route = find(exchange);
    if (!route) return;
    if (route->needs_key && !has_key(exchange))
        return respond_error(
            exchange,
            api_error(401, "authentication_error", "expected one of this server's keys, as Authorization: Bearer KEY",
                      "invalid_api_key"),
            {{"WWW-Authenticate", "Bearer"}});
    if (route->needs_model && !service_.is_ready()) respond_error(exchange, service_.not_ready());
}

void Router::on_request(const std::shared_ptr<Exchange>& exchange) {
    const Route* const route = find(*exchange);
    if (!route) return;
    try {
        route->handle(service_, exchange);
    } catch (const std::exception& e) {  // a bug; the others' requests go on
        log_line("serve: {}: {}", exchange->id, e.what());
        respond_error(*exchange, api_error(500, "server_error", fmt::format("request {}: {}", exchange->id, e.what())));
    }
}

void Router::on_bad_request(Exchange& exchange, int status, const std::string& what) {
    const char* const type = status == 408 ? "timeout" : status == 413 ? "request_too_large" : "invalid_request_error";
    respond_error(exchange, api_error(status, type, what));
}

// Probes would fill the log.
void Router::on_end(Exchange& exchange) {
    service_.metrics.answers[exchange.status()]++;
    const std::string_view path = plain_path(exchange.request.path);
    if (exchange.status() == 200 && (path == "/health" || path == "/metrics")) return;
    log_line("serve: {} {} {} {}{}{}", exchange.id, exchange.request.method, exchange.request.path, exchange.status(),
             exchange.note.empty() ? "" : ": ", exchange.note);
}
