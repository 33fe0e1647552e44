// request_body.cpp: reads the fields of OpenAI's chat completion and completion requests, and other servers' names for
// them. request_fields.cpp lists all fields, with those that are refused or ignored.
#include "requests/request_body.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "error.h"
#include "requests.h"
#include "requests/request_fields.h"
#include "requests/responses_request.h"

namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();
constexpr int kMaxStops = 16;

std::vector<std::string> read_stop(const JsonFields& body) {
    const Json* value = body.find("stop");
    if (!value) return {};
    std::vector<std::string> stops;
    const auto add = [&](const Json& stop) {
        if (!stop.is_string() || stop.string().empty())
            wrong(body.path("stop"), "a string of at least one character, or a list of such", stop);
        stops.push_back(stop.string());
    };
    if (!value->is_array()) {
        add(*value);
        return stops;
    }
    if (value->size() > kMaxStops)
        fail("{}: expected at most {} strings, found {}", body.path("stop"), kMaxStops, value->size());
    for (const Json& stop : *value) add(stop);
    return stops;
}

std::optional<int> read_integer(const JsonFields& body, const char* key, int min, int max) {
    return body.has(key) ? std::optional(body.integer(key, min, max)) : std::nullopt;
}
std::optional<double> read_number(const JsonFields& body, const char* key, double min, double max) {
    return body.has(key) ? std::optional(body.number(key, min, max)) : std::nullopt;
}

// Any integer of 64 bits, signed or not.
std::optional<uint64_t> read_seed(const JsonFields& body) {
    const Json* value = body.find("seed");
    if (!value) return {};
    uint64_t seed = 0;
    const std::string_view text = value->text();
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (error == std::errc() && stop == text.data() + text.size()) return seed;
    const std::optional<int64_t> number = value->is_number() ? value->integer() : std::nullopt;
    if (!number) body.wrong("seed", "an integer of 64 bits");
    return uint64_t(*number);
}

// The limit of an answer's tokens, which servers call by several names. OpenAI's newer name wins over its older one;
// others must agree. -1 means no limit. 0 is for an echo alone.
std::optional<int> read_max_tokens(const JsonFields& body, bool echo) {
    std::optional<int> limit;
    const char* name = nullptr;
    for (const char* key :
         {"max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "n_predict"}) {
        if (!body.has(key)) continue;
        const int value = body.integer(key, -1, kMaxInt);
        if (value == 0 && !echo) body.wrong(key, fmt::format("an integer from 1 to {}, or -1", kMaxInt));
        if (std::string_view(key) == "max_tokens" && body.has("max_completion_tokens")) continue;
        if (limit && *limit != value)
            fail("{}: expected the value of {}, {}, found {}", body.path(key), name, *limit, value);
        limit = value;
        name = key;
    }
    return limit == -1 ? std::nullopt : limit;
}

int read_min_tokens(const JsonFields& body) {
    const int least = body.integer_or("min_tokens", 0, 0, kMaxInt);
    return body.has("min_new_tokens") ? std::max(least, body.integer("min_new_tokens", 0, kMaxInt)) : least;
}

// {"id": bias, ...}, as in OpenAI's API; or llama.cpp's [[id, bias], ...] if it is empty.
std::vector<TokenBias> read_bias(const JsonFields& body) {
    constexpr double kMostBias = 100;
    const Json* object = body.find("logit_bias");
    if (!object || (object->is_array() && object->empty())) return {};
    const std::string path = body.path("logit_bias");
    if (!object->is_object()) wrong(path, "an object of token ids and numbers from -100 to 100", *object);
    std::map<int, float> bias;
    object->each_member([&](const std::string& key, const Json& value) {
        int id = 0;
        const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), id);
        if (error != std::errc() || stop != key.data() + key.size() || id < 0) wrong(path, "token ids as keys", key);
        if (!value.is_number() || !(std::abs(value.number()) <= kMostBias))
            wrong(fmt::format("{}.{}", path, key), "a number from -100 to 100", value);
        bias[id] = float(value.number());
    });
    std::vector<TokenBias> list;
    for (const auto& [id, b] : bias) list.push_back({id, b});
    return list;
}

