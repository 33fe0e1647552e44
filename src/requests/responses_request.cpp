// responses_request.cpp: reads the fields that only Responses requests have, and what their answers repeat of them.
#include "requests/responses_request.h"

#include <algorithm>

#include "error.h"
#include "requests/responses_json.h"

namespace {

// Tools that a server would run itself, or whose calls are not JSON. Codex and others offer them to every server, and
// stop working with one that refuses them.
constexpr std::string_view kSkippedTools[] = {
    "web_search", "web_search_preview", "image_generation", "namespace", "custom", "mcp", "file_search", "local_shell",
    "shell",      "apply_patch",        "tool_search",
};

void read_tools(const JsonFields& body, ResponseBody& read) {
    for (const JsonFields& tool : read_objects(body, "tools")) {
        const std::string type = tool.text("type").value_or("");
        if (type == "function") {
            read.conversation.tools.push_back(read_function(tool));
            if (tool.boolean_or("strict", false)) read.skipped.push_back("tools[].strict");
            continue;
        }
        if (std::find(std::begin(kSkippedTools), std::end(kSkippedTools), type) == std::end(kSkippedTools))
            wrong(tool.path("type"), "\"function\", all that is supported", type);
        read.skipped.push_back(fmt::format("tools[] of type {}", type));
    }
}

// A list of strings; those that are not known are about tools and images that are not there.
void read_include(const JsonFields& body, ResponseRequest& response) {
    const Json* include = body.find("include");
    if (!include) return;
    if (!include->is_array()) body.wrong("include", "an array of strings");
    for (const Json& what : *include) {
        if (!what.is_string()) wrong(body.path("include"), "an array of strings", what);
        if (what.string() == "reasoning.encrypted_content") response.encrypts_reasoning = true;
    }
}

void check_metadata(const JsonFields& body) {
    if (!body.has("metadata")) return;
    const JsonFields metadata = body.object("metadata");
    for (const JsonFields::Member& member : metadata.members())
        if (!member.value.is_string()) wrong(metadata.path(member.key), "a string", member.value);
}

std::string tools_json(const std::vector<FunctionTool>& tools) {
    std::string out;
    for (const FunctionTool& tool : tools)
        out += fmt::format(R"({}{{"type":"function","name":{},"description":{},"parameters":{},"strict":false}})",
                           out.empty() ? "" : ",", json_string(tool.name),
                           tool.description.empty() ? "null" : json_string(tool.description),
                           tool.parameters.empty() ? "null" : compact(tool.parameters));
    return "[" + out + "]";
}

// What does not depend on defaults. `tools` are those that the model is shown: a tool's arguments are not held to its
// schema, so "strict" is false.
std::string echo(const JsonFields& body, const std::vector<FunctionTool>& tools, bool store) {
    const auto given_or = [&](const char* key, const char* fallback) {
        const Json* value = body.find(key);
        return fmt::format("\"{}\":{},", key, value ? compact(value->text()) : fallback);
    };
    std::string out = R"("background":false,)";
    for (const char* key : {"instructions", "max_output_tokens", "max_tool_calls"}) out += given_or(key, "null");
    out += given_or("metadata", "{}") + given_or("parallel_tool_calls", "true");
    for (const char* key : {"previous_response_id", "prompt_cache_key", "safety_identifier"})
        out += given_or(key, "null");
    out += fmt::format(R"("service_tier":"default","store":{},"text":{{"format":{{"type":"text"}}}},)", store);
    out += given_or("tool_choice", R"("auto")") + fmt::format("\"tools\":{},", tools_json(tools));
    out += given_or("top_logprobs", "0") + given_or("truncation", R"("disabled")");
    if (body.has("user")) out += given_or("user", "null");
    out.pop_back();
    return out;
}

}  // namespace

ResponseBody read_response_body(const JsonFields& body, const ResponseStore* store) {
    ResponseBody read;
    read.response = std::make_shared<ResponseRequest>();
    ResponseRequest& response = *read.response;
    response.store = body.boolean_or("store", false) && store;
    read.conversation.effort = read_effort(body, &read.conversation.skips_reasoning);
    if (body.has("reasoning")) response.effort = body.object("reasoning").text("effort").value_or("");
    read_tools(body, read);
    read_include(body, response);
    check_metadata(body);
    read_response_input(body, store, read);
    response.echo = echo(body, read.conversation.tools, response.store);
    read_tool_choice(body, read.conversation);
    return read;
}

void echo_defaults(ResponseRequest& response, Effort effort, const Sampling& sampling) {
    const std::string effort_json = json_string(response.effort.empty() ? effort_word(effort) : response.effort);
    response.echo += fmt::format(R"(,"reasoning":{{"effort":{},"summary":null}},"temperature":{},"top_p":{},)"
                                 R"("presence_penalty":{},"frequency_penalty":{})",
                                 effort_json, sampling.temperature, sampling.top_p, sampling.presence_penalty,
                                 sampling.frequency_penalty);
}
