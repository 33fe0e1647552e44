// sampler.cpp: greedy, temperature, top-k and top-p sampling, with sums in a fixed order and in double.
#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"

namespace {

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
    return candidates.back().id;  // rounding has put the target above the whole sum
}

bool is_likelier(const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

// Leaves the k likeliest, in order of id. Returns their weight.
double keep_likeliest(std::vector<Candidate>& candidates, size_t k) {
    std::nth_element(candidates.begin(), candidates.begin() + int64_t(k), candidates.end(), is_likelier);
    candidates.resize(k);
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
    double total = 0;
    for (const Candidate& c : candidates) total += c.weight;
    return total;
}

// The logits with what the penalty and the ruling out make of them.
std::vector<float> changed_logits(const float* logits, int vocab_size, const Sampling& sampling, uint64_t pos,
                                  const int* context) {
    std::vector<float> changed(logits, logits + vocab_size);
    const float penalty = sampling.repetition_penalty;
    for (uint64_t i = 0; penalty != 1 && i <= pos; i++) {
        const float logit = logits[context[i]];
        changed[size_t(context[i])] = logit > 0 ? logit / penalty : logit * penalty;
    }
    for (int i = 0; i < sampling.n_ruled_out; i++)
        changed[size_t(sampling.ruled_out[i])] = -std::numeric_limits<float>::infinity();
    return changed;
}

}  // namespace

// Goes twice over one block after another, which stays in cache. The first pass finds the block's largest, in lanes
// that do not wait for each other. The second finds where it is, and is needed only if it is the largest so far.
int most_likely(const float* logits, int n) {
    constexpr int kBlock = 4096, kLanes = 32;
    constexpr float kMost = std::numeric_limits<float>::max();
    float largest = -std::numeric_limits<float>::infinity();
    int found = kNotFinite;
    for (int begin = 0; begin < n; begin += kBlock) {
        const int end = std::min(begin + kBlock, n);
        float lane[kLanes];
        int bad[kLanes] = {};  // NaN or +infinity
        std::fill(lane, lane + kLanes, largest);
        int i = begin;
        for (; i + kLanes <= end; i += kLanes)
#pragma omp simd
            for (int l = 0; l < kLanes; l++) {
                lane[l] = std::max(lane[l], logits[i + l]);
                bad[l] |= !(logits[i + l] <= kMost);
            }
        for (; i < end; i++) {
            lane[0] = std::max(lane[0], logits[i]);
            bad[0] |= !(logits[i] <= kMost);
        }
        if (std::find(bad, bad + kLanes, 1) != bad + kLanes) return kNotFinite;
        const float here = *std::max_element(lane, lane + kLanes);
        if (!(here > largest)) continue;
        largest = here;
        found = int(std::find(logits + begin, logits + end, largest) - logits);
    }
    return found;
}

int sample_token(const float* logits, int vocab_size, const Sampling& sampling, uint64_t pos, const int* context) {
    if (sampling.n_ruled_out > 0 || sampling.repetition_penalty != 1) {
        const std::vector<float> changed = changed_logits(logits, vocab_size, sampling, pos, context);
        Sampling of_changed{sampling.temperature, sampling.top_p, sampling.seed};
        of_changed.top_k = sampling.top_k;
        return sample_token(changed.data(), vocab_size, of_changed, pos);
    }
    const int top = most_likely(logits, vocab_size);
    if (sampling.temperature == 0 || top == kNotFinite) return top;

    // Weights relative to the largest, which is 1. A weight that underflows to 0 can never be drawn.
    std::vector<Candidate> candidates;
    double total = 0;
    for (int i = 0; i < vocab_size; i++) {
        const double weight = std::exp((double(logits[i]) - logits[top]) / sampling.temperature);
        if (!(weight > 0)) continue;
        candidates.push_back({weight, i});
        total += weight;
    }
    if (sampling.top_k > 0 && size_t(sampling.top_k) < candidates.size())
        total = keep_likeliest(candidates, size_t(sampling.top_k));
    const double u = random_uniform(sampling.seed, pos);
    if (sampling.top_p >= 1) return pick(candidates, u * total);

    // Few tokens need sorting: all tokens below this cut, at most vocab_size, have less than 1 - top_p together, so the
    // others already have top_p (llama2.c cuts the same way).
    const double cut = (1.0 - sampling.top_p) / vocab_size * total;
    candidates.erase(std::remove_if(candidates.begin(), candidates.end(),
                                    [&](const Candidate& c) { return c.id != top && c.weight < cut; }),
                     candidates.end());
    std::sort(candidates.begin(), candidates.end(), is_likelier);
    double kept = 0;
    size_t n = 0;
    while (n < candidates.size() && kept < sampling.top_p * total) kept += candidates[n++].weight;
    candidates.resize(n);
    return pick(candidates, u * kept);
}
