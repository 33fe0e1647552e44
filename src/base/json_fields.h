// json_fields.h: reads the fields of a JSON object; errors name the field, what was expected and what was found.
#pragma once
#include <vector>

#include "base/json.h"

[[noreturn]] void wrong(const std::string& path, const std::string& expected, const Json& found);
[[noreturn]] void wrong(const std::string& path, const std::string& expected, std::string_view found);  // plain text

// An object and where it stands: "body.messages[2]"; "" for a whole line; a file's name. A field that is null counts as
// absent. All functions throw Error if a field is not as expected.
class JsonFields {
  public:
    // Throws Error unless it is an object of at most 1000 keys, with no key twice. Messages put `separator` between
    // `where` and a field's name: ": " after the name of a file. `whole`: the object's name where `where` is "".
    JsonFields(const Json& object, std::string where, const char* separator = ".", const char* whole = "the line");

    std::string path(const std::string& key) const { return where_.empty() ? key : where_ + separator_ + key; }
    const Json* find(std::string_view key) const;  // null if absent
    bool has(std::string_view key) const { return find(key) != nullptr; }
    // The first of two spellings that is there; the first one if none is.
    const char* either(const char* a, const char* b) const { return !has(a) && has(b) ? b : a; }
    // "{path}: expected {what}, found {value}"
    [[noreturn]] void wrong(const std::string& key, const std::string& expected) const;

    // Fields that must be there. Numbers are finite and in [min, max].
    int integer(const std::string& key, int min, int max) const;
    double number(const std::string& key, double min, double max) const;
    JsonFields object(const std::string& key) const;
    // Fields that may be absent.
    int integer_or(const std::string& key, int fallback, int min, int max) const;
    double number_or(const std::string& key, double fallback, double min, double max) const;
    bool boolean_or(const std::string& key, bool fallback) const;
    std::string string_or(const std::string& key, const std::string& fallback) const;
    std::optional<std::string> text(const std::string& key) const;

    struct Member {
        std::string key;
        Json value;
    };
    const std::vector<Member>& members() const { return members_; }

  private:
    std::vector<Member> members_;
    std::string where_;
    const char* separator_;
};
