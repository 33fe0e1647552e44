// request_reader.cpp: lines to requests: format, defaults, token ids and limits.
#include <algorithm>
#include <charconv>

#include "base/checksum.h"
#include "base/file.h"
#include "base/line_reader.h"
#include "base/random.h"
#include "base/utf8.h"
#include "error.h"
#include "log.h"
#include "requests.h"
#include "requests/input_scan.h"
#include "requests/request_line.h"

namespace {

constexpr size_t kShownBytes = 40;
constexpr size_t kMaxCountBytes = 1000;  // in the line with the number of requests
// The API's default.
constexpr double kApiTemperature = 1, kApiTopP = 1;

// An error that has a name in the API.
struct CodedError : Error {
    CodedError(const char* name, const std::string& message) : Error(message), code(name) {}
    const char* code;
};

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

void check_prompt_text(std::string_view text) {
    if (text.empty()) fail("the prompt is empty");
    if (const size_t valid = utf8_valid_prefix(text); valid < text.size())
        fail("the prompt is invalid UTF-8 at byte {}", valid + 1);
}

// Throws Error if text of so many bytes is certain to have more tokens than the context has positions. Tokenizing it to
// find out would take several times its size in memory.
void check_fits(size_t n_bytes, const Tokenizer& tokenizer, int context) {
    if (n_bytes <= size_t(context)) return;  // a token has a byte
    size_t longest = 1;
    for (int id = 0; id < tokenizer.id_limit(); id++) longest = std::max(longest, tokenizer.bytes(id).size());
    if (n_bytes > longest * size_t(context))
        throw CodedError("context_length_exceeded",
                         fmt::format("the prompt has {} bytes of text, more than the model's context of {} tokens "
                                     "can hold",
                                     n_bytes, context));
}

// The bytes of text that reach the prompt: reasoning of earlier turns does not.
size_t text_bytes(const std::vector<Message>& messages) {
    size_t n = 0;
    for (const Message& message : messages)
        if (message.channel != "analysis") n += message.content.size();
    return n;
}

// The seed of a request that names none. It depends on the run's seed and the request's index alone, so the request
// draws the same numbers wherever it runs. Neighbours' seeds are unrelated.
uint64_t request_seed(uint64_t run_seed, int64_t index) {
    return mix64(run_seed + (uint64_t(index) + 1) * 0x9e3779b97f4a7c15);
}

std::vector<int> both(std::vector<int> a, const std::vector<int>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// All but the seed.
Sampling sampling_of(const RequestLine& wanted, const RequestOptions& options) {
    Sampling sampling;
    sampling.temperature = float(wanted.temperature.value_or(options.temperature.value_or(kApiTemperature)));
    sampling.top_p = float(wanted.top_p.value_or(options.top_p.value_or(kApiTopP)));
    sampling.top_k = wanted.top_k.value_or(options.top_k.value_or(0));
    sampling.repetition_penalty =
        float(wanted.repetition_penalty.value_or(double(options.repetition_penalty.value_or(1))));
    if (sampling.repetition_penalty != 1 && !options.penalises)
        fail("repetition_penalty: expected 1 on a GPU, which applies none; --device cpu does");
    return sampling;
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
    } else {
        request.prompt = codec_.tokenizer().encode_with_special(line);
    }
    request.max_new_tokens = max_new_tokens(request.prompt.size(), {});
    request.sampling = {options_.temperature.value_or(kFamilyTemperature), options_.top_p.value_or(kFamilyTopP),
                        request_seed(options_.seed, request.index)};
    request.sampling.top_k = options_.top_k.value_or(0);
    request.sampling.repetition_penalty = options_.repetition_penalty.value_or(1);
}

// Warns once of each unknown field; with --strict-fields it is an error.
void RequestReader::note_unknown(const std::vector<std::string>& fields) {
    for (const std::string& field : fields) {
        if (options_.strict_fields) fail("{}: expected a field that is known, found this (--strict-fields)", field);
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
    RequestLine wanted = read_request_line(json);
    note_unknown(wanted.unknown_fields);

    if (!wanted.ignore_eos) request.stop_ids = config_.stop_ids;
    request.kind = AnswerKind::kCompletion;
    if (auto* ids = std::get_if<std::vector<int>>(&wanted.prompt)) {
        if (ids->empty()) fail("the prompt is empty");
        for (size_t i = 0; i < ids->size(); i++)
            if ((*ids)[i] >= config_.vocab_size)
                fail("prompt[{}]: expected a token id below {}, found {}", i, config_.vocab_size, (*ids)[i]);
        request.prompt = std::move(*ids);
    } else if (const auto* text = std::get_if<std::string>(&wanted.prompt)) {
        check_prompt_text(*text);
        check_fits(text->size(), codec_.tokenizer(), config_.max_context);
        request.prompt = codec_.tokenizer().encode_with_special(*text);
    } else {
        const auto& conversation = std::get<Conversation>(wanted.prompt);
        Preamble preamble;
        preamble.effort = conversation.effort.value_or(options_.effort);
        preamble.instructions = conversation.instructions.value_or(options_.instructions);
        preamble.tools = conversation.tools;
        request.kind = AnswerKind::kChat;
        if (codec_.has_tokenizer())
            check_fits(text_bytes(conversation.messages), codec_.tokenizer(), config_.max_context);
        request.prompt = codec_.renderer().render_prompt(preamble, conversation.messages);
        for (const FunctionTool& tool : conversation.tools) request.tool_names.push_back(tool.name);
        if (!wanted.ignore_eos) request.stop_ids = both(request.stop_ids, codec_.renderer().stop_ids());
    }
    if (!wanted.stop.empty()) codec_.tokenizer();  // throws if there is none: stop strings are searched for in text

    request.model = std::move(wanted.model);
    request.max_new_tokens = max_new_tokens(request.prompt.size(), wanted.max_tokens);
    request.sampling = sampling_of(wanted, options_);
    request.sampling.seed = wanted.seed.value_or(request_seed(options_.seed, request.index));
    request.stop_texts = std::move(wanted.stop);
    for (const int id : wanted.stop_token_ids) {
        if (id >= config_.vocab_size)
            fail("stop_token_ids: expected token ids below {}, found {}", config_.vocab_size, id);
        request.stop_ids.push_back(id);
    }
    set_least(request, wanted.min_tokens);
    request.include_stop = wanted.include_stop;
    request.return_token_ids = wanted.return_token_ids;
    request.include_reasoning = wanted.include_reasoning;
    request.parallel_tool_calls = wanted.parallel_tool_calls;
}

// Needs the request's stop ids and its room for an answer.
void RequestReader::set_least(Request& request, int min_tokens) const {
    if (min_tokens == 0 || purpose_ == Purpose::kScore) return;
    if (min_tokens > request.max_new_tokens)
        fail("min_tokens: expected at most {}, which is all that the answer may have, found {}", request.max_new_tokens,
             min_tokens);
    std::vector<int>& ids = request.stop_ids;
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    if (ids.size() > kMaxRuledOut)
        fail("min_tokens: expected at most {} ids that end the answer, found {}", kMaxRuledOut, ids.size());
    request.min_new_tokens = min_tokens;
}

// Only the context limits max_tokens. Without max_tokens, the answer obeys --num-tokens, and prompt and answer together
// --steps, which has a default only in the text format.
int RequestReader::max_new_tokens(size_t n_prompt, std::optional<int> max_tokens) const {
    const int context = config_.max_context;
    if (purpose_ == Purpose::kScore) {
        if (n_prompt > size_t(context)) fail("the prompt has {} tokens, the model's context {}", n_prompt, context);
        return 0;
    }
    try {
        const int steps = max_tokens ? 0 : options_.steps.value_or(is_text_ ? kFamilySteps : 0);
        const int room = room_for_answer(config_, steps, n_prompt);
        return std::min(room, max_tokens.value_or(options_.max_new.value_or(room)));
    } catch (const Error& e) {
        throw CodedError("context_length_exceeded", e.what());
    }
}
