// sample.hip: logits to tokens, as sample_token() (sampler.cpp) draws them: one block a row.
//
// Weights are integers: exp((logit - largest) / temperature) in units of 2^-44, rounded down. So their sums are exact,
// whatever the order. A weight of 0 is never drawn; rounding loses less than V · 2^-44 of the total (1.2e-8 at 201088).
//
// No row is sorted. To find the token at which the running sum, in order of likelihood, passes a number, an interval of
// logits is halved again and again: one pass over the row says in which half the token is. Once the interval holds few
// tokens, they are put in order in LDS.
#include "base/random.h"
#include "gpu/wave.h"
#include "kernels.h"
#include "quad.h"

namespace {

constexpr int kThreads = 1024;
constexpr float kOne = 0x1p44f;    // the weight of the largest logit
constexpr float kDeepest = 31.0f;  // exp(-31) · kOne < 1
constexpr float kTie = 0x1p-40f;   // logits in an interval narrower than this part of a temperature count as equal
constexpr float kLargestFloat = 0x1.fffffep127f;
constexpr int kMaxCandidates = 512;  // tokens that are put in order in LDS
constexpr int kAhead = 8;            // logits that a thread loads before it looks at one

struct Scratch {
    uint64_t sum[kThreads / 32];
    uint64_t likelihood[kMaxCandidates], weight[kMaxCandidates];
    int n_candidates, found_id;
    uint64_t found_sum;
};

// Logits in (low, high].
struct Interval {
    float low, high;
};

struct Row {
    const float* logits;  // (n)
    int n;
    float largest, temperature;
    // With a top_k, the last token that is left. Of the tokens with its logit, those with larger ids are not.
    float last_logit = 0;
    int last_id = kMostSampledVocab;
    bool counts = false;  // every token weighs 1

