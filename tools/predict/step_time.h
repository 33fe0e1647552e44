// step_time.h: how long one step of a span of layers takes on a device: each kernel by its bytes, products and rows.
#pragma once
#include <algorithm>
#include <iterator>
#include <string>

#include "devices.h"
#include "gpu/step_sizes.h"
#include "kernels/tuning.h"
#include "model.h"
#include "replica.h"

// What a step is about.
struct StepWork {
    int n_tokens = 0, n_rows = 0;                      // n_rows: that sample
    double full_keys_read = 0, sliding_keys_read = 0;  // of one layer of a kind, once a sequence
    double full_keys_seen = 0, sliding_keys_seen = 0;  // by all tokens together
    int n_seqs = 0;
};

inline StepWork work_of(const Batch& batch, int window) {
    StepWork w;
    w.n_tokens = int(batch.tokens.size());
    w.n_rows = int(batch.rows.size());
    w.n_seqs = int(batch.seqs.size());
    int first = 0;  // position of the sequence's first token here
    for (size_t t = 0; t < batch.tokens.size(); t++) {
        const Batch::Token& token = batch.tokens[t];
        if (t == 0 || batch.tokens[t - 1].seq != token.seq) first = token.pos;
        const int keys = token.pos + 1, in_window = std::min(keys, window);
        w.full_keys_seen += keys;
        w.sliding_keys_seen += in_window;
        if (t + 1 < batch.tokens.size() && batch.tokens[t + 1].seq == token.seq) continue;
        w.full_keys_read += keys;
        w.sliding_keys_read += std::min(keys, window + token.pos - first);
    }
    return w;
}

class StepTime {
  public:
    StepTime(const PredictedDevice& device, const Config& config)
        : device_(device), tuned_(tuning_of(device.target)), config_(config) {}

    // Seconds. embeds, samples: whether the span has the first layer, and the last.
    double seconds(const StepWork& work, int first_layer, int end_layer, bool samples) const {
        const int n = padded(work);
        double us = device_.least_us + device_.gap_us;  // embedding, or the residual's arrival
        for (int l = first_layer; l < end_layer; l++) us += layer_us(work, n, l);
        if (samples) us += head_us(work.n_rows);
        return 1e-6 * us;
    }

    // Tiles of an experts' product that tokens need which choose at random, on average.
    double expected_tiles(int n_tokens, int rows_a_tile) const {
        const double p = double(config_.experts_per_token) / config_.n_experts;
        double expected = 0;
        for (int t = 0; t * rows_a_tile < n_tokens; t++) expected += more_than(n_tokens, p, t * rows_a_tile);
        return config_.n_experts * expected;
    }

  private:
    static const Tuning& tuning_of(const std::string& target) {
        return *std::find_if(std::begin(kTunings), std::end(kTunings),
                             [&](const Tuning& t) { return target == t.target; });
    }

    // Decode steps run with padded sizes, from recorded graphs.
    static int padded(const StepWork& work) {
        return work.n_tokens == work.n_seqs ? decode_bucket(work.n_tokens) : work.n_tokens;
    }

    // P(an expert has more than k of n tokens); beyond the first, by the normal distribution.
    static double more_than(int n, double p, int k) {
        if (k == 0) return 1 - std::pow(1 - p, n);
        const double mean = n * p, deviation = std::sqrt(n * p * (1 - p));
        return 0.5 * std::erfc((k + 0.5 - mean) / deviation / std::sqrt(2.0));
    }

    double stream_us(double bytes) const {
        return std::max(device_.least_us, 1e6 * bytes / (device_.bytes_per_s * device_.memory_share)) + device_.gap_us;
    }

