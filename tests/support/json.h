// json.h: nlohmann's JSON for tests. What takes compilers long is compiled once, in support/json.cpp.
#pragma once
#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string_view>

extern template class nlohmann::basic_json<>;
extern template class nlohmann::basic_json<nlohmann::ordered_map>;

// Throw nlohmann::json::parse_error.
nlohmann::json json_of(std::string_view text);
nlohmann::ordered_json ordered_json_of(std::string_view text);

namespace nlohmann {
// GoogleTest prints a value by these; without them it takes it for a container of containers.
void PrintTo(const json& value, std::ostream* out);
void PrintTo(const ordered_json& value, std::ostream* out);
}  // namespace nlohmann
