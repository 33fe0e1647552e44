// bench_kernels.cpp: every kernel at the sizes of gpt-oss, one after the other: time, bytes, operations, share of the
// roof.
//
//   bench_kernels [20b|120b] [T...]      tokens a step, default 1 4 16 64 256 1024 4096
//
// Weights are random bits of the right shape. Each launch takes the next of several copies, so that no cache holds what
// it reads. Medians of kRounds launches.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "../gpt_oss_config.h"
#include "gpu/roofs.h"
#include "gpu/step_sizes.h"
#include "kernel_bench.h"

namespace {

constexpr int64_t kColdBytes = int64_t(400) << 20;  // more than any cache holds

// Copies of one packed matrix that launches use in turn.
struct Weights {
    std::vector<PackedMatrix> copies;
    std::vector<Random> data;
    int64_t bytes = 0;  // of one expert

    Weights(bool mxfp4, int n_out, int n_in, int n_experts, gpu::Stream stream) {
        const int64_t tile_bytes = packed_tile_bytes(mxfp4, n_out, n_in);
        const int64_t scale_bytes = mxfp4 ? packed_scale_bytes(n_out, n_in) : 0;
        bytes = tile_bytes + scale_bytes;
        const int64_t n_copies = std::max<int64_t>(1, kColdBytes / (bytes * n_experts));
        for (int64_t i = 0; i < n_copies; i++) {
            PackedMatrix m;
            m.mxfp4 = mxfp4;
            m.n_out = n_out;
            m.n_in = n_in;
            m.n_experts = n_experts;
            data.emplace_back(tile_bytes * n_experts, stream);
            m.tiles = data.back().memory.data();
            if (mxfp4) {
                data.emplace_back(scale_bytes * n_experts, stream);
                gpu::fill(data.back().memory.data(), 120, scale_bytes * n_experts, stream);  // 2^-7
                m.scales = reinterpret_cast<const uint32_t*>(data.back().memory.data());
            }
            copies.push_back(m);
        }
        gpu::synchronize(stream);
    }
    const PackedMatrix& operator[](int round) const { return copies[size_t(round) % copies.size()]; }
};

// Every token is a sequence of its own at this position.
constexpr int kContext = 255, kPages = (kContext + 1) / kPagePositions;

// Different experts for neighbours, all used equally often: the best that a trained router can do.
std::vector<int> chosen_experts(const Config& s, int n_tok) {
    std::vector<int> chosen;
    for (int t = 0; t < n_tok; t++) {
        for (int a = 0; a < s.experts_per_token; a++)
            chosen.push_back((t * 7 + a * (s.n_experts / s.experts_per_token)) % s.n_experts);
        std::sort(chosen.end() - s.experts_per_token, chosen.end());
    }
    return chosen;
}

// What a step of n tokens works on, beside the weights.
struct Inputs {
    const int n_tok, n_slots, n_rows, heads_dim, kv_dim, most_tiles;
    Random x, h, q, act, down, weight, gain, router_w, logits, cache;
    DeviceMemory ids, pos, slot, table, query_tiles, chosen, turns, sinks, greedy;
    DeviceMemory scratch, sorted_ints, token, expert, router_b;
    Tokens tokens;
    KvLayer kv;
    ExpertTiles sorted;

