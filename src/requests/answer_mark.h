// answer_mark.h: how an answer's line says which request it answers.
#pragma once
#include <string>

#include "requests.h"

// An id made of the request's index and the hash of its line.
std::string request_id(const Request& request);
