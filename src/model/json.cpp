// json.cpp: nlohmann's parser, kept within limits by its callback.
#include "model/json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "error.h"

using nlohmann::json;

json parse_json(std::string_view text, const std::string& name, int max_depth) {
    std::vector<std::set<std::string>> keys;  // of each object or array that is open
    const auto watch = [&](int, json::parse_event_t event, json& parsed) {
        switch (event) {
            case json::parse_event_t::object_start:
            case json::parse_event_t::array_start:
                if (int(keys.size()) == max_depth)
                    fail("{}: expected JSON nested at most {} deep, found more", name, max_depth);
                keys.emplace_back();
                break;
            case json::parse_event_t::object_end:
            case json::parse_event_t::array_end:
                keys.pop_back();
                break;
            case json::parse_event_t::key:
                if (!keys.back().insert(parsed.get<std::string>()).second)
                    fail("{}: {}: expected each key once, found it twice", name, show(parsed));
                break;
            case json::parse_event_t::value:
                break;
        }
        return true;
    };
    try {
        return json::parse(text.begin(), text.end(), watch);
    } catch (const json::parse_error& e) {  // its text may quote the whole input
        fail("{}: expected JSON, found an error in its syntax at byte {}", name, e.byte);
    } catch (const json::exception&) {
        fail("{}: expected JSON, found a number out of range", name);
    }
}

std::string show(const json& value) {
    constexpr size_t kLongest = 60;
    if (value.is_object()) return fmt::format("an object of {} fields", value.size());
    if (value.is_array() && value.size() > 8) return fmt::format("an array of {}", value.size());
    std::string text = value.dump(-1, ' ', true);  // ASCII only, so that it can be cut anywhere
    if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
    return text;
}

Fields::Fields(const json& object, std::string file, std::string prefix)
    : object_(object), file_(std::move(file)), prefix_(std::move(prefix)) {
    if (!object.is_object()) fail("{}: {}expected a JSON object, found {}", file_, prefix_, show(object));
}

const json* Fields::find(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
}

void Fields::wrong(const char* key, const std::string& expected) const {
    const json* value = find(key);
    fail("{}: {}{}: expected {}, found {}", file_, prefix_, key, expected, value ? show(*value) : "nothing");
}

int Fields::integer(const char* key, int min, int max) const {
    const double value = number(key, min, max);
    if (value != std::floor(value)) wrong(key, "an integer");
    return int(value);
}

int Fields::integer_or(const char* key, int fallback, int min, int max) const {
    return has(key) ? integer(key, min, max) : fallback;
}

double Fields::number(const char* key, double min, double max) const {
    const json* value = find(key);
    const std::string expected = fmt::format("a number from {} to {}", min, max);
    if (!value || !value->is_number()) wrong(key, expected);
    const double number = value->get<double>();
    if (!(number >= min && number <= max)) wrong(key, expected);
    return number;
}

double Fields::number_or(const char* key, double fallback, double min, double max) const {
    return has(key) ? number(key, min, max) : fallback;
}

bool Fields::boolean_or(const char* key, bool fallback) const {
    const json* value = find(key);
    if (!value) return fallback;
    if (!value->is_boolean()) wrong(key, "true or false");
    return value->get<bool>();
}

std::string Fields::string_or(const char* key, const std::string& fallback) const {
    const json* value = find(key);
    if (!value) return fallback;
    if (!value->is_string()) wrong(key, "a string");
    return value->get<std::string>();
}

Fields Fields::object(const char* key) const {
    const json* value = find(key);
    if (!value || !value->is_object()) wrong(key, "an object");
    return Fields(*value, file_, prefix_ + key + ".");
}
