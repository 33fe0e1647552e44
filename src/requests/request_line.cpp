// request_line.cpp: reads the envelope of OpenAI's batch format; a body alone is a line, too.
#include "requests/request_line.h"

#include <algorithm>

#include "error.h"
#include "requests/request_fields.h"

std::optional<std::string> read_custom_id(const Json& line) {
    return JsonFields(line, "").text("custom_id");
}

std::optional<std::string> find_custom_id(std::string_view line) {
    constexpr std::string_view kKey = "\"custom_id\"", kSpace = " \t";
    const size_t key = line.find(kKey);
    if (key == std::string_view::npos) return {};
    std::string_view rest = line.substr(key + kKey.size());
    const auto skip = [&](size_t n) { rest.remove_prefix(std::min(n, rest.size())); };
    skip(rest.find_first_not_of(kSpace));
    if (rest.substr(0, 1) != ":") return {};
    skip(1);
    skip(rest.find_first_not_of(kSpace));
    if (rest.substr(0, 1) != "\"") return {};
    size_t end = 1;
    while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' ? 2 : 1;
    if (end >= rest.size()) return {};
    try {
        return parse_json(rest.substr(0, end + 1), "custom_id").string();
    } catch (const Error&) {
        return {};
    }
}

RequestLine read_request_line(const Json& line_json) {
    const JsonFields line(line_json, "");
    if (const std::string method = line.text("method").value_or("POST"); method != "POST")
        fail("{}: expected \"POST\", found {}", line.path("method"), shown(method));
    const Json* body = nullptr;
    for (const JsonFields::Member& member : line.members())
        if (member.key == "body") body = &member.value;
    const std::string url = line.text("url").value_or("");
    if (!body) return {line, url, {}};
    return {{*body, "body"}, url, unknown_line_fields(line)};
}
