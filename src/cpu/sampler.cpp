// sampler.cpp: greedy, temperature and top-p sampling, with sums in a fixed order and in double.
#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/mix.h"

namespace {

// The first of the largest; NaNs are none, and 0 if there is nothing else.
int argmax(const float* logits, int n) {
    float largest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : largest)
    for (int i = 0; i < n; i++) largest = std::max(largest, logits[i]);
    const float* const found = std::find(logits, logits + n, largest);
    return found == logits + n ? 0 : int(found - logits);
}

struct Candidate {
    double weight;
    int id;
};

// The candidate in which the running sum of weights passes `target`.
int pick(const std::vector<Candidate>& candidates, double target) {
    double sum = 0;
    for (const Candidate& c : candidates) {
        sum += c.weight;
        if (sum > target) return c.id;
    }
    return candidates.back().id;  // target was within rounding of the whole sum
}

}  // namespace

double random_uniform(uint64_t seed, uint64_t pos) {
    const uint64_t bits = mix64(mix64(seed + 0x9e3779b97f4a7c15) ^ (pos + 1) * 0xd1342543de82ef95);
    return double(bits >> 11) * 0x1p-53;
}

int sample_token(const float* logits, int vocab_size, const Sampling& sampling, uint64_t pos) {
    const int top = argmax(logits, vocab_size);
    if (sampling.temperature == 0) return top;

    // Weights relative to the largest, which is 1; what underflows to 0 can never be drawn.
    std::vector<Candidate> candidates;
    double total = 0;
    for (int i = 0; i < vocab_size; i++) {
        const double weight = std::exp((double(logits[i]) - logits[top]) / sampling.temperature);
        if (!(weight > 0)) continue;
        candidates.push_back({weight, i});
        total += weight;
    }
    if (candidates.empty()) return top;  // nothing but NaNs and infinities
    const double u = random_uniform(sampling.seed, pos);
    if (sampling.top_p >= 1) return pick(candidates, u * total);

    // Few tokens need sorting: one below the cut and all that are less likely, at most vocab_size, hold together less
    // than 1 - top_p, so those before it already hold top_p (the cut of llama2.c).
    const double cut = (1.0 - sampling.top_p) / vocab_size * total;
    candidates.erase(std::remove_if(candidates.begin(), candidates.end(),
                                    [&](const Candidate& c) { return c.id != top && c.weight < cut; }),
                     candidates.end());
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
        return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
    });
    double kept = 0;
    size_t n = 0;
    while (n < candidates.size() && kept < sampling.top_p * total) kept += candidates[n++].weight;
    candidates.resize(n);
    return pick(candidates, u * kept);
}
