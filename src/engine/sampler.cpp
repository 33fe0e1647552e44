// sampler.cpp: greedy, temperature, top-k and top-p sampling, with sums in a fixed order and in double.
#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
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

// Takes the penalties for tokens of the answer from their logits.
void penalise_answer(std::vector<float>& logits, const Sampling& sampling, uint64_t pos, const TextSoFar& text) {
    std::vector<int> answer(text.ids + text.n_prompt, text.ids + pos + 1);
    std::sort(answer.begin(), answer.end());
    for (auto it = answer.begin(), end = it; it != answer.end(); it = end) {
        end = std::upper_bound(it, answer.end(), *it);
        logits[size_t(*it)] -= sampling.presence_penalty + sampling.frequency_penalty * float(end - it);
    }
}

// The logits with what penalties, bias and the ruling out make of them.
std::vector<float> changed_logits(const float* logits, int vocab_size, const Sampling& sampling, uint64_t pos,
                                  const TextSoFar& text) {
    std::vector<float> changed(logits, logits + vocab_size);
    const float penalty = sampling.repetition_penalty;
    for (uint64_t i = 0; penalty != 1 && i <= pos; i++) {
        const float logit = logits[text.ids[i]];
        changed[size_t(text.ids[i])] = logit > 0 ? logit / penalty : logit * penalty;
    }
    if (sampling.presence_penalty != 0 || sampling.frequency_penalty != 0)
        penalise_answer(changed, sampling, pos, text);
    if (sampling.bias)
        for (const TokenBias& b : *sampling.bias) changed[size_t(b.id)] += b.bias;
    for (int i = 0; i < sampling.n_ruled_out; i++)
        changed[size_t(sampling.ruled_out[i])] = -std::numeric_limits<float>::infinity();
    return changed;
}

// Draws from the allowed tokens, as from all of them with the others ruled out.
int sample_allowed(const float* logits, const Sampling& sampling, uint64_t pos) {
    const std::vector<int>& ids = *sampling.allowed;
    std::vector<float> values;
    for (const int id : ids) values.push_back(logits[id]);
    Sampling of_these = sampling;
    of_these.allowed = nullptr;
    const int i = sample_token(values.data(), int(ids.size()), of_these, pos);
    return i < 0 ? i : ids[size_t(i)];
}

// The tokens that can be drawn, in order of id; `total` becomes the sum of their weights. Weights are relative to the
// largest, which is 1. A weight that underflows to 0 can never be drawn.
std::vector<Candidate> candidates_of(const float* logits, int vocab_size, int top, const Sampling& sampling,
                                     double& total) {
    std::vector<Candidate> candidates;
    total = 0;
    for (int i = 0; i < vocab_size; i++) {
        const double weight = std::exp((double(logits[i]) - logits[top]) / sampling.temperature);
        if (!(weight > 0) || weight < sampling.min_p) continue;
        candidates.push_back({weight, i});
        total += weight;
    }
    return candidates;
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

int sample_token(const float* logits, int vocab_size, const Sampling& sampling, uint64_t pos, const TextSoFar& text) {
    if (sampling.is_forced()) return sampling.allowed->front();
    if (sampling.n_ruled_out > 0 || sampling.needs_text() || sampling.bias) {
        const std::vector<float> changed = changed_logits(logits, vocab_size, sampling, pos, text);
        Sampling of_changed{sampling.temperature, sampling.top_p, sampling.seed};
        of_changed.top_k = sampling.top_k;
        of_changed.min_p = sampling.min_p;
        of_changed.allowed = sampling.allowed;
        return sample_token(changed.data(), vocab_size, of_changed, pos);
    }
    if (sampling.allowed) return sample_allowed(logits, sampling, pos);
    const int top = most_likely(logits, vocab_size);
    if (sampling.temperature == 0 || top == kNotFinite) return top;

    double total = 0;
    std::vector<Candidate> candidates = candidates_of(logits, vocab_size, top, sampling, total);
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

TokenLogprobs logprobs_of(const float* logits, int vocab_size, int drawn, int n_top) {
    const double largest = *std::max_element(logits, logits + vocab_size);
    double sum = 0;
    for (int i = 0; i < vocab_size; i++) sum += std::exp(double(logits[i]) - largest);
    const double log_sum = largest + std::log(sum);
    const auto entry = [&](int id) { return TokenLogprobs::Entry{id, double(logits[id]) - log_sum}; };
    TokenLogprobs logprobs;
    logprobs.drawn = entry(drawn);
    std::vector<int> ids(size_t(std::clamp(n_top, 0, vocab_size)));
    if (ids.empty()) return logprobs;
    std::vector<int> all(static_cast<size_t>(vocab_size));
    std::iota(all.begin(), all.end(), 0);
    std::partial_sort_copy(all.begin(), all.end(), ids.begin(), ids.end(),
                           [&](int a, int b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
    for (const int id : ids) logprobs.top.push_back(entry(id));
    return logprobs;
}

void begin_result(StepResult& result, const Batch& batch) {
    result.sampled.assign(batch.rows.size(), -1);
    const bool tells = std::any_of(batch.rows.begin(), batch.rows.end(),
                                   [](const Batch::Row& r) { return r.sample && r.sampling.n_logprobs >= 0; });
    result.logprobs.assign(tells ? batch.rows.size() : 0, {});
}

void draw_row(StepResult& result, const Batch& batch, int row, const float* logits, int vocab_size) {
    const Batch::Row& r = batch.rows[size_t(row)];
    const auto pos = uint64_t(batch.tokens[size_t(r.token)].pos);
    result.sampled[size_t(row)] = sample_token(logits, vocab_size, r.sampling, pos, r.text);
}

void tell_row(StepResult& result, const Batch& batch, int row, const float* logits, int vocab_size) {
    const Batch::Row& r = batch.rows[size_t(row)];
    const int drawn = result.sampled[size_t(row)];
    if (r.sampling.n_logprobs < 0 || drawn == kNotFinite) return;
    result.logprobs[size_t(row)] = logprobs_of(logits, vocab_size, drawn, r.sampling.n_logprobs);
}
