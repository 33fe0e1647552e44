// api_error.h: the error object as a value, for writers that put it into another.
#pragma once
#include <nlohmann/json.hpp>

#include "request.h"

nlohmann::ordered_json error_json(const ApiError& error);
