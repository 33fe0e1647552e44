// json.h: reads JSON from outside in place: a value is a piece of the text, and no tree is built.
//
// All of the text is checked once; after that, a read costs only what it looks at. Memory stays small whatever the text
// holds, and time grows with its length.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

// One value. It points into the text that was parsed, which must outlive it.
class Json {
  public:
    Json() = default;  // null

    bool is_null() const { return text_[0] == 'n'; }
    bool is_boolean() const { return text_[0] == 't' || text_[0] == 'f'; }
    bool is_number() const { return text_[0] == '-' || (text_[0] >= '0' && text_[0] <= '9'); }
    bool is_string() const { return text_[0] == '"'; }
    bool is_array() const { return text_[0] == '['; }
    bool is_object() const { return text_[0] == '{'; }

    std::string_view text() const { return text_; }  // the value as it was written
    // Each of these is only for values of the type that it is named after.
    bool boolean() const { return text_[0] == 't'; }
    double number() const;
    // A number as an integer; none if it is not whole (64.0 and 6.4e1 are whole) or too large.
    std::optional<int64_t> integer() const;
    std::string string() const;
    int64_t size() const;  // elements of an array or members of an object; counts them at every call
    bool empty() const { return size() == 0; }
    // Calls `use` for each member in the order of the text, equal keys included.
    void each_member(const std::function<void(std::string key, const Json& value)>& use) const;

    // Elements of an array.
    class Iterator {
      public:
        Iterator() = default;  // the end
        Json operator*() const { return Json(element_); }
        Iterator& operator++();
        bool operator!=(const Iterator& other) const { return element_.data() != other.element_.data(); }

      private:
        friend class Json;
        explicit Iterator(const char* at);
        std::string_view element_;
    };
    Iterator begin() const;
    Iterator end() const { return {}; }

  private:
    friend Json parse_json(std::string_view text, const std::string& name, int max_depth);
    explicit Json(std::string_view text) : text_(text) {}
    std::string_view text_ = "null";
};

// Deeper than any tool schema, and shallow enough for code that recurses.
constexpr int kMaxJsonDepth = 64;

// Reads all of `text` as one value, strictly by RFC 8259. Throws Error, with `name` and the byte, if it is not UTF-8,
// not JSON, nested deeper than `max_depth`, or has a number too large for a double. It accepts equal keys; whoever
// reads an object may refuse them.
Json parse_json(std::string_view text, const std::string& name, int max_depth = kMaxJsonDepth);
Json parse_json(std::string&&, const std::string&, int = 0) = delete;  // the values would outlive their text
inline Json parse_json(const char* text, const std::string& name, int max_depth = kMaxJsonDepth) {
    return parse_json(std::string_view(text), name, max_depth);
}

// The value as messages show it, in one short line: "3", "\"abc\"", "an array of 5".
std::string shown(const Json& value);
// The same for text that is not from JSON: in quotes, with line breaks escaped.
std::string shown(std::string_view text);