    Inputs(const Config& s, int n, gpu::Stream stream)
        : n_tok(n),
          n_slots(n * s.experts_per_token),
          n_rows(std::min(n, kLogitRowsAtOnce)),
          heads_dim(s.n_attn_heads * s.head_dim),
          kv_dim(s.n_kv_heads * s.head_dim),
          most_tiles(n_slots + s.n_experts),
          x(int64_t(n) * s.hidden_dim * 4, stream),
          h(int64_t(n) * round_up(s.hidden_dim, kDepthStep) * 2, stream),
          q(int64_t(n) * heads_dim * 2, stream),
          act(int64_t(n_slots) * round_up(s.intermediate_dim, kDepthStep) * 2, stream),
          down(int64_t(n_slots) * s.hidden_dim * 4, stream),
          weight(int64_t(n_slots) * 4, stream),
          gain(s.hidden_dim * 4, stream),
          router_w(int64_t(s.n_experts) * s.hidden_dim * 2, stream),
          logits(int64_t(n_rows) * s.vocab_size * 4, stream),
          cache(int64_t(n) * kPages * kPagePositions * kv_dim * 2 * 2, stream),
          ids(on_device(std::vector<int>(size_t(n), 1), stream)),
          pos(on_device(std::vector<int>(size_t(n), kContext), stream)),
          slot(on_device(numbers(n, [](int t) { return t; }), stream)),
          table(on_device(numbers(n * kPages, [](int page) { return page; }), stream)),
          query_tiles(on_device(numbers(2 * n, [](int i) { return i % 2 ? 1 : i / 2; }), stream)),
          chosen(on_device(chosen_experts(s, n), stream)),
          turns(on_device(std::vector<float>(size_t((kContext + 1) * s.head_dim), 0.5f), stream)),
          sinks(on_device(std::vector<float>(size_t(s.n_attn_heads), 0.0f), stream)),
          greedy(on_device(std::vector<RowSampling>(size_t(n_rows)), stream)),  // all write to the same place
          scratch(attention_scratch_bytes(n, 2, s.n_kv_heads, s.head_dim), "scratch"),
          sorted_ints(4 * int64_t(4 * most_tiles + n_slots + 64), "tiles"),
          token(4 * n_rows, "tokens"),
          expert(4 * n_slots, "experts"),
          router_b(4 * s.n_experts, "bias") {
        gpu::fill(router_b.data(), 0, router_b.bytes(), stream);
        tokens = {n, as<int>(ids), as<int>(pos), as<int>(slot), nullptr};
        kv.base = as<bf16>(cache.memory);
        kv.page_stride = int64_t(kPagePositions) * kv_dim * 2;
        kv.table = as<int>(table);
        kv.table_stride = kPages;
        int* const at = as<int>(sorted_ints);
        sorted = {at, at + 64, at + 64 + most_tiles, at + 64 + 2 * most_tiles, at + 64 + 3 * most_tiles};
    }
};
static_assert(sizeof(QueryTile) == 2 * sizeof(int), "query_tiles are made of pairs");

class Bench {
  public:
    Bench(const Config& shape, const char* name)
        : s_(shape),
          stream_(gpu::make_stream()),
          roofs_(measure_roofs(0, stream_)),
          w_q_(false, shape.n_attn_heads * shape.head_dim, shape.hidden_dim, 1, stream_),
          w_k_(false, shape.n_kv_heads * shape.head_dim, shape.hidden_dim, 1, stream_),
          w_v_(false, shape.n_kv_heads * shape.head_dim, shape.hidden_dim, 1, stream_),
          w_o_(false, shape.hidden_dim, shape.n_attn_heads * shape.head_dim, 1, stream_),
          w_up_(true, 2 * shape.intermediate_dim, shape.hidden_dim, shape.n_experts, stream_),
          w_down_(true, shape.hidden_dim, shape.intermediate_dim, shape.n_experts, stream_),
          unembed_(false, shape.vocab_size, shape.hidden_dim, 1, stream_) {
        std::printf("%s, %s: copy %.0f GB/s, bf16 matrix peak %.0f TFLOP/s\n", gpu::device_info(0).name.c_str(), name,
                    roofs_.bytes_per_s * 1e-9, roofs_.flop_per_s * 1e-12);
        std::printf("%-12s %6s %10s %8s %9s %7s\n", "kernel", "T", "us", "GB/s", "TFLOP/s", "% roof");
    }

    void run(int n_tok) {
        const Inputs in(s_, n_tok, stream_);
        attention_rows(in);
        expert_rows(in);
        head_rows(in);
    }

  private:
    static float* f(const Random& r) { return as<float>(r.memory); }
    static bf16* b(const Random& r) { return as<bf16>(r.memory); }

