// base64.h: base64 (RFC 4648, with padding).
#pragma once
#include <string>
#include <string_view>

void append_base64(std::string& out, std::string_view bytes);
// Appends the bytes; false if `text` is not base64.
bool decode_base64(std::string_view text, std::string& out);