    // `logit` is at most `largest`.
    __device__ uint64_t weight(float logit) const {
        return counts ? 1 : uint64_t(expf((logit - largest) / temperature) * kOne);
    }
    __device__ bool has(const Interval& interval, float logit, int id) const {
        return logit > interval.low && logit <= interval.high && !(id > last_id && logit == last_logit);
    }
};

__device__ uint64_t wave_total(uint64_t v) {
    for (int mask = kWave / 2; mask > 0; mask /= 2) v += shfl_xor(v, mask);
    return v;
}

// Calls see(logit, id) for begin, begin + step, ... below end, in this order; and for some logits of -infinity.
template <class See>
__device__ void each_logit(const float* logits, int begin, int end, int step, See see) {
    for (int id0 = begin; id0 < end; id0 += kAhead * step) {
        float ahead[kAhead];
        for (int i = 0; i < kAhead; i++) ahead[i] = id0 + i * step < end ? logits[id0 + i * step] : -INFINITY;
        for (int i = 0; i < kAhead; i++) see(ahead[i], id0 + i * step);
    }
}

// The same for a thread's share of a row.
template <class See>
__device__ void each_logit(const Row& row, See see) {
    each_logit(row.logits, int(threadIdx.x), row.n, kThreads, see);
}

// Puts each wave's sum into scratch.sum.
__device__ void wave_totals(uint64_t v, Scratch& scratch) {
    v = wave_total(v);
    block_sync();
    if (lane_id() == 0) scratch.sum[wave_id()] = v;
    block_sync();
}

__device__ uint64_t block_total(uint64_t v, Scratch& scratch) {
    wave_totals(v, scratch);
    uint64_t sum = 0;
    for (int w = 0; w < n_waves(); w++) sum += scratch.sum[w];
    return sum;
}

struct Total {
    uint64_t weight;
    int n;  // tokens
};
__device__ Total total_in(const Row& row, const Interval& interval, Scratch& scratch) {
    uint64_t weight = 0, n = 0;
    each_logit(row, [&](float logit, int id) {
        if (!row.has(interval, logit, id)) return;
        weight += row.weight(logit);
        n++;
    });
    weight = block_total(weight, scratch);
    return {weight, int(block_total(n, scratch))};
}

// A number that is larger for a likelier token: one with a larger logit, or with the same logit and a smaller id.
__device__ uint64_t likelihood(float logit, int id) {
    const uint32_t bits = f32_to_bits(logit + 0.0f);  // -0 becomes 0
    const uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return uint64_t(ascending) << 32 | uint32_t(~id);
}
__device__ int token_of(uint64_t likelihood) {
    return int(~uint32_t(likelihood));
}

// The most likely token; kNoToken if a logit is a NaN or +infinity, or none is above -infinity.
__device__ int most_likely(const float* logits, int n, Scratch& scratch) {
    constexpr uint64_t kBad = ~uint64_t(0), kNone = 0;  // above and below the likelihood of any number
    float best = -INFINITY;
    int best_id = 0;
    bool bad = false;
    const auto see = [&](float logit, int id) {
        bad |= !(logit <= kLargestFloat);
        if (logit > best) {
            best = logit;
            best_id = id;
        }
    };
    // One block reads the whole row: 16 bytes a load where the row begins at a multiple of that.
    const auto* quads = reinterpret_cast<const Quad*>(logits);
    const int n_quads = reinterpret_cast<uintptr_t>(logits) % sizeof(Quad) == 0 ? n / 4 : 0;
    for (int q0 = int(threadIdx.x); q0 < n_quads; q0 += kAhead * kThreads) {
        Quad seen[kAhead];
#pragma unroll
        for (int i = 0; i < kAhead; i++) seen[i] = quads[min(q0 + i * kThreads, n_quads - 1)];
#pragma unroll
        for (int i = 0; i < kAhead; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) see(seen[i].v[j], 4 * min(q0 + i * kThreads, n_quads - 1) + j);
    }
    each_logit(logits, 4 * n_quads + int(threadIdx.x), n, kThreads, see);
    uint64_t first = bad ? kBad : best == -INFINITY ? kNone : likelihood(best, best_id);
    const auto keep_larger = [&](uint64_t other) { first = other > first ? other : first; };
    for (int mask = kWave / 2; mask > 0; mask /= 2) keep_larger(shfl_xor(first, mask));
    if (lane_id() == 0) scratch.sum[wave_id()] = first;
    block_sync();
    for (int w = 0; w < n_waves(); w++) keep_larger(scratch.sum[w]);
    return first == kBad || first == kNone ? kNoToken : token_of(first);
}

struct Found {
    int id;
    uint64_t sum;  // the running sum, this token included
};

// Adds weights of the interval's tokens to `sum` in order of id, and finds the first token with which the sum exceeds
// `target`. Each round keeps one of n_waves parts of the ids.
__device__ Found find_by_id(const Row& row, const Interval& interval, uint64_t sum, uint64_t target, Scratch& scratch) {
    int begin = 0, end = row.n;
    for (;;) {
        const int part = (end - begin + n_waves() - 1) / n_waves(), my_begin = begin + wave_id() * part;
        const int my_end = min(my_begin + part, end);
        uint64_t mine = 0;
        each_logit(row.logits, my_begin + lane_id(), my_end, kWave, [&](float logit, int id) {
            if (row.has(interval, logit, id)) mine += row.weight(logit);
        });
        wave_totals(mine, scratch);
        int w = 0;
        while (w < n_waves() - 1 && sum + scratch.sum[w] <= target) sum += scratch.sum[w++];
        begin += w * part;
        if (part == 1) return {begin, sum + scratch.sum[w]};
        end = min(begin + part, end);
    }
}

// The same in order of likelihood, for an interval of at most kMaxCandidates tokens.
__device__ Found find_in_lds(const Row& row, const Interval& interval, uint64_t sum, uint64_t target,
                             Scratch& scratch) {
    block_sync();
    if (threadIdx.x == 0) scratch.n_candidates = 0;
    block_sync();
    each_logit(row, [&](float logit, int id) {
        if (!row.has(interval, logit, id)) return;
        const int i = atomicAdd(&scratch.n_candidates, 1);  // any order will do
        scratch.likelihood[i] = likelihood(logit, id);
        scratch.weight[i] = row.weight(logit);
    });
    block_sync();
    const int n = scratch.n_candidates;
    for (int i = int(threadIdx.x); i < n; i += kThreads) {
        uint64_t before = sum;
        for (int j = 0; j < n; j++)
            if (scratch.likelihood[j] > scratch.likelihood[i]) before += scratch.weight[j];
        if (before <= target && before + scratch.weight[i] > target) {  // true for one token only
            scratch.found_id = token_of(scratch.likelihood[i]);
            scratch.found_sum = before + scratch.weight[i];
        }
    }
    block_sync();
    return {scratch.found_id, scratch.found_sum};
}

// Finds the first of the interval's n tokens, in order of likelihood, with which the running sum exceeds `target`.
__device__ Found find_by_likelihood(const Row& row, Interval interval, int n, uint64_t target, Scratch& scratch) {
    uint64_t above = 0;  // weight of the logits above the interval
    while (n > kMaxCandidates) {
        const float middle = interval.low + (interval.high - interval.low) / 2;
        const bool splits = middle > interval.low && middle < interval.high;
        if (!splits || interval.high - interval.low < kTie * row.temperature)
            return find_by_id(row, interval, above, target, scratch);
        const Interval upper = {middle, interval.high};
        const Total in_upper = total_in(row, upper, scratch);
        if (above + in_upper.weight > target) {
            interval = upper;
            n = in_upper.n;
        } else {
            interval.high = middle;
            n -= in_upper.n;
            above += in_upper.weight;
        }
    }
    return find_in_lds(row, interval, above, target, scratch);
}

// A number in [0, sum): what the running sum must exceed for a fraction u in [0, 1) of the sum.
__device__ uint64_t fraction_of(double u, uint64_t sum) {
    const auto target = uint64_t(u * double(sum));
    return target < sum ? target : sum - 1;
}

// Leaves the top_k most likely of the interval's n tokens.
__device__ void keep_likeliest(Row& row, Interval& all, int n, int top_k, Scratch& scratch) {
    Row counting = row;
    counting.counts = true;
    counting.temperature = 0;  // no two logits are near enough to count as equal
    row.last_id = find_by_likelihood(counting, all, n, uint64_t(top_k) - 1, scratch).id;
    row.last_logit = row.logits[row.last_id];
    all.low = nextafterf(row.last_logit, -INFINITY);
}

__device__ int draw(Row row, const RowSampling& sampling, Scratch& scratch) {
    // The interval of all tokens with a weight. With a tiny temperature it holds only the largest logit.
    Interval all = {row.largest - kDeepest * row.temperature, row.largest};
    if (!(all.low < all.high)) all.low = nextafterf(all.high, -INFINITY);
    Total total = total_in(row, all, scratch);
    if (sampling.top_k > 0 && sampling.top_k < total.n) {
        keep_likeliest(row, all, total.n, sampling.top_k, scratch);
        total = total_in(row, all, scratch);
    }
    const double u = random_uniform(sampling.seed, sampling.pos);
    if (sampling.top_p >= 1) return find_by_id(row, all, 0, fraction_of(u, total.weight), scratch).id;
    // The last token to keep is the first with which the sum reaches top_p · total.
    const double enough = ceil(double(sampling.top_p) * double(total.weight));
    const Found last = find_by_likelihood(row, all, total.n, enough > 1 ? uint64_t(enough) - 1 : 0, scratch);
    return find_by_likelihood(row, all, total.n, fraction_of(u, last.sum), scratch).id;
}

__global__ void __launch_bounds__(kThreads)
    sample_kernel(int* token, float* logits, const RowSampling* sampling, int n) {
    __shared__ Scratch scratch;
    let_next_begin();
    wait_for_previous();
    const RowSampling of_row = sampling[blockIdx.x];
    float* row = logits + int64_t(blockIdx.x) * n;
    if (of_row.n_ruled_out > 0) {
        if (int(threadIdx.x) < of_row.n_ruled_out) row[sampling[blockIdx.x].ruled_out[threadIdx.x]] = -INFINITY;
        block_sync();
    }
    int id = most_likely(row, n, scratch);
    if (id != kNoToken && of_row.temperature > 0) id = draw({row, n, row[id], of_row.temperature}, of_row, scratch);
    if (threadIdx.x == 0) token[of_row.place] = id;
}

}  // namespace

void sample(int* token, float* logits, const RowSampling* sampling, int n_rows, int vocab_size, gpu::Stream stream) {
    GPU_REQUIRE(n_rows > 0 && vocab_size > 0 && vocab_size < kMostSampledVocab);
    GPU_LAUNCH_CHAINED(sample_kernel, dim3(unsigned(n_rows)), dim3(kThreads), 0, stream, token, logits, sampling,
                       vocab_size);
}
