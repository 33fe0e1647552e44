// answer_line.cpp: answers as lines of text, and as lines of the OpenAI batch output.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "error.h"
#include "requests.h"
#include "requests/answer_body.h"
#include "requests/answer_mark.h"
#include "requests/api_error.h"
#include "requests/responses_answer.h"

namespace {

using Json = nlohmann::ordered_json;  // keeps the order of keys

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
Json body_of(const Request& request, const std::vector<Answer>& answers, const std::string& model, int64_t created) {
    AnswerHead head;
    head.model = request.model.empty() ? model : request.model;
    head.created = created;
    head.call_id = fmt::format("call_{}", request.index);
    if (request.kind == AnswerKind::kResponse) {
        const ResponseStamp stamp{std::to_string(request.index), head.model, created, /*tells_run=*/false};
        return Json::parse(response_object(*request.response, stamp, answers[0]));
    }
    head.id = fmt::format("{}-{}", request.kind == AnswerKind::kChat ? "chatcmpl" : "cmpl", request.index);
    return answer_body(head, request, answers);
}

}  // namespace

std::string token_line(const std::vector<int>& ids) {
    return fmt::format("{}", fmt::join(ids, " "));
}

std::string answer_line(const Request& request, const std::vector<Answer>& answers, const std::string& model,
                        int64_t created) {
    Json line{{"id", fmt::format("batch_req_{}", request.index)}, {"custom_id", nullptr}};
    if (request.custom_id) line["custom_id"] = *request.custom_id;
    if (answers[0].error.empty()) {
        line["response"] = {{"status_code", 200},
                            {"request_id", request_id(request)},
                            {"body", body_of(request, answers, model, created)}};
    } else {
        line["response"] = error_response(request, answers[0]);
    }
    line["error"] = nullptr;  // the API fills it in only where there is no response
    return dump(line);
}

uint64_t answer_hash(int64_t index, const std::vector<int>& ids) {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, a 32-bit word at a time
    const auto add = [&](uint64_t word) { hash = (hash ^ word) * 0x100000001b3; };
    add(uint64_t(index));
    for (const int id : ids) add(uint64_t(id));
    return mix64(hash);  // bare FNV values of similar inputs could cancel in a sum
}
