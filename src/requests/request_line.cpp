// request_line.cpp: the fields of OpenAI's batch, chat completion and completion requests, and vLLM's ignore_eos and
// return_token_ids. A field that is not read here is ignored, unless it would change the answer.
#include "requests/request_line.h"

#include <limits>

#include "error.h"

namespace {

constexpr const char* kChatUrl = "/v1/chat/completions";
constexpr const char* kCompletionUrl = "/v1/completions";
constexpr size_t kMaxStops = 4;

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

void check_fixed(const JsonFields& body) {
    for (const Fixed& fixed : kFixed) {
        const Json* value = body.find(fixed.key);
        if (!value) continue;
        const Json accepted = Json::parse(fixed.accepted);
        bool found = false;
        std::string expected;
        for (const Json& candidate : accepted) {
            found = found || *value == candidate;
            expected += (expected.empty() ? "" : " or ") + candidate.dump();
        }
        if (!found) wrong(body.path(fixed.key), expected + ", all that is supported", *value);
    }
}

std::vector<std::string> read_stop(const JsonFields& body) {
    const Json* value = body.find("stop");
    if (!value) return {};
    const Json list = value->is_array() ? *value : Json::array({*value});
    std::vector<std::string> stops;
    for (const Json& stop : list) {
        if (!stop.is_string() || stop.get_ref<const std::string&>().empty())
            wrong(body.path("stop"), "a string of at least one character, or a list of such", stop);
        stops.push_back(stop.get<std::string>());
    }
    if (stops.size() > kMaxStops)
        fail("{}: expected at most {} strings, found {}", body.path("stop"), kMaxStops, stops.size());
    return stops;
}

std::optional<int> read_max_tokens(const JsonFields& body) {
    const char* const expected = "an integer from 1 to 2147483647";
    const std::optional<int> older = body.integer("max_tokens", 1, expected);
    const std::optional<int> newer = body.integer("max_completion_tokens", 1, expected);
    if (older && newer && *older != *newer)
        fail("{}: expected the value of max_tokens, {}, found {}", body.path("max_completion_tokens"), *older, *newer);
    return newer ? newer : older;
}

std::vector<int> read_ids(const std::string& path, const Json& list) {
    std::vector<int> ids;
    for (const Json& id : list) {
        if (!id.is_number_integer() || id.get<double>() < 0 || id.get<double>() > std::numeric_limits<int>::max())
            wrong(fmt::format("{}[{}]", path, ids.size()), "a token id", id);
        ids.push_back(id.get<int>());
    }
    return ids;
}

std::variant<std::string, std::vector<int>, Conversation> read_prompt(const JsonFields& body, bool chat) {
    if (chat) return read_conversation(body);
    const Json* prompt = body.find("prompt");
    if (!prompt) fail("{}: expected a string or an array of token ids, found none", body.path("prompt"));
    if (prompt->is_string()) return prompt->get<std::string>();
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
    const bool bare = !line_json.contains("body");
    const JsonFields body(bare ? line_json : line_json["body"], bare ? "" : "body");

    RequestLine request;
    check_fixed(body);
    request.prompt = read_prompt(body, is_chat(line, body));
    request.model = body.text("model").value_or("");
    request.max_tokens = read_max_tokens(body);
    request.temperature = body.number("temperature", 0, 100, "a number from 0 to 100");
    request.top_p = body.number("top_p", 1e-6, 1, "a number above 0 and at most 1");
    request.seed = body.seed("seed");
    request.stop = read_stop(body);
    request.ignore_eos = body.flag("ignore_eos");
    request.return_token_ids = body.flag("return_token_ids");
    return request;
}
