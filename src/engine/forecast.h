// forecast.h: how many pages the requests in flight will hold at most. Requests are admitted by that number.
#pragma once
#include <cstdint>
#include <vector>

class Forecast {
  public:
    struct Request {
        int64_t n_pages;  // that it holds once all its tokens so far are stored
        int n_left;       // tokens that its answer is expected to get
    };

    explicit Forecast(std::vector<Request> requests);
    void add(Request request);
    // The most pages held at once, with one more request, if every step adds a token to each and a request that ends
    // frees its pages.
    int64_t peak_with(Request more) const;

  private:
    std::vector<Request> requests_;  // those that last longest first
};