    // Between two points of a table, on logarithmic scales.
    static double between(double x, double x0, double y0, double x1, double y1) {
        return x0 == x1 ? y0 : std::exp(std::log(y0) + std::log(y1 / y0) * std::log(x / x0) / std::log(x1 / x0));
    }
    template <size_t N>
    double measured(const std::array<double, N>& us, int n) const {
        size_t i = 0;
        while (i + 2 < N && n > kBenchTokens[i + 1]) i++;
        return between(n, kBenchTokens[i], us[i] - device_.times.launch_us, kBenchTokens[i + 1],
                       us[i + 1] - device_.times.launch_us);
    }
    // How much longer than alone a kernel takes that computes, in steps of n rows that follow one another.
    double slower(int n) const {
        const auto& clock = device_.busy_clock;
        const int low = n <= kClockRows[1] ? 0 : 1, rows = std::clamp(n, kClockRows.front(), kClockRows.back());
        return 1 / between(rows, kClockRows[low], clock[low], kClockRows[low + 1], clock[low + 1]);
    }
    // A kernel whose rows all have the same weights (n_out, n_in), in bf16.
    double dense_us(const std::array<double, 7>& us, int n, double n_out, double n_in) const {
        return us[0] == 0 ? dense_by_counts_us(n, n_out, n_in) : slower(n) * measured(us, n) + device_.gap_us;
    }
    double dense_by_counts_us(int n, double n_out, double n_in) const {
        const int unit = n <= 16 ? 16 : n <= 32 ? 32 : n <= 128 ? 64 : device_.many_rows;
        const double rows = double((n + unit - 1) / unit) * unit;
        const double products_us = 1e6 * 2 * rows * n_out * n_in / (device_.flop_per_s * device_.counts.reached);
        return std::max({device_.least_us, products_us,
                         1e6 * 2 * n_out * n_in / (device_.bytes_per_s * device_.memory_share)}) +
               device_.gap_us;
    }

