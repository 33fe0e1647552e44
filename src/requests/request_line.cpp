// request_line.cpp: the fields of OpenAI's batch, chat completion and completion requests, and vLLM's ignore_eos and
// return_token_ids. A field that is not read here is ignored, unless it would change the answer.
#include "requests/request_line.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "error.h"

namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();
constexpr const char* kChatUrl = "/v1/chat/completions";
constexpr const char* kCompletionUrl = "/v1/completions";
constexpr int kMaxStops = 4;

// Fields whose other values ask for what is not done here. Answering as if they were absent would be a lie.
struct Fixed {
    const char* key;
    const char* accepted;  // a JSON array
};
constexpr Fixed kFixed[] = {
    {"n", "[1]"},
    {"best_of", "[1]"},
    {"stream", "[false]"},
    {"echo", "[false]"},
    {"logprobs", "[false]"},
    {"top_logprobs", "[0]"},
    {"prompt_logprobs", "[0]"},
    {"logit_bias", "[{}]"},
    {"suffix", R"([""])"},
    {"response_format", R"([{"type":"text"}])"},
    {"presence_penalty", "[0]"},
    {"frequency_penalty", "[0]"},
    {"repetition_penalty", "[1]"},
    {"top_k", "[0,-1]"},
    {"min_p", "[0]"},
    {"min_tokens", "[0]"},
    {"stop_token_ids", "[[]]"},
    {"use_beam_search", "[false]"},
    {"tool_choice", R"(["auto","none"])"},
    {"functions", "[[]]"},
};

// Numbers by value; others as they are written, but for space, which stands in none of the accepted strings.
bool same(const Json& a, const Json& b) {
    if (a.is_number() && b.is_number()) return a.number() == b.number();
    std::string text(a.text());
    text.erase(std::remove_if(text.begin(), text.end(), [](char c) { return c == ' ' || c == '\t'; }), text.end());
    return text == b.text();
}

void check_fixed(const JsonFields& body) {
    for (const Fixed& fixed : kFixed) {
        const Json* value = body.find(fixed.key);
        if (!value) continue;
        bool found = false;
        std::string expected;
        for (const Json& candidate : parse_json(fixed.accepted, fixed.key)) {
            found = found || same(*value, candidate);
            expected += (expected.empty() ? "" : " or ") + std::string(candidate.text());
        }
        if (!found) wrong(body.path(fixed.key), expected + ", all that is supported", *value);
    }
}

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

std::optional<int> read_max_tokens(const JsonFields& body) {
    const std::optional<int> older = read_integer(body, "max_tokens", 1, kMaxInt);
    const std::optional<int> newer = read_integer(body, "max_completion_tokens", 1, kMaxInt);
    if (older && newer && *older != *newer)
        fail("{}: expected the value of max_tokens, {}, found {}", body.path("max_completion_tokens"), *older, *newer);
    return newer ? newer : older;
}

std::vector<int> read_ids(const std::string& path, const Json& list) {
    std::vector<int> ids;
    ids.reserve(size_t(list.size()));  // growing it would cost twice as much
    for (const Json& value : list) {
        const std::optional<int64_t> id = value.is_number() ? value.integer() : std::nullopt;
        if (!id || *id < 0 || *id > kMaxInt) wrong(fmt::format("{}[{}]", path, ids.size()), "a token id", value);
        ids.push_back(int(*id));
    }
    return ids;
}

std::variant<std::string, std::vector<int>, Conversation> read_prompt(const JsonFields& body, bool chat) {
    if (chat) return read_conversation(body);
    const Json* prompt = body.find("prompt");
    if (!prompt) fail("{}: expected a string or an array of token ids, found none", body.path("prompt"));
    if (prompt->is_string()) return prompt->string();
    if (prompt->is_array()) return read_ids(body.path("prompt"), *prompt);
    wrong(body.path("prompt"), "a string or an array of token ids", *prompt);
}

// The url decides; without one, what the body holds.
bool is_chat(const JsonFields& line, const JsonFields& body) {
    const std::string url = line.text("url").value_or("");
    if (!url.empty() && url != kChatUrl && url != kCompletionUrl)
        fail("{}: expected {} or {}, found \"{}\"", line.path("url"), kChatUrl, kCompletionUrl, url);
    if (!url.empty()) return url == kChatUrl;
    const bool has_messages = body.find("messages"), has_prompt = body.find("prompt");
    if (has_messages == has_prompt)
        fail("{}: expected either it or {}, found {}", body.path("messages"), body.path("prompt"),
             has_prompt ? "both" : "neither");
    return has_messages;
}

}  // namespace

std::optional<std::string> read_custom_id(const Json& line) {
    return JsonFields(line, "").text("custom_id");
}

RequestLine read_request_line(const Json& line_json) {
    const JsonFields line(line_json, "");
    if (const std::string method = line.text("method").value_or("POST"); method != "POST")
        fail("{}: expected \"POST\", found \"{}\"", line.path("method"), method);
    const Json* envelope = nullptr;
    for (const JsonFields::Member& member : line.members())
        if (member.key == "body") envelope = &member.value;
    const JsonFields body(envelope ? *envelope : line_json, envelope ? "body" : "");

    RequestLine request;
    check_fixed(body);
    request.prompt = read_prompt(body, is_chat(line, body));
    request.model = body.text("model").value_or("");
    request.max_tokens = read_max_tokens(body);
    request.temperature = read_number(body, "temperature", 0, 100);
    request.top_p = read_number(body, "top_p", 1e-6, 1);
    request.seed = read_seed(body);
    request.stop = read_stop(body);
    request.ignore_eos = body.boolean_or("ignore_eos", false);
    request.return_token_ids = body.boolean_or("return_token_ids", false);
    return request;
}
