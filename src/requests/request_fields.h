// request_fields.h: every field that a request may have, and what becomes of it.
#pragma once
#include <string>
#include <vector>

#include "base/json_fields.h"

// Throws Error if a field asks for what is not done. `line` is the whole line, `body` its body or the line itself.
// Returns unknown fields, each once: "messages[].mood"; at most twenty.
std::vector<std::string> check_request_fields(const JsonFields& line, const JsonFields& body, bool is_chat);
