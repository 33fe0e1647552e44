// answer_body.h: answers as the API's objects, for every transport.
#pragma once
#include <nlohmann/json.hpp>

#include "request.h"

// What an answer says of itself beside the answer.
struct AnswerHead {
    std::string id;  // of the object
    std::string model;
    int64_t created = 0;                               // Unix time
    std::string call_id;                               // calls are called this, "_" and a number
    std::string fingerprint;                           // "": left out
    bool reasoning = false, reasoning_content = true;  // the names under which the analysis is given
    bool details = false;  // how long it took, and what the KV cache had, which is another at every run
};

const char* finish_reason(const Answer& answer);
std::string call_id(const AnswerHead& head, int choice, int call);
nlohmann::ordered_json usage_object(bool is_chat, const std::vector<Answer>& answers, bool details);
nlohmann::ordered_json timings_object(const Answer& answer);
// "content" of a chat's logprobs.
nlohmann::ordered_json chat_logprobs(const std::vector<TokenChoice>& tokens);
// A completion's logprobs. `offset`: where their text begins in the answer's, in characters.
nlohmann::ordered_json completion_logprobs(const std::vector<TokenChoice>& tokens, bool has_top, int64_t offset = 0);
// The answers to one request, which are its choices.
nlohmann::ordered_json answer_body(const AnswerHead& head, const Request& request, const std::vector<Answer>& answers);
// As text; what is not UTF-8 is replaced.
std::string dump(const nlohmann::ordered_json& json);
