// request_line.h: what a line of JSON asks for, without defaults and before it is encoded.
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
    int min_tokens = 0;
    std::optional<double> temperature, top_p, repetition_penalty;
    std::optional<int> top_k;  // 0: all
    std::optional<uint64_t> seed;
    std::vector<std::string> stop;
    std::vector<int> stop_token_ids;  // not negative
    bool include_stop = false;        // in the text
    bool ignore_eos = false;
    bool return_token_ids = false;
    bool include_reasoning = true;
    bool parallel_tool_calls = true;
    std::vector<std::string> unknown_fields;  // see check_request_fields
};

// Lines are read in two steps, so that an answer can have the request's id whatever else is wrong. Both throw Error.
std::optional<std::string> read_custom_id(const Json& line);
RequestLine read_request_line(const Json& line);
// The first custom_id in a line that may be no JSON, as far as one can be found.
std::optional<std::string> find_custom_id(std::string_view line);

// How much a chat's body asks the model to think, in any spelling; none if it does not say. No reasoning becomes the
// lowest effort, as gpt-oss has no mode without. Throws Error if two spellings differ.
std::optional<Effort> read_effort(const JsonFields& body);

// Reads "messages", "tools" and "tool_choice" of a chat's body. Throws Error.
Conversation read_conversation(const JsonFields& body);
