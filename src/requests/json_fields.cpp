// json_fields.cpp: nlohmann-json, with limits on what a line may hold.
#include "requests/json_fields.h"

#include <limits>

#include "base/utf8.h"
#include "error.h"

namespace {

// Far above any tool schema, and shallow enough for code that recurses, such as the library's own dump().
constexpr int kMaxDepth = 64;
// The library finds a key of an ordered object by linear search, so a large object would take quadratic time.
constexpr int kMaxKeys = 1000;
constexpr size_t kShownBytes = 40;

// Stops the parser before anything deep or wide has been built.
class Limits {
  public:
    bool operator()(int depth, Json::parse_event_t event, const Json&) {
        using Event = Json::parse_event_t;
        if (depth >= kMaxDepth) fail("the line nests deeper than {} levels", kMaxDepth);
        if (event == Event::object_start) n_keys_[depth + 1] = 0;
        if (event == Event::key && ++n_keys_[depth] > kMaxKeys) fail("an object has more than {} keys", kMaxKeys);
        return true;
    }

  private:
    int n_keys_[kMaxDepth + 1] = {};  // of the open object at each depth
};

}  // namespace

Json parse_json(std::string_view text) {
    const size_t valid = utf8_valid_prefix(text);
    if (valid < text.size()) fail("invalid UTF-8 at byte {} of the line", valid + 1);
    try {
        return Json::parse(text.begin(), text.end(), Limits());
    } catch (const Json::parse_error& e) {
        fail("the line is not JSON: error at byte {}", e.byte);
    } catch (const Json::out_of_range&) {
        fail("the line has a number too large for a double");
    }
}

std::string shown(const Json& value) {
    if (value.is_array()) return value.empty() ? "[]" : "an array";
    if (value.is_object()) return value.empty() ? "{}" : "an object";
    if (!value.is_string()) return value.dump();
    const auto& text = value.get_ref<const std::string&>();
    if (text.size() <= kShownBytes) return value.dump();
    const std::string_view start = std::string_view(text).substr(0, kShownBytes);
    return Json(start.substr(0, utf8_valid_prefix(start))).dump() + "...";
}

void wrong(const std::string& path, const std::string& expected, const Json& found) {
    fail("{}: expected {}, found {}", path, expected, shown(found));
}

JsonFields::JsonFields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object.is_object()) wrong(path_.empty() ? "the line" : path_, "an object", object);
}

const Json* JsonFields::find(const std::string& key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
}

std::optional<std::string> JsonFields::text(const std::string& key) const {
    const Json* value = find(key);
    if (!value) return {};
    if (!value->is_string()) wrong(path(key), "a string", *value);
    return value->get<std::string>();
}

std::optional<double> JsonFields::number(const std::string& key, double low, double high,
                                         const std::string& expected) const {
    const Json* value = find(key);
    if (!value) return {};
    if (!value->is_number() || !(value->get<double>() >= low && value->get<double>() <= high))
        wrong(path(key), expected, *value);
    return value->get<double>();
}

std::optional<int> JsonFields::integer(const std::string& key, int low, const std::string& expected) const {
    const Json* value = find(key);
    if (!value) return {};
    // Compared as a double, which holds any int exactly and any JSON integer nearly enough to tell it from one.
    constexpr double kHigh = std::numeric_limits<int>::max();
    if (!value->is_number_integer() || value->get<double>() < low || value->get<double>() > kHigh)
        wrong(path(key), expected, *value);
    return value->get<int>();
}

std::optional<uint64_t> JsonFields::seed(const std::string& key) const {
    const Json* value = find(key);
    if (!value) return {};
    if (!value->is_number_integer()) wrong(path(key), "an integer of 64 bits", *value);
    return value->get<uint64_t>();
}

bool JsonFields::flag(const std::string& key) const {
    const Json* value = find(key);
    if (!value) return false;
    if (!value->is_boolean()) wrong(path(key), "true or false", *value);
    return value->get<bool>();
}
