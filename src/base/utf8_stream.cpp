// utf8_stream.cpp: keeps the start of a character until its end comes.
#include "utf8_stream.h"

#include "base/utf8.h"

std::string Utf8Stream::feed(std::string_view bytes) {
    pending_ += bytes;
    std::string out;
    size_t pos = 0;
    while (pos < pending_.size()) {
        size_t length;
        const Utf8 next = utf8_next(std::string_view(pending_).substr(pos), &length);
        if (next == Utf8::kCut) break;
        if (next == Utf8::kWhole)
            out.append(pending_, pos, length);
        else
            out += kReplacement;
        pos += length;
    }
    pending_.erase(0, pos);
    return out;
}

std::string Utf8Stream::finish() {
    const bool is_cut = !pending_.empty();  // feed() leaves at most one unfinished character
    pending_.clear();
    return std::string(is_cut ? kReplacement : "");
}
