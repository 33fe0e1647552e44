// answer_body.cpp: the objects "chat.completion" and "text_completion".
#include "requests/answer_body.h"

#include <fmt/core.h>

#include <algorithm>

#include "utf8_stream.h"

namespace {

using Json = nlohmann::ordered_json;  // keeps the order of keys

Json chat_message(const AnswerHead& head, const Request& request, const Answer& answer, int index) {
    Json message{{"role", "assistant"}};
    message["content"] = answer.content.empty() && !answer.tool_calls.empty() ? Json() : Json(answer.content);
    message["refusal"] = nullptr;
    const Json reasoning = answer.reasoning.empty() ? Json() : Json(answer.reasoning);
    if (request.include_reasoning && head.reasoning) message["reasoning"] = reasoning;
    if (request.include_reasoning && head.reasoning_content) message["reasoning_content"] = reasoning;
    for (size_t i = 0; i < answer.tool_calls.size(); i++) {
        const ToolCall& call = answer.tool_calls[i];
        message["tool_calls"].push_back({{"id", call_id(head, index, int(i))},
                                         {"type", "function"},
                                         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
    return message;
}

// The text of a token, in which what is no UTF-8 is replaced.
std::string shown_text(const std::string& bytes) {
    Utf8Stream utf8;
    const std::string text = utf8.feed(bytes);
    return text + utf8.finish();
}

Json entry_json(const TokenChoice::Entry& entry) {
    Json bytes = Json::array();
    for (const char c : entry.bytes) bytes.push_back(uint8_t(c));
    return {{"token", shown_text(entry.bytes)}, {"logprob", entry.logprob}, {"bytes", std::move(bytes)}};
}

Json logprobs_json(const Request& request, const Answer& answer) {
    if (request.sampling.n_logprobs < 0) return nullptr;
    if (request.kind != AnswerKind::kChat) return completion_logprobs(answer.logprobs, request.sampling.n_logprobs > 0);
    Json logprobs{{"content", chat_logprobs(answer.logprobs)}, {"refusal", nullptr}};
    if (request.reasoning_logprobs) logprobs["reasoning_logprobs"] = chat_logprobs(answer.reasoning_logprobs);
    return logprobs;
}

Json choice(const AnswerHead& head, const Request& request, const Answer& answer, int index) {
    Json c{{"index", index}};
    if (request.kind == AnswerKind::kChat)
        c["message"] = chat_message(head, request, answer, index);
    else
        c["text"] = answer.content;
    c["logprobs"] = logprobs_json(request, answer);
    c["finish_reason"] = finish_reason(answer);
    if (request.return_token_ids) c["token_ids"] = answer.ids;
    return c;
}

}  // namespace

const char* finish_reason(const Answer& answer) {
    if (answer.finish == Finish::kLength) return "length";
    return answer.tool_calls.empty() ? "stop" : "tool_calls";
}

std::string call_id(const AnswerHead& head, int choice, int call) {
    return choice == 0 ? fmt::format("{}_{}", head.call_id, call) : fmt::format("{}_{}_{}", head.call_id, choice, call);
}

Json chat_logprobs(const std::vector<TokenChoice>& tokens) {
    Json list = Json::array();
    for (const TokenChoice& token : tokens) {
        Json entry = entry_json(token.drawn);
        entry["top_logprobs"] = Json::array();
        for (const TokenChoice::Entry& top : token.top) entry["top_logprobs"].push_back(entry_json(top));
        list.push_back(std::move(entry));
    }
    return list;
}

Json completion_logprobs(const std::vector<TokenChoice>& tokens, bool has_top, int64_t offset) {
    Json texts = Json::array(), logprobs = Json::array(), tops = Json::array(), offsets = Json::array();
    for (const TokenChoice& token : tokens) {
        texts.push_back(shown_text(token.drawn.bytes));
        logprobs.push_back(token.drawn.logprob);  // null where it is not a number
        Json top = Json::object();
        for (const TokenChoice::Entry& entry : token.top) top.emplace(shown_text(entry.bytes), entry.logprob);
        tops.push_back(token.top.empty() ? Json() : std::move(top));
        offsets.push_back(offset);
        const auto begins_character = [](char c) { return (uint8_t(c) & 0xc0) != 0x80; };
        offset += std::count_if(token.drawn.bytes.begin(), token.drawn.bytes.end(), begins_character);
    }
    return {{"tokens", std::move(texts)},
            {"token_logprobs", std::move(logprobs)},
            {"top_logprobs", has_top ? std::move(tops) : Json()},
            {"text_offset", std::move(offsets)}};
}

Json usage_object(bool is_chat, const std::vector<Answer>& answers, bool details) {
    int64_t n_prompt = 0, n_new = 0, n_reasoning = 0, n_reused = 0;
    for (const Answer& answer : answers) {
        n_new += int64_t(answer.ids.size());
        n_reasoning += answer.n_reasoning;
        if (answer.shares_prompt) continue;
        n_prompt += answer.n_prompt;
        n_reused += answer.n_reused;
    }
    Json usage{{"prompt_tokens", n_prompt}, {"completion_tokens", n_new}, {"total_tokens", n_prompt + n_new}};
    if (details) usage["prompt_tokens_details"] = {{"cached_tokens", n_reused}};
    if (is_chat) usage["completion_tokens_details"] = {{"reasoning_tokens", n_reasoning}};
    return usage;
}

Json timings_object(const Answer& answer) {
    const double decode_s = answer.request_s - answer.first_token_s;
    const double n_decoded = double(answer.ids.size()) - 1;
    return {{"prompt_ms", answer.first_token_s * 1e3},
            {"predicted_ms", decode_s * 1e3},
            {"predicted_per_second", decode_s > 0 && n_decoded > 0 ? n_decoded / decode_s : 0.0}};
}

Json answer_body(const AnswerHead& head, const Request& request, const std::vector<Answer>& answers) {
    const bool is_chat = request.kind == AnswerKind::kChat;
    Json choices = Json::array();
    for (size_t i = 0; i < answers.size(); i++) choices.push_back(choice(head, request, answers[i], int(i)));
    Json body{{"id", head.id},
              {"object", is_chat ? "chat.completion" : "text_completion"},
              {"created", head.created},
              {"model", head.model}};
    if (!head.fingerprint.empty()) body["system_fingerprint"] = head.fingerprint;
    body["choices"] = std::move(choices);
    body["usage"] = usage_object(is_chat, answers, head.details);
    if (head.details) body["timings"] = timings_object(answers.front());
    return body;
}

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}
