// stop_scanner.h: finds stop strings in text that comes in pieces.
#pragma once
#include <string>
#include <string_view>
#include <vector>

// Collects text up to the first stop string: the one that is complete at the earliest byte, and of several such, the
// longest. So it does not matter how the text was cut into tokens.
class StopScanner {
  public:
    explicit StopScanner(std::vector<std::string> stops) : stops_(std::move(stops)) {}

    // Appends `piece`. True once a stop string is there; what comes after is dropped.
    bool feed(std::string_view piece);
    // Appends `piece` without looking for stop strings. One may begin in it and end in the next piece.
    void pass(std::string_view piece) { text_ += piece; }
    // A stop string that begins in the text so far, and ends in what comes, does not count.
    void settle() { n_out_of_reach_ = text_.size(); }
    bool found() const { return found_; }
    const std::string& text() const { return text_; }              // without the stop string
    size_t n_settled() const;                                      // bytes of text() that no stop string can reach
    const std::string& found_stop() const { return found_stop_; }  // the string, once one is found

  private:
    const std::vector<std::string> stops_;  // none is empty
    std::string text_, found_stop_;
    size_t n_out_of_reach_ = 0;  // bytes in which no stop string can begin any more
    bool found_ = false;
};
