// request_reader.cpp: lines to requests: format, defaults, token ids and limits.
#include <algorithm>
#include <charconv>

#include "base/checksum.h"
#include "base/file.h"
#include "base/line_reader.h"
#include "base/utf8.h"
#include "error.h"
#include "log.h"
#include "requests.h"
#include "requests/encode_request.h"
#include "requests/input_scan.h"
#include "requests/request_line.h"

namespace {

constexpr size_t kShownBytes = 40;
constexpr size_t kMaxCountBytes = 1000;  // in the line with the number of requests

// The number of requests that line 1 of a text file says.
int64_t parse_count(const std::string& path, std::string_view line) {
    const size_t begin = std::min(line.find_first_not_of(" \t\r"), line.size());
    const size_t end = line.find_last_not_of(" \t\r") + 1;
    int64_t count = 0;
    const auto [stop, error] = std::from_chars(line.data() + begin, line.data() + end, count);
    if (begin < end && error == std::errc() && stop == line.data() + end && count >= 0) return count;
    std::string start(line.substr(0, kShownBytes));
    start.resize(utf8_valid_prefix(start));
    fail("{}: line 1: expected the number of requests, or a JSON object a line; found \"{}\"", path, start);
}

}  // namespace

RequestReader::RequestReader(const RequestOptions& options, const CommonConfig& config, const TextCodec& codec,
                             Purpose purpose)
    : options_(options), config_(config), codec_(codec), purpose_(purpose) {
    const std::string& path = options.input;
    if (path != "-" && is_directory(path)) fail("{}: expected a file of requests, found a directory", path);
    lines_ = std::make_unique<LineReader>(path);
    std::string_view line;
    bool found = lines_->next(line);
    if (!found) fail("{}: expected the number of requests, or a JSON object a line; the file is empty", path);
    const std::string line_1(line.substr(0, kMaxCountBytes));
    while (found && is_blank(line)) found = lines_->next(line);
    is_text_ = !found || line[line.find_first_not_of(" \t\r")] != '{';
    if (is_text_) count_ = parse_count(path, line_1);

    const bool scanned = path != "-" && is_file(path);  // a pipe can be read only once
    if (scanned) {
        lines_.reset();  // frees its buffer, so that two long lines are never in memory at once
        scan_ = scan_input(path, is_text_, count_);
        lines_ = std::make_unique<LineReader>(path);
        if (!scan_->places.empty()) lines_->seek(scan_->places[0].offset, scan_->places[0].line);
    } else if (!is_text_) {
        lines_->again();
    }
    if (is_text_) open_text(line_1);
    total_ = scanned ? int64_t(scan_->hashes.size()) : is_text_ ? count_ : -1;
    if (options.max_requests >= 0 && total_ >= 0) total_ = std::min(total_, int64_t(options.max_requests));
}

void RequestReader::open_text(std::string_view line_1) {
    has_cr_ = line_1.back() == '\r';
    codec_.tokenizer();
    if (options_.chat_template) codec_.renderer();
    if (!scan_) return;
    if (scan_->n_lines - 1 < count_)
        fail("{}: line 1: expected {} lines after it, found {}", options_.input, count_, scan_->n_lines - 1);
    if (scan_->last_filled - 1 > count_)
        log_line("{}: warning: line 1 says {} requests; {} lines after them are ignored", options_.input, count_,
                 scan_->last_filled - 1 - count_);
}

RequestReader::~RequestReader() = default;

void RequestReader::interrupt() {
    interrupted_ = true;
    lines_->interrupt();
}

int RequestReader::max_request_positions() const {
    return is_text_ && purpose_ == Purpose::kAnswer ? options_.steps.value_or(kFamilySteps) : 0;
}

void RequestReader::read_only(int64_t begin, int64_t end) {
    int64_t at = 0;
    if (begin < total_) {
        const InputScan::Place place = place_of(begin, at);
        lines_->seek(place.offset, place.line);
    }
    n_read_ = at;
    end_ = end;
    for (std::string_view line; n_read_ < std::min(begin, total_); n_read_++) next_line(line);
}

// The last place at or before request `index` where reading can begin. Sets `at` to the request there.
InputScan::Place RequestReader::place_of(int64_t index, int64_t& at) const {
    const auto i = size_t(index / scan_->stride);
    at = int64_t(i) * scan_->stride;
    return scan_->places.at(i);
}

int64_t RequestReader::line_of(int64_t index) const {
    int64_t at = 0;
    const InputScan::Place place = place_of(index, at);
    if (is_text_) return place.line + index - at;
    LineReader lines(options_.input);
    lines.seek(place.offset, place.line);
    for (std::string_view line; lines.next(line);)
        if (!(is_blank(line) && line.size() <= kMaxBlankBytes) && at++ == index) break;
    return lines.line_number();
}

