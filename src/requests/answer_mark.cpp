// answer_mark.cpp: a mark in each line of answers says which request it answers. It can be read again from a file whose
// writer was killed, or whose disk has lost some of it.
#include "requests/answer_mark.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "error.h"

namespace {

constexpr size_t kHashDigits = 16;
constexpr std::string_view kFailed = "failed";

// Takes `expected` away from the front of `rest`; false if it is not there.
bool take(std::string_view& rest, std::string_view expected) {
    if (rest.substr(0, expected.size()) != expected) return false;
    rest.remove_prefix(expected.size());
    return true;
}

template <class T>
bool take_number(std::string_view& rest, T& value, int base) {
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value, base);
    if (error != std::errc()) return false;
    rest.remove_prefix(size_t(stop - rest.data()));
    return true;
}

// The two numbers that a mark has in both formats.
bool take_mark(std::string_view& rest, char between, AnswerMark& mark) {
    if (!take_number(rest, mark.index, 10) || mark.index < 0 || !take(rest, std::string_view(&between, 1)))
        return false;
    std::string_view digits = rest.substr(0, kHashDigits);
    if (digits.size() < kHashDigits || !take_number(digits, mark.hash, 16) || !digits.empty()) return false;
    rest.remove_prefix(kHashDigits);
    return true;
}

}  // namespace

std::string request_id(const Request& request) {
    return fmt::format("req_{}_{:016x}", request.index, request.hash);
}

// A quote inside a string is escaped, so only the field itself can look like the text that is searched for.
std::optional<AnswerMark> mark_of_answer_line(std::string_view line) {
    constexpr std::string_view kResponse = "\"response\":{\"status_code\":", kId = ",\"request_id\":\"req_";
    AnswerMark mark;
    const size_t response = line.find(kResponse);
    if (response == std::string_view::npos) return {};
    std::string_view rest = line.substr(response + kResponse.size());
    int status = 0;
    if (!take_number(rest, status, 10) || !take(rest, kId) || !take_mark(rest, '_', mark)) return {};
    mark.is_error = status != 200;
    try {
        parse_json(line, "the line");
    } catch (const Error&) {
        return {};
    }
    return mark;
}

std::string text_record(const Request& request, bool is_error, const std::string& ids) {
    return fmt::format("{} {:016x} {}", request.index, request.hash, is_error ? kFailed : ids);
}

std::optional<AnswerMark> mark_of_text_record(std::string_view line) {
    AnswerMark mark;
    if (!take_mark(line, ' ', mark) || !take(line, " ")) return {};
    mark.is_error = line == kFailed;
    mark.ids = mark.is_error ? "" : line;
    if (mark.ids.find_first_not_of("0123456789 ") != std::string_view::npos) return {};
    return mark;
}