    int expert_tile(int n) const {
        const int mean = n * config_.experts_per_token / config_.n_experts;
        return mean <= tuned_.expert_rows_of_16   ? 16
               : mean <= tuned_.expert_rows_of_32 ? 32
               : mean <= tuned_.expert_rows_of_64 ? 64
                                                  : device_.many_rows;
    }
    // up: twice as many rows of weights as down.
    double expert_us(const std::array<double, 7>& us, int n, bool up) const {
        const double memory_us = 1e6 * expected_tiles(n, n) * expert_bytes(up) / device_.bytes_per_s;
        if (us[0] > 0) return std::max(memory_us, slower(n) * measured_experts_us(us, n)) + device_.gap_us;
        const int rows = expert_tile(n);
        const double n_tiles = std::max<double>(expected_tiles(n, rows), 1);
        const double steps = double(up ? 2 : 1) * config_.hidden_dim * config_.intermediate_dim / 2048;
        const double tile_us = 1e6 * steps * turn_cycles(rows) / device_.counts.simd_cycles_per_s;
        return std::max(
                   {device_.least_us, n_tiles * tile_us / device_.counts.reached, memory_us / device_.memory_share}) +
               device_.gap_us;
    }
    double expert_bytes(bool up) const {
        return double(up ? 2 : 1) * config_.hidden_dim * config_.intermediate_dim * 17 / 32;
    }
    double turn_cycles(int rows) const {
        const InstructionCounts& c = device_.counts;
        if (rows <= 32) return std::max(c.matrix_cycles_16_rows * rows / 16, c.decode_few);
        return double(rows) / 64 * std::max(c.matrix_cycles_16_rows * 4, c.decode_many);
    }
    // All experts of n tokens that choose at random.
    double measured_experts_us(const std::array<double, 7>& us, int n) const {
        if (n == 1)
            return us[0] - device_.times.launch_us;  // a few experts alone: bound by latency, not by their tiles
        const double p = double(config_.experts_per_token) / config_.n_experts, mean = n * p;
        const int reach = int(6 * std::sqrt(mean) + 6);
        double expected_us = 0;
        for (int k = std::max(1, int(mean) - reach); k <= std::min(n, int(mean) + reach); k++) {
            const double ways = std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0);
            const double log_p = ways + k * std::log(p) + (n - k) * std::log(1 - p);
            expected_us += std::exp(log_p) * measured_expert_us(us, k, expert_tile(n));
        }
        return config_.n_experts * expected_us;
    }
    // One expert with k tokens, cut into tiles as moe_sort does.
    double measured_expert_us(const std::array<double, 7>& us, int k, int most_rows) const {
        const int n_tiles = (k + most_rows - 1) / most_rows;
        const int rows = n_tiles == 1 ? k : std::min(most_rows, round_up((k + n_tiles - 1) / n_tiles, kTileRowStep));
        const double last = k % rows == 0 ? 0 : tile_us(us, k % rows, most_rows);
        return k / rows * tile_us(us, rows, most_rows) + last;
    }
    double tile_us(const std::array<double, 7>& us, int rows, int most_rows) const {
        if (most_rows >= 64) rows = round_up(rows, kTileRowStep);
        size_t i = 1;
        while (i + 2 < us.size() && rows > kBenchTileRows[i + 1]) i++;
        const auto of_one = [&](size_t j) { return (us[j] - device_.times.launch_us) / kBenchTiles[j]; };
        return between(std::max(rows, kBenchTileRows[1]), kBenchTileRows[i], of_one(i), kBenchTileRows[i + 1],
                       of_one(i + 1));
    }

    double attention_us(const StepWork& w, int l) const {
        const bool full = config_.layer_kind[size_t(l)] == LayerKind::kFull;
        const double read = full ? w.full_keys_read : w.sliding_keys_read;
        const double seen = full ? w.full_keys_seen : w.sliding_keys_seen;
        const double heads = double(config_.n_attn_heads) * config_.head_dim;
        const double bytes = 4 * read * config_.n_kv_heads * config_.head_dim + 4 * w.n_tokens * heads;
        const double flop_us = 1e6 * 4 * seen * heads / (device_.flop_per_s * device_.attention_flop_share);
        constexpr double kLeastUs = 7.6;  // bench_kernels, one token of 256 keys, less its launch
        return std::max({kLeastUs, flop_us, stream_us(bytes) - device_.gap_us}) + device_.gap_us;
    }

    double layer_us(const StepWork& w, int n, int l) const {
        const KernelTimes& t = device_.times;
        const double d = config_.hidden_dim, heads = double(config_.n_attn_heads) * config_.head_dim;
        const double kv = double(config_.n_kv_heads) * config_.head_dim;
        const double norm_bytes = n * d * (4 + 2 + 4 + 4 * config_.experts_per_token);
        double us = stream_us(norm_bytes) + dense_us(t.qkv, n, heads + 2 * kv, d) + attention_us(w, l);
        us += dense_us(t.o, n, d, heads);
        us += t.router[0] > 0 ? dense_us(t.router, n, 0, 0) * router_share()
                              : stream_us(n * d * 6 + config_.n_experts * d * 2);
        if (n > 1) us += stream_us(0);  // sorting
        return us + expert_us(t.up, n, true) + expert_us(t.down, n, false);
    }
    // Measured with 32 experts; its norm costs the same for any number.
    double router_share() const { return 0.5 + 0.5 * config_.n_experts / 32; }

    double head_us(int n_rows) const {
        double us = 0;
        for (int begin = 0; begin < n_rows; begin += kLogitRowsAtOnce) {
            const int n = std::min(kLogitRowsAtOnce, n_rows - begin);
            us += stream_us(n * 26.0 * config_.hidden_dim) + stream_us(4.0 * n * config_.vocab_size);
            us += device_.times.lm_head[0] > 0 ? slower(n_rows) * measured(device_.times.lm_head, n) + device_.gap_us
                                               : dense_by_counts_us(n, config_.vocab_size, config_.hidden_dim);
        }
        return us;
    }

    const PredictedDevice& device_;
    const Tuning& tuned_;
    const Config config_;
};