// Reads how a token is drawn. Any of temperature, top_p and top_k can ask for the most likely one.
void read_sampling(const JsonFields& body, RequestBody& request) {
    constexpr double kSmallestTopP = 1e-6;  // below it nothing but the most likely token is left
    request.temperature = read_number(body, "temperature", 0, 100);
    request.top_p = read_number(body, "top_p", 0, 1);
    request.top_k = read_integer(body, "top_k", -1, kMaxInt);
    if ((request.top_p && *request.top_p < kSmallestTopP) || request.top_k == 1) {
        request.temperature = 0;
        request.top_p.reset();
    }
    if (request.top_k) request.top_k = std::max(*request.top_k, 0);  // -1 is all, too
    request.repetition_penalty = read_number(body, "repetition_penalty", kLeastPenalty, kMostPenalty);
    request.min_p = body.number_or("min_p", 0, 0, 1);
    request.presence_penalty = body.number_or("presence_penalty", 0, -2, 2);
    request.frequency_penalty = body.number_or("frequency_penalty", 0, -2, 2);
    request.logit_bias = read_bias(body);
}

constexpr int kMostTop = 20;  // of a token's most likely ones

// Chats say whether, and how many beside; completions say how many.
void read_logprobs(const JsonFields& body, RequestBody& request, bool chat) {
    if (!chat) {
        const Json* n = body.find("logprobs");
        if (n && !(n->is_boolean() && !n->boolean())) request.n_logprobs = body.integer("logprobs", 0, kMostTop);
        return;
    }
    const int n_top = body.integer_or("top_logprobs", 0, 0, kMostTop);
    if (body.boolean_or("logprobs", false))
        request.n_logprobs = n_top;
    else if (n_top > 0)
        body.wrong("top_logprobs", "0, as logprobs is not true");
    request.reasoning_logprobs = body.boolean_or("reasoning_logprobs", false);
}

void read_choices(const JsonFields& body, RequestBody& request, bool chat) {
    constexpr int kMostChoices = 128;
    request.n = body.integer_or("n", 1, 1, kMostChoices);
    if (body.has("best_of") && body.integer("best_of", 1, kMostChoices) != request.n)
        body.wrong("best_of", fmt::format("the value of n, {}, all that is supported", request.n));
    if (chat) return;
    request.echo = body.boolean_or("echo", false);
    if (body.has("special_tokens")) request.special_tokens = body.boolean_or("special_tokens", true);
}

std::vector<int> read_ids(const std::string& path, const Json& list) {
    std::vector<int> ids;
    ids.reserve(size_t(list.size()));  // growing it step by step would take twice the memory
    for (const Json& value : list) {
        const std::optional<int64_t> id = value.is_number() ? value.integer() : std::nullopt;
        if (!id || *id < 0 || *id > kMaxInt) wrong(fmt::format("{}[{}]", path, ids.size()), "a token id", value);
        ids.push_back(int(*id));
    }
    return ids;
}

// Prompts as text or as ids: one, or a list of them.
std::vector<TextOrIds> read_prompts(const std::string& path, const Json& prompt) {
    constexpr int kMostPrompts = 2048;
    const char* const expected = "a string or an array of token ids";
    if (prompt.is_string()) return {prompt.string()};
    if (!prompt.is_array()) wrong(path, expected, prompt);
    if (prompt.empty()) return {std::vector<int>()};
    const Json first = *prompt.begin();
    std::vector<TextOrIds> prompts;
    if (!first.is_string() && !first.is_array()) {
        prompts.emplace_back(read_ids(path, prompt));  // a list in braces would be copied
        return prompts;
    }
    if (prompt.size() > kMostPrompts)
        fail("{}: expected at most {} prompts, found {}", path, kMostPrompts, prompt.size());
    for (const Json& one : prompt) {
        const std::string where = fmt::format("{}[{}]", path, prompts.size());
        if (!one.is_string() && !one.is_array()) wrong(where, expected, one);
        one.is_string() ? prompts.emplace_back(one.string()) : prompts.emplace_back(read_ids(where, one));
    }
    return prompts;
}

