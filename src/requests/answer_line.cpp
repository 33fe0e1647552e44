// answer_line.cpp: answers as lines of text, and as lines of the OpenAI batch output.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "error.h"
#include "requests.h"
#include "requests/answer_mark.h"
#include "requests/api_error.h"
#include "requests/responses_answer.h"

namespace {

using Json = nlohmann::ordered_json;  // keeps the order of keys

const char* finish_reason(const Answer& answer) {
    if (answer.finish == Finish::kLength) return "length";
    return answer.tool_calls.empty() ? "stop" : "tool_calls";
}

Json chat_message(const Request& request, const Answer& answer) {
    Json message{{"role", "assistant"}};
    message["content"] = answer.content.empty() && !answer.tool_calls.empty() ? Json() : Json(answer.content);
    message["refusal"] = nullptr;
    if (request.include_reasoning)
        message["reasoning_content"] = answer.reasoning.empty() ? Json() : Json(answer.reasoning);
    for (const ToolCall& call : answer.tool_calls) {
        const size_t n = message.contains("tool_calls") ? message["tool_calls"].size() : 0;
        message["tool_calls"].push_back({{"id", fmt::format("call_{}_{}", request.index, n)},
                                         {"type", "function"},
                                         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
    return message;
}

Json choice(const Request& request, const Answer& answer) {
    Json c{{"index", 0}};
    if (request.kind == AnswerKind::kChat)
        c["message"] = chat_message(request, answer);
    else
        c["text"] = answer.content;
    c["logprobs"] = nullptr;
    c["finish_reason"] = finish_reason(answer);
    if (request.return_token_ids) c["token_ids"] = answer.ids;
    return c;
}

// What the API answers to a bad request (400), and to one that failed while it ran (500). The number of its line
// identifies a request without an id.
Json error_response(const Request& request, const Answer& answer) {
    const bool is_bad = !request.error.empty();
    ApiError error = bad_request(answer.error, request.error_code);
    if (!is_bad) {
        error.status = 500;
        error.type = "server_error";
        error.param = "";
    }
    if (!request.custom_id) error.message = fmt::format("line {}: {}", request.line, error.message);
    return {{"status_code", error.status}, {"request_id", request_id(request)}, {"body", error_json(error)}};
}

// The API's answer to a request that did not fail.
Json answer_body(const Request& request, const Answer& answer, const std::string& model, int64_t created) {
    const std::string& name = request.model.empty() ? model : request.model;
    if (request.kind == AnswerKind::kResponse)
        return Json::parse(response_object(*request.response, {std::to_string(request.index), name, created}, answer));
    const bool chat = request.kind == AnswerKind::kChat;
    const auto n_new = int64_t(answer.ids.size());
    Json usage{
        {"prompt_tokens", answer.n_prompt}, {"completion_tokens", n_new}, {"total_tokens", answer.n_prompt + n_new}};
    if (chat) usage["completion_tokens_details"] = {{"reasoning_tokens", answer.n_reasoning}};
    return {{"id", fmt::format("{}-{}", chat ? "chatcmpl" : "cmpl", request.index)},
            {"object", chat ? "chat.completion" : "text_completion"},
            {"created", created},
            {"model", name},
            {"choices", Json::array({choice(request, answer)})},
            {"usage", std::move(usage)}};
}

}  // namespace

std::string token_line(const std::vector<int>& ids) {
    return fmt::format("{}", fmt::join(ids, " "));
}

std::string answer_line(const Request& request, const Answer& answer, const std::string& model, int64_t created) {
    Json line{{"id", fmt::format("batch_req_{}", request.index)}, {"custom_id", nullptr}};
    if (request.custom_id) line["custom_id"] = *request.custom_id;
    if (answer.error.empty()) {
        line["response"] = {{"status_code", 200},
                            {"request_id", request_id(request)},
                            {"body", answer_body(request, answer, model, created)}};
    } else {
        line["response"] = error_response(request, answer);
    }
    line["error"] = nullptr;  // the API fills it in only where there is no response
    return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

uint64_t answer_hash(int64_t index, const std::vector<int>& ids) {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, a 32-bit word at a time
    const auto add = [&](uint64_t word) { hash = (hash ^ word) * 0x100000001b3; };
    add(uint64_t(index));
    for (const int id : ids) add(uint64_t(id));
    return mix64(hash);  // bare FNV values of similar inputs could cancel in a sum
}
