// request_body.h: what the JSON body of a request asks for, without defaults and before it is encoded.
#pragma once
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json_fields.h"
#include "request.h"

// The "messages" of a chat, in harmony's terms.
struct Conversation {
    std::optional<Effort> effort;
    bool skips_reasoning = false;             // the effort is none
    std::optional<std::string> instructions;  // of its system and developer messages
    std::vector<FunctionTool> tools;
    bool must_call = false;      // one of the tools, before it says anything but reasoning
    std::string must_call_tool;  // this one; "": any
    std::vector<Message> messages;
};

using TextOrIds = std::variant<std::string, std::vector<int>>;

struct RequestBody {
    AnswerKind kind = AnswerKind::kCompletion;
    std::variant<std::string, std::vector<int>, Conversation>
        prompt;  // ids are not negative, but not yet checked to be tokens
    std::vector<TextOrIds> more_prompts;
    std::optional<bool> special_tokens;
    int n = 1;
    bool echo = false;
    int n_logprobs = -1;  // -1: none
    bool reasoning_logprobs = false;
    std::string model;
    std::optional<int> max_tokens;
    int min_tokens = 0;
    std::optional<double> temperature, top_p, repetition_penalty;
    double min_p = 0, presence_penalty = 0, frequency_penalty = 0;
    std::vector<TokenBias> logit_bias;  // ascending; ids are not negative
    std::optional<int> top_k;           // 0: all
    std::optional<uint64_t> seed;
    std::vector<std::string> stop;
    std::vector<int> stop_token_ids;  // not negative
    bool include_stop = false;        // in the text
    bool ignore_eos = false;
    bool return_token_ids = false;
    bool stream = false, include_usage = false;
    bool include_reasoning = true;
    bool parallel_tool_calls = true;
    std::shared_ptr<ResponseRequest> response;  // kResponse
    std::vector<std::string> unknown_fields;    // see check_body_fields
};

// Reads the body of a request to `url`; if that is "", the body's fields decide what it is. `responses` are as in a
// RequestContext. Throws Error.
RequestBody read_request_body(const JsonFields& body, const std::string& url, const ResponseStore* responses = nullptr);

// How much a chat's body asks the model to think, in any spelling; none if it does not say. No reasoning becomes the
// lowest effort, as gpt-oss has no mode without. Throws Error if two spellings differ.
// `none`, if not null, becomes whether it asks for none.
std::optional<Effort> read_effort(const JsonFields& body, bool* none = nullptr);

// Reads "messages", "tools" and "tool_choice" of a chat's body. Throws Error.
Conversation read_conversation(const JsonFields& body);
