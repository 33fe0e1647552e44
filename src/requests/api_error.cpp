// api_error.cpp: the object that says what is wrong with a request, in every transport.
#include "requests/api_error.h"

#include <algorithm>
#include <cctype>

namespace {

// The name of the field that an error is about, with which it begins; "" if it is about none.
std::string error_param(const std::string& error) {
    const size_t end = error.find(": ");
    const std::string path = error.substr(0, end == std::string::npos ? 0 : end);
    const auto in_path = [](char c) {
        return std::isalnum(uint8_t(c)) || c == '_' || c == '.' || c == '[' || c == ']';
    };
    if (!std::all_of(path.begin(), path.end(), in_path)) return "";
    const std::string body = "body.";
    return path.compare(0, body.size(), body) == 0 ? path.substr(body.size()) : path;
}

}  // namespace

ApiError bad_request(const std::string& why, const std::string& code) {
    ApiError error;
    error.message = why;
    error.param = error_param(why);
    error.code = code;
    return error;
}

nlohmann::ordered_json error_json(const ApiError& error) {
    using Json = nlohmann::ordered_json;
    const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
    return {{"error",
             {{"message", error.message},
              {"type", error.type},
              {"param", or_null(error.param)},
              {"code", or_null(error.code)}}}};
}

std::string error_object(const ApiError& error) {
    using Json = nlohmann::ordered_json;
    return error_json(error).dump(-1, ' ', false, Json::error_handler_t::replace);
}