void read_prompt(const JsonFields& body, RequestBody& request, const ResponseStore* responses) {
    if (request.kind == AnswerKind::kChat) {
        request.prompt = read_conversation(body);
        return;
    }
    if (request.kind == AnswerKind::kResponse) {
        ResponseBody read = read_response_body(body, responses);
        request.prompt = std::move(read.conversation);
        request.response = std::move(read.response);
        request.unknown_fields = std::move(read.skipped);
        return;
    }
    const Json* prompt = body.find("prompt");
    if (!prompt) fail("{}: expected a string or an array of token ids, found none", body.path("prompt"));
    std::vector<TextOrIds> prompts = read_prompts(body.path("prompt"), *prompt);
    if (auto* ids = std::get_if<std::vector<int>>(&prompts[0]))
        request.prompt = std::move(*ids);
    else
        request.prompt = std::move(std::get<std::string>(prompts[0]));
    prompts.erase(prompts.begin());
    request.more_prompts = std::move(prompts);
}

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// The end of the url's path decides. A host, "/v1" or Azure's name of a deployment may stand before it. Without an url,
// the fields of the body decide.
AnswerKind kind_of(const std::string& url, const JsonFields& body) {
    std::string_view path = std::string_view(url).substr(0, url.find_first_of("?#"));
    while (ends_with(path, "/")) path.remove_suffix(1);
    if (ends_with(path, "/chat/completions") || path == "chat/completions") return AnswerKind::kChat;
    if (ends_with(path, "/completions")) return AnswerKind::kCompletion;
    if (ends_with(path, "/responses")) return AnswerKind::kResponse;
    if (!url.empty())
        fail("url: expected /v1/chat/completions, /v1/completions or /v1/responses, found {}", shown(url));
    const bool has_messages = body.has("messages"), has_prompt = body.has("prompt");
    if (body.has("input") && !has_messages && !has_prompt) return AnswerKind::kResponse;
    if (has_messages == has_prompt)
        fail("{}: expected either it or {}, found {}", body.path("messages"), body.path("prompt"),
             has_prompt ? "both" : "neither");
    return has_messages ? AnswerKind::kChat : AnswerKind::kCompletion;
}

}  // namespace

RequestBody read_request_body(const JsonFields& body, const std::string& url, const ResponseStore* responses) {
    RequestBody request;
    request.kind = kind_of(url, body);
    read_prompt(body, request, responses);
    for (std::string& field : check_body_fields(body, request.kind)) request.unknown_fields.push_back(std::move(field));
    request.model = body.text("model").value_or("");
    if (request.kind != AnswerKind::kResponse) {
        const bool chat = request.kind == AnswerKind::kChat;
        read_choices(body, request, chat);
        read_logprobs(body, request, chat);
    }
    request.max_tokens = read_max_tokens(body, request.echo);
    request.min_tokens = read_min_tokens(body);
    read_sampling(body, request);
    request.seed = read_seed(body);
    request.stop = read_stop(body);
    if (const Json* ids = body.find("stop_token_ids")) {
        if (!ids->is_array()) body.wrong("stop_token_ids", "an array of token ids");
        request.stop_token_ids = read_ids(body.path("stop_token_ids"), *ids);
    }
    request.include_stop = body.boolean_or("include_stop_str_in_output", false);
    request.ignore_eos = body.boolean_or("ignore_eos", false);
    request.return_token_ids = body.boolean_or("return_token_ids", false);
    request.stream = body.boolean_or("stream", false);
    if (body.has("stream_options"))
        request.include_usage = body.object("stream_options").boolean_or("include_usage", false);
    if (request.kind != AnswerKind::kCompletion) {
        request.parallel_tool_calls = body.boolean_or("parallel_tool_calls", true);
        request.include_reasoning = body.boolean_or("include_reasoning", true);
        if (body.has("reasoning") && body.object("reasoning").boolean_or("exclude", false))
            request.include_reasoning = false;
    }
    return request;
}
