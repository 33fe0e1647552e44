// json.h: JSON that comes from outside: parsed with limits, read field by field with errors that name the field.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

// Parses `text`; `name` is the file's, for errors. Refuses what is not JSON, objects with two equal keys, and nesting
// deeper than `max_depth`. Throws Error.
nlohmann::json parse_json(std::string_view text, const std::string& name, int max_depth = 16);

// One line that shows `value`, shortened if it is long.
std::string show(const nlohmann::json& value);

// The fields of a JSON object. A field that is null counts as absent. All functions throw Error.
class Fields {
  public:
    // `object` must outlive this. `prefix` goes before the fields' names in errors: "rope_scaling."
    Fields(const nlohmann::json& object, std::string file, std::string prefix = "");

    bool has(const char* key) const { return find(key) != nullptr; }
    // The first of two spellings that is there; the first one if none is.
    const char* either(const char* a, const char* b) const { return !has(a) && has(b) ? b : a; }

    int integer(const char* key, int min, int max) const;
    int integer_or(const char* key, int fallback, int min, int max) const;
    // Finite, in [min, max].
    double number(const char* key, double min, double max) const;
    double number_or(const char* key, double fallback, double min, double max) const;
    bool boolean_or(const char* key, bool fallback) const;
    std::string string_or(const char* key, const std::string& fallback) const;
    Fields object(const char* key) const;
    const nlohmann::json* find(const char* key) const;  // null if absent

    // "{file}: {field}: expected {what}, found {value}"
    [[noreturn]] void wrong(const char* key, const std::string& expected) const;

  private:
    const nlohmann::json& object_;
    std::string file_, prefix_;
};
