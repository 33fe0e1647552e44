// test_server_doc.cpp: the tables of docs/server.md say what becomes of each field of a request. This sends every
// example in them, and sees whether it is so.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "error.h"
#include "requests/request_body.h"

namespace {

struct Row {
    std::string url, field, value, what;  // what: "done", "refused" or "ignored"
};

// What stands between backticks.
std::vector<std::string> in_backticks(const std::string& text) {
    std::vector<std::string> found;
    std::istringstream parts(text);
    std::string part;
    for (bool is_in = false; std::getline(parts, part, '`'); is_in = !is_in)
        if (is_in) found.push_back(part);
    return found;
}

// The rows of tables below a heading that is a path.
std::vector<Row> rows_of(const std::string& path) {
    std::vector<Row> rows;
    std::string url;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (line.compare(0, 1, "#") == 0) url = line.compare(0, 6, "### `/") == 0 ? in_backticks(line).at(0) : "";
        if (url.empty() || line.compare(0, 3, "| `") != 0) continue;
        std::istringstream cells(line);
        std::string fields, value, what;
        for (std::string* cell : {&fields, &fields, &value, &what}) std::getline(cells, *cell, '|');
        what = what.substr(1, what.find_first_not_of("abcdefghijklmnopqrstuvwxyz", 1) - 1);
        for (const std::string& field : in_backticks(fields))
            rows.push_back({url, field, in_backticks(value).at(0), what});
    }
    return rows;
}

// A small request to the path, with the field, unless it is one that is there anyway.
std::string body_with(const Row& row) {
    std::vector<std::pair<std::string, std::string>> members;
    if (row.url == "/v1/chat/completions")
        members = {{"messages", R"([{"role": "user", "content": "a"}])"},
                   {"tools", R"([{"type": "function", "function": {"name": "f"}}])"}};
    if (row.url == "/v1/completions") members = {{"prompt", "\"a\""}};
    if (row.url == "/v1/responses") members = {{"input", "\"a\""}};
    if (row.field == "top_logprobs" && row.what == "done") members.push_back({"logprobs", "true"});
    if (row.field == "stream_options") members.push_back({"stream", "true"});
    std::string body;
    for (const auto& [name, value] : members)
        if (name != row.field) body += "\"" + name + "\": " + value + ", ";
    return "{" + body + "\"" + row.field + "\": " + row.value + "}";
}

TEST(ServerDoc, SaysWhatBecomesOfEachField) {
    const std::vector<Row> rows = rows_of("docs/server.md");
    EXPECT_GE(rows.size(), 80u);
    for (const Row& row : rows) {
        const std::string json = body_with(row);
        SCOPED_TRACE(row.url + " " + json);
        EXPECT_TRUE(row.what == "done" || row.what == "refused" || row.what == "ignored") << row.what;
        std::string error;
        try {
            const RequestBody body = read_request_body({parse_json(json, "the body"), ""}, row.url);
            EXPECT_TRUE(body.unknown_fields.empty()) << body.unknown_fields.front();
        } catch (const Error& e) {
            error = e.what();
        }
        if (row.what != "refused")
            EXPECT_EQ(error, "");
        else
            EXPECT_EQ(error.compare(0, row.field.size(), row.field), 0) << error;
    }
}

}  // namespace
