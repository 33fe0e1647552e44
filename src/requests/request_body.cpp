// request_body.cpp: reads the fields of OpenAI's chat completion and completion requests, and other servers' names for
// them. request_fields.cpp lists all fields, with those that are refused or ignored.
#include "requests/request_body.h"

#include <algorithm>
#include <charconv>
#include <limits>

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

// The limit of an answer's tokens, which servers call by several names. -1 means no limit.
std::optional<int> read_max_tokens(const JsonFields& body) {
    std::optional<int> limit;
    const char* name = nullptr;
    for (const char* key :
         {"max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "n_predict"}) {
        if (!body.has(key)) continue;
        const int value = body.integer(key, -1, kMaxInt);
        if (value == 0) body.wrong(key, fmt::format("an integer from 1 to {}, or -1", kMaxInt));
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

// A prompt as text or as ids. It may be the one element of a list; a list of more would ask for several answers.
std::variant<std::string, std::vector<int>> read_text_or_ids(const std::string& path, const Json& prompt) {
    const char* const expected = "a string or an array of token ids";
    if (prompt.is_string()) return prompt.string();
    if (!prompt.is_array()) wrong(path, expected, prompt);
    if (prompt.empty()) return std::vector<int>();
    const Json first = *prompt.begin();
    if (!first.is_string() && !first.is_array()) return read_ids(path, prompt);
    if (prompt.size() > 1)
        fail("{}: expected one prompt, as a request has one answer, found {}: give each a line", path, prompt.size());
    if (first.is_string()) return first.string();
    return read_ids(path + "[0]", first);
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
    std::variant<std::string, std::vector<int>> read = read_text_or_ids(body.path("prompt"), *prompt);
    if (auto* ids = std::get_if<std::vector<int>>(&read))
        request.prompt = std::move(*ids);
    else
        request.prompt = std::move(std::get<std::string>(read));
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
    request.max_tokens = read_max_tokens(body);
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
