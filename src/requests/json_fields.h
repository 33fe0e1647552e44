// json_fields.h: the fields of a JSON object, read with messages that name the field, what was expected and what is there.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

// Keeps the order of keys: tool schemas are rendered in the order in which they were written.
using Json = nlohmann::ordered_json;

// Parses one JSON value, all of `text`. Throws Error: not UTF-8, not JSON, nested too deeply, too many keys in an object.
Json parse_json(std::string_view text);

// "3", "\"abc\"", "an array": short enough for a message.
std::string shown(const Json& value);
[[noreturn]] void wrong(const std::string& path, const std::string& expected, const Json& found);

// An object and where it stands ("body.messages[2]"; "" for the whole line). A field that is null counts as absent.
class JsonFields {
  public:
    JsonFields(const Json& object, std::string path);  // throws Error unless it is an object

    std::string path(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
    const Json* find(const std::string& key) const;  // null if absent
    // All of these throw Error if the field is there and not as expected.
    std::optional<std::string> text(const std::string& key) const;
    std::optional<double> number(const std::string& key, double low, double high, const std::string& expected) const;
    std::optional<int> integer(const std::string& key, int low, const std::string& expected) const;
    std::optional<uint64_t> seed(const std::string& key) const;  // any 64-bit integer, signed or not
    bool flag(const std::string& key) const;                     // absent: false

  private:
    const Json& object_;
    const std::string path_;
};
