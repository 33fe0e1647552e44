// request_fields.h: every field that a request may have, and what becomes of it.
#pragma once
#include <string>
#include <vector>

#include "base/json_fields.h"

// Throws Error if a field asks for what is not done: answering as if it were absent would be a lie. `line` is the whole
// line, `body` its body or the line itself. Returns fields that nobody here knows, each once: "messages[].mood"; at
// most twenty.
std::vector<std::string> check_request_fields(const JsonFields& line, const JsonFields& body, bool is_chat);
