// answer_body.cpp: the objects "chat.completion" and "text_completion".
#include "requests/answer_body.h"

#include <fmt/core.h>

#include <algorithm>

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

Json choice(const AnswerHead& head, const Request& request, const Answer& answer, int index) {
    Json c{{"index", index}};
    if (request.kind == AnswerKind::kChat)
        c["message"] = chat_message(head, request, answer, index);
    else
        c["text"] = answer.content;
    c["logprobs"] = nullptr;
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

Json usage_object(bool is_chat, const std::vector<Answer>& answers, bool details) {
    int64_t n_new = 0, n_reasoning = 0, n_reused = 0;
    for (const Answer& answer : answers) {
        n_new += int64_t(answer.ids.size());
        n_reasoning += answer.n_reasoning;
        n_reused = std::max<int64_t>(n_reused, answer.n_reused);
    }
    const int64_t n_prompt = answers.front().n_prompt;
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
