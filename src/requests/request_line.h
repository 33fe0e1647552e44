// request_line.h: what a line of JSON asks for, as it stands there: nothing defaulted, nothing encoded.
#pragma once
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json_fields.h"
#include "harmony.h"

// The "messages" of a chat, in harmony's terms.
struct Conversation {
    std::optional<Effort> effort;
    std::optional<std::string> instructions;  // of its system and developer messages
    std::vector<FunctionTool> tools;
    std::vector<Message> messages;
};

struct RequestLine {
    std::variant<std::string, std::vector<int>, Conversation>
        prompt;  // ids are not negative, but not yet checked to be tokens
    std::string model;
    std::optional<int> max_tokens;
    std::optional<double> temperature, top_p;
    std::optional<uint64_t> seed;
    std::vector<std::string> stop;
    bool ignore_eos = false;
    bool return_token_ids = false;
};

// A line in two steps, so that a request can be answered under its id whatever else is wrong with it. Both throw Error.
std::optional<std::string> read_custom_id(const Json& line);
RequestLine read_request_line(const Json& line);

// Of a chat's body: "messages", "tools", "tool_choice", "reasoning_effort". Throws Error.
Conversation read_conversation(const JsonFields& body);
