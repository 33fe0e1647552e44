// request_fields.h: checks the fields of a request: which are known, ignored or refused.
#pragma once
#include <string>
#include <vector>

#include "base/json_fields.h"

// Throws Error if a field asks for something unsupported. `line` is the whole line, `body` its body or the line itself.
// Returns unknown fields, each once: "messages[].mood"; at most twenty.
std::vector<std::string> check_request_fields(const JsonFields& line, const JsonFields& body, bool is_chat);
