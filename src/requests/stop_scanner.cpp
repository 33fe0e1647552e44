// stop_scanner.cpp: searches the new text, and as much of the old as may begin a stop string.
#include "requests/stop_scanner.h"

#include <algorithm>

bool StopScanner::feed(std::string_view piece) {
    if (found_) return true;
    const size_t old_size = text_.size();
    text_ += piece;
    size_t first_end = std::string::npos, first_begin = 0;
    for (const std::string& stop : stops_) {
        const size_t from = std::max(n_out_of_reach_, old_size - std::min(old_size, stop.size() - 1));
        const size_t begin = text_.find(stop, from);
        if (begin == std::string::npos) continue;
        const size_t end = begin + stop.size();
        if (end < first_end || (end == first_end && begin < first_begin)) {
            first_end = end;
            first_begin = begin;
        }
    }
    if (first_end == std::string::npos) return false;
    found_stop_ = text_.substr(first_begin, first_end - first_begin);
    text_.resize(first_begin);
    found_ = true;
    return true;
}

size_t StopScanner::n_settled() const {
    if (found_) return text_.size();
    size_t n_held = 0;  // the longest end of the text with which a stop string begins
    for (const std::string& stop : stops_)
        for (size_t n = std::min(text_.size() - n_out_of_reach_, stop.size() - 1); n > n_held; n--)
            if (text_.compare(text_.size() - n, n, stop, 0, n) == 0) n_held = n;
    return text_.size() - n_held;
}
