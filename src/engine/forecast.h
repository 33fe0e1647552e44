// forecast.h: the most pages that the requests in flight will hold at once, by which requests are admitted.
#pragma once
#include <cstdint>
#include <vector>

class Forecast {
  public:
    struct Request {
        int64_t n_pages;  // once all of its tokens so far are stored
        int n_left;       // tokens that its answer is expected to get
    };

    explicit Forecast(std::vector<Request> requests);
    void add(Request request);
    // The most pages held at once, with one more request, if each gets a token a step and frees its pages when it ends.
    int64_t peak_with(Request more) const;

  private:
    std::vector<Request> requests_;  // those that last longest first
};
