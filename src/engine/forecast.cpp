// forecast.cpp: the number of pages in use is largest at some moment when a request ends, so only those are computed.
#include "engine/forecast.h"

#include <algorithm>

#include "replica.h"

namespace {

bool lasts_longer(const Forecast::Request& a, const Forecast::Request& b) {
    return a.n_left > b.n_left;
}

}  // namespace

Forecast::Forecast(std::vector<Request> requests) : requests_(std::move(requests)) {
    std::sort(requests_.begin(), requests_.end(), lasts_longer);
}

void Forecast::add(Request request) {
    requests_.insert(std::upper_bound(requests_.begin(), requests_.end(), request, lasts_longer), request);
}

int64_t Forecast::peak_with(Request more) const {
    int64_t peak = 0, n = 0, n_pages = 0;
    // When this one ends, all that last longer are still there, and have grown by as many tokens.
    const auto end_of = [&](const Request& request) {
        n_pages += request.n_pages;
        peak = std::max(peak, n_pages + ++n * pages_for(request.n_left));
    };
    bool counted = false;
    for (const Request& request : requests_) {
        if (!counted && lasts_longer(more, request)) {
            end_of(more);
            counted = true;
        }
        end_of(request);
    }
    if (!counted) end_of(more);
    return peak;
}
