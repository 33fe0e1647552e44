// http_parser.cpp: a state for each part of a request; the head is collected first and read as a whole. (RFC 9112)
#include "serve/http_parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace {

constexpr size_t kMostLineBytes = 1024;  // of a chunk's size with its extensions
constexpr size_t kMostTrailerBytes = 8192;

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? char(c + 32) : c;
}

bool is_token(std::string_view text) {
    const auto is_token_char = [](char c) {
        return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    };
    return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

std::string_view trimmed(std::string_view text) {
    const size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

// All of `text` as a number to base `base`; false if it is not one of 64 bits.
bool parse_unsigned(std::string_view text, int base, uint64_t& value) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value, base);
    return error == std::errc() && stop == end;
}

// "%2F" becomes "/". False if a % is not followed by two digits, or stands for a control character.
bool decode_path(std::string_view text, std::string& path) {
    for (size_t i = 0; i < text.size(); i++) {
        uint64_t byte = uint8_t(text[i]);
        if (text[i] == '%') {
            if (i + 2 >= text.size() || !parse_unsigned(text.substr(i + 1, 2), 16, byte)) return false;
            i += 2;
        }
        if (byte < 0x20 || byte == 0x7f) return false;
        path += char(byte);
    }
    return true;
}

}  // namespace

std::string lowered(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), lower);
    return result;
}

const std::string* HttpRequest::header(std::string_view name) const {
    for (const auto& [key, value] : headers)
        if (key == name) return &value;
    return nullptr;
}

void HttpParser::reset() {
    state_ = State::kHead;
    line_.clear();
    n_left_ = n_trailer_ = 0;
    expects_continue_ = false;
    request_ = {};
}

bool HttpParser::wrong(int status, std::string message) {
    state_ = State::kFailed;
    error_status_ = status;
    error_ = std::move(message);
    request_.keep_alive = false;
    return false;
}

size_t HttpParser::feed(std::string_view bytes) {
    size_t n = 0;
    const bool had_head = has_head();
    while (n < bytes.size() && state_ != State::kDone && state_ != State::kFailed) {
        const std::string_view rest = bytes.substr(n);
        if (state_ == State::kHead)
            n += feed_head(rest);
        else if (state_ == State::kLength || state_ == State::kChunkData)
            n += feed_data(rest);
        else
            n += feed_line(rest);
        if (has_head() && !had_head) break;
    }
    return n;
}

// Takes bytes up to the empty line.
size_t HttpParser::feed_head(std::string_view bytes) {
    size_t n_skipped = 0;
    if (line_.empty())  // some clients send an empty line after a body
        while (n_skipped < bytes.size() && (bytes[n_skipped] == '\r' || bytes[n_skipped] == '\n')) n_skipped++;
    bytes.remove_prefix(n_skipped);
    const size_t old_size = line_.size();
    line_ += bytes.substr(0, kMostHeadBytes + 1 - std::min(old_size, kMostHeadBytes));
    const size_t end = line_.find("\r\n\r\n", old_size - std::min<size_t>(old_size, 3));
    if (end == std::string::npos) {
        if (line_.size() > kMostHeadBytes) wrong(431, fmt::format("the head: at most {} bytes", kMostHeadBytes));
        return n_skipped + bytes.size();
    }
    const size_t n_taken = end + 4 - old_size;
    line_.resize(end + 2);
    read_head();
    line_.clear();
    return n_skipped + n_taken;
}

// Takes bytes up to the end of a line of a chunked body.
size_t HttpParser::feed_line(std::string_view bytes) {
    const size_t end = bytes.find('\n');
    const size_t n = end == std::string_view::npos ? bytes.size() : end + 1;
    if (line_.size() + n > kMostLineBytes + (state_ == State::kTrailer ? kMostTrailerBytes : 0)) {
        wrong(400, "the body: a line between chunks is too long");
        return n;
    }
    line_ += bytes.substr(0, n);
    if (end == std::string_view::npos) return n;
    const std::string line = std::exchange(line_, "");
    if (line.size() < 2 || line[line.size() - 2] != '\r')
        wrong(400, "the body: expected CR LF at the end of a line between chunks");
    else
        read_chunk_line(std::string_view(line).substr(0, line.size() - 2));
    return n;
}

