// request_intake.cpp: compares the number of requests with the number of answers.
#include <algorithm>

#include "error.h"
#include "requests.h"

std::optional<Request> RequestIntake::next() {
    if (!broken_off_.empty()) return {};
    try {
        std::optional<Request> request = reader_.next();
        if (request) n_read_++;
        return request;
    } catch (const Error& e) {
        broken_off_ = e.what();
        return {};
    }
}

std::string RequestIntake::missing(const std::string& input, int64_t n_written) const {
    if (!broken_off_.empty()) return broken_off_;
    if (n_written < n_read_)
        return fmt::format("{}: expected {} answers, one a request, wrote {}", input, n_read_, n_written);
    return "";
}