// The next line that is a request.
bool RequestReader::next_line(std::string_view& line) {
    if (options_.max_requests >= 0 && n_read_ >= options_.max_requests) return false;
    if (is_text_) {
        if (n_read_ == count_) return false;
        if (lines_->next(line)) return true;
        fail("{}: line 1: expected {} lines after it, found {}", options_.input, count_, n_read_);
    }
    do {
        if (!lines_->next(line)) return false;
    } while (is_blank(line) && line.size() <= kMaxBlankBytes);
    return true;
}

std::optional<Request> RequestReader::next() {
    std::string_view line;
    Request request;
    do {
        // A file may grow meanwhile. New lines wait for the next run.
        if ((end_ >= 0 && n_read_ >= end_) || (scan_ && n_read_ >= total_)) return {};
        if (!next_line(line)) {
            if (n_read_ < total_ && !interrupted_)
                fail("{}: expected {} requests, as it had at the start, found {}: it has changed during the run",
                     options_.input, total_, n_read_);
            return {};
        }
        request.index = n_read_++;
    } while (done_ && done_(request.index));
    request.line = lines_->line_number();
    request.hash = hash_of(line);
    if (scan_ && request.hash != scan_->hashes[size_t(request.index)])
        fail("{}:{}: expected the line that was there at the start, found another: it has changed during the run",
             options_.input, request.line);
    if (has_cr_ && !line.empty() && line.back() == '\r') line.remove_suffix(1);
    try {
        if (lines_->too_long()) {
            if (!is_text_) request.custom_id = find_custom_id(line);
            fail("the line has more than {} bytes", lines_->max_line_bytes());
        }
        is_text_ ? read_text(request, line) : read_json(request, line);
    } catch (const CodedError& e) {
        request.error = e.what();
        request.error_code = e.code;
    } catch (const Error& e) {
        request.error = e.what();
    }
    return request;
}

void RequestReader::read_text(Request& request, std::string_view line) const {
    check_prompt_text(line);
    check_fits(line.size(), codec_.tokenizer(), config_.max_context);
    request.kind = AnswerKind::kTokens;
    request.stop_ids = config_.stop_ids;
    if (options_.chat_template) {
        Preamble preamble;
        preamble.effort = options_.effort;
        preamble.instructions = options_.instructions;
        Message user;
        user.content = line;
        request.prompt = codec_.renderer().render_prompt(preamble, {user});
        request.stop_ids = both(request.stop_ids, codec_.renderer().stop_ids());
        if (options_.strict_harmony) request.headers.emplace();
    } else {
        request.prompt = codec_.tokenizer().encode_with_special(line);
    }
    request.max_new_tokens =
        most_new_tokens(context(), request.prompt.size(), {}, options_.steps.value_or(kFamilySteps));
    request.sampling = {options_.temperature.value_or(kFamilyTemperature), options_.top_p.value_or(kFamilyTopP),
                        request_seed(options_.seed, request.index)};
    request.sampling.top_k = options_.top_k.value_or(0);
    request.sampling.repetition_penalty = options_.repetition_penalty.value_or(1);
}

// Warns once of each unknown field.
void RequestReader::note_unknown(const std::vector<std::string>& fields) {
    if (options_.strict_fields) return;  // it is an error
    for (const std::string& field : fields) {
        constexpr size_t kMaxWarnings = 100;  // a file may have new names in every line
        if (unknown_fields_.size() < kMaxWarnings && unknown_fields_.insert(field).second)
            log_repeated("unknown fields", "{}:{}: warning: {}: unknown field, ignored", options_.input,
                         lines_->line_number(), field);
    }
}

void RequestReader::read_json(Request& request, std::string_view line) {
    request.custom_id = find_custom_id(line);  // by a search in the text, in case the line is no JSON
    const Json json = parse_json(line, "the line");
    request.custom_id.reset();
    request.custom_id = read_custom_id(json);
    const auto index = size_t(request.index);
    const bool is_repeated = scan_ ? index < scan_->repeats_id.size() && scan_->repeats_id[index]
                                   : request.custom_id && !custom_ids_.insert(custom_id_key(*request.custom_id)).second;
    if (is_repeated) fail("custom_id: \"{}\" is the id of an earlier line too", *request.custom_id);
    const RequestLine around = read_request_line(json);
    RequestBody wanted = read_request_body(around.body, around.url);
    wanted.unknown_fields = both(around.unknown_fields, wanted.unknown_fields);
    note_unknown(wanted.unknown_fields);
    encode_request(request, std::move(wanted), context());
}
