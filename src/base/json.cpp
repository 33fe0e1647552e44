// json.cpp: a checker that goes over the text once, and walks over text that it has passed.
#include "base/json.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <locale>
#include <sstream>

#include "base/utf8.h"
#include "error.h"

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr size_t kShownBytes = 60;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// A number too small for a double becomes 0, one too large an infinity or the largest double.
double parse_number(std::string_view text) {
    double value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc()) return value;
    std::istringstream stream{std::string(text)};  // out of range; from_chars does not say at which end
    stream.imbue(std::locale::classic());
    return stream >> value || std::abs(value) < 1 ? value : std::numeric_limits<double>::infinity();
}

// Value of four hexadecimal digits; -1 if they are not that.
int hex4(const char* p, const char* end) {
    int value = 0;
    if (end - p < 4) return -1;
    const auto [stop, error] = std::from_chars(p, p + 4, value, 16);
    return error == std::errc() && stop == p + 4 && *p != '-' ? value : -1;
}

bool is_high_surrogate(int unit) {
    return unit >= 0xd800 && unit < 0xdc00;
}
bool is_low_surrogate(int unit) {
    return unit >= 0xdc00 && unit < 0xe000;
}

// ---- text not yet known to be JSON

class Checker {
  public:
    Checker(std::string_view text, const std::string& name, int max_depth)
        : begin_(text.data()), p_(begin_), end_(begin_ + text.size()), name_(name), max_depth_(max_depth) {}

    // The value, without the space around it.
    std::string_view check() {
        if (std::string_view(p_, size_t(end_ - p_)).substr(0, kByteOrderMark.size()) == kByteOrderMark)
            p_ += kByteOrderMark.size();
        skip_space();
        const char* const start = p_;
        check_value(0);
        const std::string_view value(start, size_t(p_ - start));
        skip_space();
        if (p_ != end_) bad("something after its end");
        return value;
    }

  private:
    [[noreturn]] void bad(const char* what) const {
        fail("{}: expected JSON, found {} at byte {}", name_, p_ == end_ ? "the end of the text" : what,
             p_ - begin_ + 1);
    }

    void skip_space() {
        while (p_ < end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r')) p_++;
    }
    bool take(char c) {
        if (p_ == end_ || *p_ != c) return false;
        p_++;
        return true;
    }

    void check_value(int depth) {
        if (p_ == end_) bad("");
        switch (*p_) {
            case '{':
                return check_list(depth, '}', /*has_keys=*/true);
            case '[':
                return check_list(depth, ']', /*has_keys=*/false);
            case '"':
                return check_string();
            case 't':
                return check_word("true");
            case 'f':
                return check_word("false");
            case 'n':
                return check_word("null");
            default:
                return check_number();
        }
    }

    void check_list(int depth, char closing, bool has_keys) {
        if (depth == max_depth_)
            fail("{}: expected JSON nested at most {} levels deep, found more at byte {}", name_, max_depth_,
                 p_ - begin_ + 1);
        p_++;
        skip_space();
        if (take(closing)) return;
        do {
            skip_space();
            if (has_keys) {
                if (p_ == end_ || *p_ != '"') bad("no key in quotes");
                check_string();
                skip_space();
                if (!take(':')) bad("no ':' after a key");
                skip_space();
            }
            check_value(depth + 1);
            skip_space();
        } while (take(','));
        if (!take(closing)) bad(has_keys ? "neither ',' nor '}' after a value" : "neither ',' nor ']' after a value");
    }

    void check_word(std::string_view word) {
        for (const char c : word)
            if (!take(c)) bad("an unknown word");
    }

    void check_string() {
        p_++;
        while (p_ < end_ && *p_ != '"') {
            if (uint8_t(*p_) < 0x20) bad("a control character in a string");
            if (*p_++ == '\\') check_escape();
        }
        if (!take('"')) bad("");
    }

    void check_escape() {
        if (p_ == end_) bad("");
        if (*p_ != 'u') {
            if (std::string_view("\"\\/bfnrt").find(*p_) == std::string_view::npos) bad("an unknown escape");
            p_++;
            return;
        }
        const int unit = hex4(p_ + 1, end_);
        if (unit < 0) bad("an escape without four hexadecimal digits");
        if (is_low_surrogate(unit)) bad("half a surrogate pair");
        if (is_high_surrogate(unit) &&
            !(end_ - p_ >= 11 && p_[5] == '\\' && p_[6] == 'u' && is_low_surrogate(hex4(p_ + 7, end_))))
            bad("half a surrogate pair");
        p_ += is_high_surrogate(unit) ? 11 : 5;
    }

    void check_digits() {
        if (p_ == end_ || !is_digit(*p_)) bad("no digit where a number needs one");
        while (p_ < end_ && is_digit(*p_)) p_++;
    }

    void check_number() {
        const char* const start = p_;
        if (!take('-') && !is_digit(*p_)) bad("something else");
        if (!take('0')) check_digits();
        bool is_short = true;  // below 10^300 in any case
        if (take('.')) check_digits();
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            check_digits();
            is_short = false;
        }
        const std::string_view number(start, size_t(p_ - start));
        if ((is_short && number.size() < 300) || std::isfinite(parse_number(number))) return;
        p_ = start;
        bad("a number out of range, too large for a double");
    }