    void attention_rows(const Inputs& in) const {
        const Config& s = s_;
        const int n_tok = in.n_tok, heads_dim = in.heads_dim, kv_dim = in.kv_dim;
        const double t = n_tok, d = s.hidden_dim;
        row("rmsnorm", n_tok, t * d * 10 + double(in.n_slots) * d * 4, 0, [&](int) {
            rmsnorm(b(in.h), f(in.x), f(in.gain), f(in.down), f(in.weight), n_tok, s.hidden_dim, s.experts_per_token,
                    1e-5f, stream_);
        });
        row("qkv", n_tok, double(w_q_.bytes + w_k_.bytes + w_v_.bytes) + t * (d + heads_dim + 2 * kv_dim) * 2,
            2 * t * d * (heads_dim + 2 * kv_dim), [&](int r) {
                const QkvWeights w{w_q_[r], w_k_[r], w_v_[r]};
                qkv(b(in.q), in.kv, b(in.h), w, as<float>(in.turns), in.tokens, s.head_dim, stream_);
            });
        row("attention", n_tok, t * (kContext + 1) * kv_dim * 4 + t * heads_dim * 4, 4 * t * (kContext + 1) * heads_dim,
            [&](int) {
                attention(b(in.q), b(in.q), in.kv, as<float>(in.sinks), as<QueryTile>(in.query_tiles), n_tok, 2,
                          in.tokens, s.n_attn_heads, s.n_kv_heads, s.head_dim, in.scratch.data(), stream_);
            });
        row("o", n_tok, double(w_o_.bytes) + t * (heads_dim * 2 + d * 8), 2 * t * d * heads_dim,
            [&](int r) { gemm_residual(f(in.x), b(in.q), w_o_[r], n_tok, stream_); });
    }

    void expert_rows(const Inputs& in) const {
        const Config& s = s_;
        const int n_tok = in.n_tok, n_slots = in.n_slots;
        const int tile_rows = expert_tile_rows(n_slots, s.n_experts);
        const double t = n_tok, d = s.hidden_dim, active = std::min(n_slots, s.n_experts);
        row("router", n_tok, double(s.n_experts) * d * 2 + t * d * 6, 2 * t * d * s.n_experts, [&](int) {
            router(b(in.h), as<int>(in.expert), f(in.weight), f(in.x), f(in.gain), in.router_w.memory.data(), false,
                   as<float>(in.router_b), n_tok, s.hidden_dim, s.n_experts, s.experts_per_token, 1e-5f, stream_);
        });
        row("moe sort", n_tok, 8.0 * n_slots, 0,
            [&](int) { moe_sort(in.sorted, as<int>(in.chosen), n_slots, s.n_experts, tile_rows, stream_); });
        row("moe up", n_tok, active * double(w_up_.bytes) + n_slots * (d + s.intermediate_dim) * 2,
            4.0 * n_slots * d * s.intermediate_dim, [&](int r) {
                moe_up(b(in.act), b(in.h), w_up_[r], in.sorted, n_slots, tile_rows, s.experts_per_token, 7.0f, 1.702f,
                       stream_);
            });
        row("moe down", n_tok, active * double(w_down_.bytes) + n_slots * (d * 4 + s.intermediate_dim * 2),
            2.0 * n_slots * d * s.intermediate_dim,
            [&](int r) { moe_down(f(in.down), b(in.act), w_down_[r], in.sorted, n_slots, tile_rows, stream_); });
    }

    void head_rows(const Inputs& in) const {
        const int n = in.n_rows, v = s_.vocab_size;
        row("lm_head", n, double(unembed_.bytes) + double(n) * v * 4, 2.0 * n * s_.hidden_dim * v,
            [&](int r) { gemm_logits(f(in.logits), b(in.h), unembed_[r], n, stream_); });
        row("sample", n, double(n) * v * 4, 0,
            [&](int) { sample(as<int>(in.token), f(in.logits), as<RowSampling>(in.greedy), n, v, stream_); });
    }

    // bytes, flop: the fewest that the work takes.
    void row(const char* name, int n_tok, double bytes, double flop, const std::function<void(int)>& launch) const {
        const double us = time_us(stream_, launch);
        std::printf("%-12s %6d %10.1f %8.0f %9.1f %6.1f%%\n", name, n_tok, us, bytes / us * 1e-3, flop / us * 1e-6,
                    1e8 * roofs_.seconds(bytes, flop) / us);
    }

    const Config s_;
    const gpu::Stream stream_;
    const Roofs roofs_;
    const Weights w_q_, w_k_, w_v_, w_o_, w_up_, w_down_, unembed_;
};

}  // namespace

int main(int argc, char** argv) {
    if (gpu::device_count() == 0) {
        std::fputs("bench_kernels: no GPU\n", stderr);
        return 2;
    }
    const bool large = argc > 1 && std::strcmp(argv[1], "120b") == 0;
    std::vector<int> sizes;
    for (int a = 2; a < argc; a++) sizes.push_back(std::atoi(argv[a]));
    if (sizes.empty()) sizes = {1, 4, 16, 64, 256, 1024, 4096};
    Bench bench(gpt_oss_config(large), large ? "120b" : "20b");
    for (const int n_tok : sizes) bench.run(n_tok);
}
