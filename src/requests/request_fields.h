// request_fields.h: checks the fields of a request: which are known, ignored or refused.
#pragma once
#include <string>
#include <vector>

#include "base/json_fields.h"
#include "request.h"

// Throws Error if a field of a request's body asks for something unsupported. Returns unknown fields, each once:
// "body.messages[].mood"; at most twenty. A body alone in a line may have the line's fields.
std::vector<std::string> check_body_fields(const JsonFields& body, AnswerKind kind);
// The same for what stands around a body.
std::vector<std::string> unknown_line_fields(const JsonFields& line);