size_t HttpParser::feed_data(std::string_view bytes) {
    const size_t n = size_t(std::min<uint64_t>(bytes.size(), n_left_));
    request_.body += bytes.substr(0, n);
    n_left_ -= n;
    if (n_left_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kChunkEnd;
    return n;
}

void HttpParser::begin_data(uint64_t n_bytes, State state) {
    if (n_bytes > uint64_t(most_body_bytes_) - std::min<uint64_t>(request_.body.size(), uint64_t(most_body_bytes_))) {
        wrong(413, fmt::format("the body: expected at most {} bytes (--max-body)", most_body_bytes_));
        return;
    }
    n_left_ = n_bytes;
    state_ = state;
}

void HttpParser::read_chunk_line(std::string_view line) {
    if (state_ == State::kChunkEnd) {
        if (!line.empty())
            wrong(400, "the body: expected the end of a chunk");
        else
            state_ = State::kChunkSize;
        return;
    }
    if (state_ == State::kTrailer) {  // headers after the body, which nobody needs
        n_trailer_ += line.size();
        if (n_trailer_ > kMostTrailerBytes)
            wrong(400, "the body: its trailer is too long");
        else if (line.empty())
            state_ = State::kDone;
        return;
    }
    uint64_t n_bytes = 0;
    if (!parse_unsigned(trimmed(line.substr(0, line.find(';'))), 16, n_bytes))
        wrong(400, "the body: expected the size of a chunk in hexadecimal");
    else if (n_bytes == 0)
        state_ = State::kTrailer;
    else
        begin_data(n_bytes, State::kChunkData);
}

void HttpParser::read_head() {
    std::string_view rest = line_;
    for (bool first = true; !rest.empty(); first = false) {
        const size_t end = rest.find("\r\n");
        const std::string_view line = rest.substr(0, end);
        if (!(first ? read_request_line(line) : read_header(line))) return;
        rest.remove_prefix(end + 2);
    }
    read_framing();
}

bool HttpParser::read_request_line(std::string_view line) {
    const size_t a = line.find(' '), b = line.rfind(' ');
    if (a == std::string_view::npos || a == b) return wrong(400, "the request line: expected METHOD PATH HTTP/1.1");
    std::string_view target = line.substr(a + 1, b - a - 1);
    const std::string_view version = line.substr(b + 1);
    request_.method = line.substr(0, a);
    if (!is_token(request_.method)) return wrong(400, "the request line: expected a method");
    if (version != "HTTP/1.1" && version != "HTTP/1.0")
        return wrong(version.substr(0, 5) == "HTTP/" ? 505 : 400, "the request line: expected HTTP/1.1 or HTTP/1.0");
    request_.minor_version = version.back() - '0';
    request_.keep_alive = request_.minor_version == 1;
    for (const std::string_view scheme : {"http://", "https://"}) {  // as proxies are asked
        if (lowered(target.substr(0, scheme.size())) != scheme) continue;
        target.remove_prefix(scheme.size());
        target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    }
    const auto is_blank = [](char c) { return uint8_t(c) <= ' ' || c == 0x7f; };
    const bool has_blank = std::any_of(target.begin(), target.end(), is_blank);  // also after the path
    target = target.substr(0, target.find_first_of("?#"));
    if (has_blank || !decode_path(target.empty() ? "/" : target, request_.path))
        return wrong(400, "the request line: expected a path");
    return true;
}

bool HttpParser::read_header(std::string_view line) {
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon), value = colon == std::string_view::npos
                                                                     ? std::string_view()
                                                                     : trimmed(line.substr(colon + 1));
    if (colon == std::string_view::npos || !is_token(name)) return wrong(400, "a header: expected NAME: VALUE");
    const auto is_control = [](char c) { return (uint8_t(c) < 0x20 && c != '\t') || c == 0x7f; };
    if (std::any_of(value.begin(), value.end(), is_control))
        return wrong(400, fmt::format("the header {}: a control character", name));
    if (request_.headers.size() == kMostHeaders)
        return wrong(431, fmt::format("the head: at most {} headers", kMostHeaders));
    request_.headers.emplace_back(lowered(name), value);
    return true;
}

bool HttpParser::read_encoding(std::string_view value) {
    if (request_.header("content-length")) return wrong(400, "the head: the body's length is said twice");
    if (lowered(value) != "chunked" || request_.minor_version == 0)
        return wrong(501, "the header transfer-encoding: expected chunked");
    state_ = State::kChunkSize;
    return true;
}

bool HttpParser::read_length(std::string_view value) {
    uint64_t n_bytes = 0;
    if (!parse_unsigned(value, 10, n_bytes)) return wrong(400, "the header content-length: expected a number");
    if (n_bytes == 0)
        state_ = State::kDone;
    else
        begin_data(n_bytes, State::kLength);
    return state_ != State::kFailed;
}

// Reads the headers that say where the body ends, and what comes after it.
bool HttpParser::read_framing() {
    int n_hosts = 0, n_lengths = 0;
    for (const auto& [name, value] : request_.headers) {
        n_hosts += name == "host";
        n_lengths += name == "content-length" || name == "transfer-encoding";
        if (name == "connection" && lowered(value).find("close") != std::string::npos) request_.keep_alive = false;
        if (name == "connection" && lowered(value).find("keep-alive") != std::string::npos) request_.keep_alive = true;
    }
    if (n_hosts > 1 || (n_hosts == 0 && request_.minor_version == 1))
        return wrong(400, "the head: expected one header host");
    if (n_lengths > 1) return wrong(400, "the head: the body's length is said twice");
    const std::string* const expect = request_.header("expect");
    if (expect && lowered(*expect) != "100-continue") return wrong(417, "the header expect: expected 100-continue");
    expects_continue_ = expect && request_.minor_version == 1;
    if (const std::string* encoding = request_.header("transfer-encoding")) return read_encoding(*encoding);
    if (const std::string* length = request_.header("content-length")) return read_length(*length);
    state_ = State::kDone;
    return true;
}
