// request_line.h: a line of a batch file: what stands around a request's body.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json_fields.h"

// Lines are read in two steps, so that an answer can have the request's id whatever else is wrong. Both throw Error.
std::optional<std::string> read_custom_id(const Json& line);
struct RequestLine {
    JsonFields body;                          // the line itself if it is a body alone
    std::string url;                          // may be empty
    std::vector<std::string> unknown_fields;  // around the body
};
RequestLine read_request_line(const Json& line);
// The first custom_id in a line that may be no JSON, as far as one can be found.
std::optional<std::string> find_custom_id(std::string_view line);
