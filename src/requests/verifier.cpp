// verifier.cpp: compares answers with the lines of a reference file.
#include <charconv>

#include "base/file.h"
#include "base/line_reader.h"
#include "error.h"
#include "requests.h"

namespace {

// The ids of a line, with spaces between them.
std::vector<int> parse_ids(const std::string& path, int64_t line_number, std::string_view line) {
    std::vector<int> ids;
    const char *p = line.data(), *const end = line.data() + line.size();
    for (;;) {
        while (p < end && (*p == ' ' || *p == '\r')) p++;
        if (p == end) return ids;
        int id = 0;
        const auto [stop, error] = std::from_chars(p, end, id);
        if (error != std::errc() || id < 0 || (stop < end && *stop != ' ' && *stop != '\r'))
            fail("{}:{}: expected token ids with spaces between them, found something else at byte {}", path,
                 line_number, p - line.data() + 1);
        ids.push_back(id);
        p = stop;
    }
}

}  // namespace

Verifier::Verifier(const std::string& path) : path_(path) {
    if (!is_file(path)) fail("{}: expected a file of token ids", path);  // a pipe could not be read twice
    LineReader whole(path);
    for (std::string_view line; whole.next(line); n_lines_++) {
        if (whole.too_long())
            fail("{}:{}: the line has more than {} bytes", path, whole.line_number(), whole.max_line_bytes());
        parse_ids(path, whole.line_number(), line);
    }
    lines_ = std::make_unique<LineReader>(path);
}

Verifier::~Verifier() = default;

std::string Verifier::compare_line(std::string_view line) {
    return compare(parse_ids("the answer", n_compared_ + 1, line));
}

void Verifier::skip() {
    std::string_view line;
    lines_->next(line);
    n_skipped_++;
}

std::string Verifier::compare(const std::vector<int>& ids) {
    n_compared_++;
    std::string_view line;
    if (!lines_->next(line)) return fmt::format("not in {}, which has {} lines", path_, n_lines_);
    const std::vector<int> expected = parse_ids(path_, lines_->line_number(), line);
    size_t i = 0;
    while (i < ids.size() && i < expected.size() && ids[i] == expected[i]) i++;
    if (i == ids.size() && i == expected.size()) {
        n_equal_++;
        return "";
    }
    const auto id_or_end = [&](const std::vector<int>& v) { return i < v.size() ? std::to_string(v[i]) : "the end"; };
    return fmt::format("token {}: expected {}, found {}", i, id_or_end(expected), id_or_end(ids));
}
