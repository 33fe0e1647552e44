// json_fields.cpp: reads an object's fields by name. The constructor looks for keys that stand there twice.
#include "base/json_fields.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace {

// A limit for objects whose fields are looked up by name, and for no others.
constexpr size_t kMaxKeys = 1000;

}  // namespace

void wrong(const std::string& path, const std::string& expected, const Json& found) {
    fail("{}: expected {}, found {}", path, expected, shown(found));
}

void wrong(const std::string& path, const std::string& expected, std::string_view found) {
    fail("{}: expected {}, found {}", path, expected, shown(found));
}

JsonFields::JsonFields(const Json& object, std::string where, const char* separator, const char* whole)
    : where_(std::move(where)), separator_(separator) {
    const std::string name = where_.empty() ? whole : where_;
    if (!object.is_object()) ::wrong(name, "an object", object);
    object.each_member([&](std::string key, const Json& value) {
        if (members_.size() == kMaxKeys) fail("{}: expected an object of at most {} keys, found more", name, kMaxKeys);
        members_.push_back({std::move(key), value});
    });
    std::vector<std::string_view> keys;
    for (const Member& member : members_) keys.push_back(member.key);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) fail("{}: expected each key once, found {} twice", name, shown(*twice));
}

const Json* JsonFields::find(std::string_view key) const {
    for (const Member& member : members_)
        if (member.key == key) return member.value.is_null() ? nullptr : &member.value;
    return nullptr;
}

void JsonFields::wrong(const std::string& key, const std::string& expected) const {
    const Json* value = find(key);
    fail("{}: expected {}, found {}", path(key), expected, value ? shown(*value) : "nothing");
}

int JsonFields::integer(const std::string& key, int min, int max) const {
    const Json* value = find(key);
    const std::optional<int64_t> number = value && value->is_number() ? value->integer() : std::nullopt;
    if (!number || *number < min || *number > max) wrong(key, fmt::format("an integer from {} to {}", min, max));
    return int(*number);
}

double JsonFields::number(const std::string& key, double min, double max) const {
    const Json* value = find(key);
    const double number = value && value->is_number() ? value->number() : std::nan("");
    if (!(number >= min && number <= max)) wrong(key, fmt::format("a number from {} to {}", min, max));
    return number;
}

JsonFields JsonFields::object(const std::string& key) const {
    const Json* value = find(key);
    if (!value || !value->is_object()) wrong(key, "an object");
    return {*value, path(key)};
}

int JsonFields::integer_or(const std::string& key, int fallback, int min, int max) const {
    return has(key) ? integer(key, min, max) : fallback;
}

double JsonFields::number_or(const std::string& key, double fallback, double min, double max) const {
    return has(key) ? number(key, min, max) : fallback;
}

bool JsonFields::boolean_or(const std::string& key, bool fallback) const {
    const Json* value = find(key);
    if (!value) return fallback;
    if (!value->is_boolean()) wrong(key, "true or false");
    return value->boolean();
}

std::string JsonFields::string_or(const std::string& key, const std::string& fallback) const {
    return text(key).value_or(fallback);
}

std::optional<std::string> JsonFields::text(const std::string& key) const {
    const Json* value = find(key);
    if (!value) return {};
    if (!value->is_string()) wrong(key, "a string");
    return value->string();
}
