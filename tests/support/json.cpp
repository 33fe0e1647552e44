// json.cpp: nlohmann's classes, and how GoogleTest prints them.
#include "support/json.h"

#include <ostream>

template class nlohmann::basic_json<>;
template class nlohmann::basic_json<nlohmann::ordered_map>;

nlohmann::json json_of(std::string_view text) {
    return nlohmann::json::parse(text);
}
nlohmann::ordered_json ordered_json_of(std::string_view text) {
    return nlohmann::ordered_json::parse(text);
}

namespace nlohmann {
void PrintTo(const json& value, std::ostream* out) {
    *out << value;
}
void PrintTo(const ordered_json& value, std::ostream* out) {
    *out << value;
}
}  // namespace nlohmann
