// answer_mark.h: how an answer's line says which request it is to.
#pragma once
#include <string>

#include "requests.h"

// By its place and its line.
std::string request_id(const Request& request);