    const char* const begin_;
    const char* p_;
    const char* const end_;
    const std::string& name_;
    const int max_depth_;
};

// ---- text that has been checked: no end needs to be looked for

const char* skip_space(const char* p) {
    while (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r') p++;
    return p;
}

const char* after_string(const char* p) {
    for (p++; *p != '"'; p++)
        if (*p == '\\') p++;
    return p + 1;
}

const char* after_list(const char* p) {
    int depth = 0;
    do {
        if (*p == '"') {
            p = after_string(p);
            continue;
        }
        if (*p == '{' || *p == '[') depth++;
        if (*p == '}' || *p == ']') depth--;
        p++;
    } while (depth > 0);
    return p;
}

// Where a value in a list or an object ends: at punctuation or at space.
const char* after_value(const char* p) {
    if (*p == '"') return after_string(p);
    if (*p == '{' || *p == '[') return after_list(p);
    while (*p != ',' && *p != ']' && *p != '}' && *p != ' ' && *p != '\n' && *p != '\t' && *p != '\r') p++;
    return p;
}

std::string_view value_at(const char* p) {
    return {p, size_t(after_value(p) - p)};
}

// The string that `text`, in quotes, spells.
std::string unescape(std::string_view text) {
    std::string out;
    out.reserve(text.size() - 2);
    const char *p = text.data() + 1, *const end = text.data() + text.size() - 1;
    while (p < end) {
        const char* const start = p;
        while (p < end && *p != '\\') p++;
        out.append(start, p);
        if (p == end) break;
        const char escape = p[1];
        p += 2;
        if (escape != 'u') {
            constexpr std::string_view kLetters = "bfnrt", kMeant = "\b\f\n\r\t";
            const size_t i = kLetters.find(escape);
            out += i == std::string_view::npos ? escape : kMeant[i];
            continue;
        }
        auto code_point = uint32_t(hex4(p, end));
        p += 4;
        if (is_high_surrogate(int(code_point))) {
            code_point = 0x10000 + ((code_point - 0xd800) << 10) + uint32_t(hex4(p + 2, end) - 0xdc00);
            p += 6;
        }
        append_utf8(out, code_point);
    }
    return out;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& name, int max_depth) {
    const size_t valid = utf8_valid_prefix(text);
    if (valid < text.size()) fail("{}: expected JSON, found invalid UTF-8 at byte {}", name, valid + 1);
    return Json(Checker(text, name, max_depth).check());
}

double Json::number() const {
    return parse_number(text_);
}

std::optional<int64_t> Json::integer() const {
    int64_t value = 0;
    const char* const end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(text_.data(), end, value);
    if (error == std::errc() && stop == end) return value;
    constexpr double kExact = double(int64_t(1) << 53);  // a double beyond may stand for several integers
    const double number = parse_number(text_);
    if (error != std::errc() || std::abs(number) > kExact || number != std::floor(number)) return {};
    return int64_t(number);
}

std::string Json::string() const {
    return unescape(text_);
}

int64_t Json::size() const {
    int64_t n = 0;
    if (is_array())
        for (auto it = begin(); it != end(); ++it) n++;
    else
        each_member([&](const std::string&, const Json&) { n++; });
    return n;
}

void Json::each_member(const std::function<void(std::string key, const Json& value)>& use) const {
    const char* p = skip_space(text_.data() + 1);
    while (*p != '}') {
        const char* const key = p;
        p = after_string(p);
        const std::string_view key_text(key, size_t(p - key));
        p = skip_space(skip_space(p) + 1);  // the colon
        const Json value(value_at(p));
        use(unescape(key_text), value);
        p = skip_space(p + value.text_.size());
        if (*p == ',') p = skip_space(p + 1);
    }
}

Json::Iterator::Iterator(const char* at) {
    const char* const p = skip_space(at);
    if (*p != ']') element_ = value_at(p);
}

Json::Iterator& Json::Iterator::operator++() {
    const char* const p = skip_space(element_.data() + element_.size());
    element_ = *p == ',' ? value_at(skip_space(p + 1)) : std::string_view();
    return *this;
}

Json::Iterator Json::begin() const {
    return Iterator(text_.data() + 1);
}

std::string shown(const Json& value) {
    if (value.is_array()) return value.empty() ? "[]" : fmt::format("an array of {}", value.size());
    if (value.is_object()) return value.empty() ? "{}" : "an object";
    std::string_view text = value.text();
    if (text.size() <= kShownBytes) return std::string(text);
    text = text.substr(0, kShownBytes);
    return fmt::format("{}{}...", text.substr(0, utf8_valid_prefix(text)), value.is_string() ? "\"" : "");
}

std::string shown(std::string_view text) {
    std::string out = "\"";
    const std::string_view start = text.substr(0, kShownBytes);
    for (const char c : start.substr(0, utf8_valid_prefix(start))) {
        if (uint8_t(c) < 0x20)
            out += fmt::format("\\u{:04x}", int(c));
        else
            out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    }
    return out + (start.size() < text.size() ? "\"..." : "\"");
}
