// responses_request.h: what a request of OpenAI's Responses API asks for beyond what requests of all APIs do.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "requests/history.h"
#include "requests/responses_store.h"

// What the answer to such a request must know of it.
struct ResponseRequest {
    std::string echo;    // the members of the answer that repeat the request: JSON with commas between them
    std::string effort;  // of the reasoning, as the request spells it; may be empty
    bool store = false;
    bool encrypts_reasoning = false;  // the answer's reasoning is to have "encrypted_content" too
    std::vector<ResponseTurn> turns;  // before this one; only if it is to be stored
    std::vector<std::string> input;   // this turn's items as JSON; only if it is to be stored
};

struct ResponseBody {
    Conversation conversation;
    std::shared_ptr<ResponseRequest> response;
    std::vector<std::string> skipped;  // what clients send to everybody, and is nothing to this program
};

// Reads "input", "instructions", "tools", "store" and their like. `store` has earlier responses; null: none are kept.
// Throws Error.
ResponseBody read_response_body(const JsonFields& body, const ResponseStore* store);

// Items that lead to an answer: those of earlier turns, and the body's own, which it checks and keeps. Adds
// instructions and messages to the conversation.
void read_response_input(const JsonFields& body, const ResponseStore* store, ResponseBody& read);

// Completes the echo with what the request did not say.
void echo_defaults(ResponseRequest& response, Effort effort, const Sampling& sampling);

// The "encrypted_content" of reasoning: its text, in a form that survives clients which show none of it to anybody.
std::string encrypted_content(const std::string& reasoning);
// The reasoning again; no value if another server wrote it.
std::optional<std::string> reasoning_in(const std::string& encrypted_content);
