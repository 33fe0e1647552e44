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
#include "gpu/device_memory.h"
#include "gpu/roofs.h"
#include "gpu/tune.h"
#include "kernels/kernels.h"

namespace {

constexpr int kRounds = 20;
constexpr int64_t kColdBytes = int64_t(400) << 20;  // more than any cache holds

double time_us(gpu::Stream stream, const std::function<void(int)>& launch) {
    const gpu::Event begin = gpu::make_event(), end = gpu::make_event();
    std::vector<double> times;
    for (int round = -3; round < kRounds; round++) {
        gpu::record(begin, stream);
        launch(round + 3);
        gpu::record(end, stream);
        gpu::synchronize(stream);
        if (round >= 0) times.push_back(1e3 * double(gpu::elapsed_ms(begin, end)));
    }
    gpu::destroy_event(begin);
    gpu::destroy_event(end);
    std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
    return times[kRounds / 2];
}

// Device memory with harmless random bits: as bf16 small numbers, as codes anything.
struct Random {
    DeviceMemory memory;
    Random(int64_t bytes, gpu::Stream stream) : memory(bytes, "benchmark's data") {
        constexpr int64_t kChunk = int64_t(64) << 20;
        std::vector<uint16_t> chunk(static_cast<size_t>(std::min(bytes, kChunk) / 2 + 1));
        uint64_t state = 88172645463325252u;
        for (uint16_t& v : chunk) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            v = uint16_t((state & 0x80ff) | 0x3c00);  // ± 2^-7 to 2^-5
        }
        for (int64_t at = 0; at < bytes; at += kChunk)
            gpu::copy_to_device(memory.data() + at, chunk.data(), std::min(kChunk, bytes - at), stream);
        gpu::synchronize(stream);
    }
};

// Copies of one packed matrix, to be taken in turn.
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
        const Config& s = s_;
        const int n_slots = n_tok * s.experts_per_token, heads_dim = s.n_attn_heads * s.head_dim;
        const int kv_dim = s.n_kv_heads * s.head_dim,
                  tile_rows = expert_tile_rows(n_slots, s.n_experts, gpu::device_info(0).wave_groups);
        const int padded = round_up(s.hidden_dim, 64), n_rows = std::min(n_tok, kLogitRowsAtOnce);
        Random x(int64_t(n_tok) * s.hidden_dim * 4, stream_), h(int64_t(n_tok) * padded * 2, stream_);
        Random q(int64_t(n_tok) * heads_dim * 2, stream_),
            act(int64_t(n_slots) * round_up(s.intermediate_dim, 64) * 2, stream_);
        Random down(int64_t(n_slots) * s.hidden_dim * 4, stream_), weight(int64_t(n_slots) * 4, stream_);
        Random gain(s.hidden_dim * 4, stream_), router_w(int64_t(s.n_experts) * s.hidden_dim * 2, stream_);
        Random logits(int64_t(n_rows) * s.vocab_size * 4, stream_);
        const auto f = [](const Random& r) { return reinterpret_cast<float*>(r.memory.data()); };
        const auto b = [](const Random& r) { return reinterpret_cast<bf16*>(r.memory.data()); };

        // Every token is a sequence of its own at position kContext.
        constexpr int kContext = 255, kPages = (kContext + 1) / kKvPagePositions;
        std::vector<int> ids(size_t(n_tok), 1), pos(size_t(n_tok), kContext), slot(static_cast<size_t>(n_tok));
        std::vector<int> table(size_t(n_tok) * kPages), chosen(static_cast<size_t>(n_slots));
        std::vector<QueryTile> query_tiles(static_cast<size_t>(n_tok));
        for (int t = 0; t < n_tok; t++) {
            slot[size_t(t)] = t;
            query_tiles[size_t(t)] = {t, 1};
            for (int p = 0; p < kPages; p++) table[size_t(t) * kPages + size_t(p)] = t * kPages + p;
            // Different experts for neighbours, as evenly as a trained router spreads them at best.
            for (int a = 0; a < s.experts_per_token; a++)
                chosen[size_t(t * s.experts_per_token + a)] =
                    (t * 7 + a * (s.n_experts / s.experts_per_token)) % s.n_experts;
            std::sort(chosen.begin() + t * s.experts_per_token, chosen.begin() + (t + 1) * s.experts_per_token);
        }
        const auto send = [&](const void* data, size_t bytes) {
            DeviceMemory m{int64_t(bytes), "benchmark's data"};
            gpu::copy_to_device(m.data(), data, int64_t(bytes), stream_);
            gpu::synchronize(stream_);
            return m;
        };
        const DeviceMemory d_ids = send(ids.data(), ids.size() * 4), d_pos = send(pos.data(), pos.size() * 4);
        const DeviceMemory d_slot = send(slot.data(), slot.size() * 4), d_table = send(table.data(), table.size() * 4);
        const DeviceMemory d_tiles = send(query_tiles.data(), query_tiles.size() * sizeof(QueryTile));
        const DeviceMemory d_chosen = send(chosen.data(), chosen.size() * 4);
        const auto i = [](const DeviceMemory& m) { return reinterpret_cast<int*>(m.data()); };
        Tokens tokens{n_tok, i(d_ids), i(d_pos), i(d_slot)};
        KvLayer kv;
        kv.page_stride = int64_t(kKvPagePositions) * kv_dim * 2;
        Random cache(int64_t(n_tok) * kPages * kv.page_stride * 2, stream_);
        kv.base = b(cache);
        kv.table = i(d_table);
        kv.table_stride = kPages;
        const DeviceMemory scratch(attention_scratch_bytes(n_tok, 2, s.n_kv_heads, s.head_dim), "scratch");
        const std::vector<float> turns(size_t((kContext + 1) * s.head_dim), 0.5f), sinks(size_t(s.n_attn_heads), 0.0f);
        const DeviceMemory d_turns = send(turns.data(), turns.size() * 4),
                           d_sinks = send(sinks.data(), sinks.size() * 4);
        const DeviceMemory sorted_ints(4 * int64_t(4 * (n_slots + s.n_experts) + n_slots + 64), "tiles");
        int* at = i(sorted_ints);
        const int most = n_slots + s.n_experts;
        const ExpertTiles sorted{at, at + 64, at + 64 + most, at + 64 + 2 * most, at + 64 + 3 * most};
        const std::vector<RowSampling> greedy(static_cast<size_t>(n_rows));  // all in one place
        const DeviceMemory d_greedy = send(greedy.data(), greedy.size() * sizeof(RowSampling));
        const DeviceMemory token(4 * n_rows, "tokens"), d_expert(4 * n_slots, "experts"),
            router_b(4 * s.n_experts, "bias");
        gpu::fill(router_b.data(), 0, router_b.bytes(), stream_);

        const double t = n_tok, d = s.hidden_dim, active = std::min(n_slots, s.n_experts);
        row("rmsnorm", n_tok, t * d * 10 + double(n_slots) * d * 4, 0, [&](int) {
            rmsnorm(b(h), f(x), f(gain), f(down), f(weight), n_tok, s.hidden_dim, s.experts_per_token, 1e-5f, stream_);
        });
        row("qkv", n_tok, double(w_q_.bytes + w_k_.bytes + w_v_.bytes) + t * (d + heads_dim + 2 * kv_dim) * 2,
            2 * t * d * (heads_dim + 2 * kv_dim), [&](int r) {
                const QkvWeights w{w_q_[r], w_k_[r], w_v_[r]};
                qkv(b(q), kv, b(h), w, f_of(d_turns), tokens, s.head_dim, stream_);
            });
        row("attention", n_tok, t * (kContext + 1) * kv_dim * 4 + t * heads_dim * 4, 4 * t * (kContext + 1) * heads_dim,
            [&](int) {
                attention(b(q), b(q), kv, f_of(d_sinks), reinterpret_cast<const QueryTile*>(d_tiles.data()), n_tok, 2,
                          tokens, s.n_attn_heads, s.n_kv_heads, s.head_dim, scratch.data(), stream_);
            });
        row("o", n_tok, double(w_o_.bytes) + t * (heads_dim * 2 + d * 8), 2 * t * d * heads_dim,
            [&](int r) { gemm_residual(f(x), b(q), w_o_[r], n_tok, stream_); });
        row("router", n_tok, double(s.n_experts) * d * 2 + t * d * 6, 2 * t * d * s.n_experts, [&](int) {
            router(b(h), i(d_expert), f(weight), f(x), f(gain), router_w.memory.data(), false, f_of(router_b), n_tok,
                   s.hidden_dim, s.n_experts, s.experts_per_token, 1e-5f, stream_);
        });
        row("moe sort", n_tok, 8.0 * n_slots, 0,
            [&](int) { moe_sort(sorted, i(d_chosen), n_slots, s.n_experts, tile_rows, stream_); });
        row("moe up", n_tok, active * double(w_up_.bytes) + n_slots * (d + s.intermediate_dim) * 2,
            4.0 * n_slots * d * s.intermediate_dim, [&](int r) {
                moe_up(b(act), b(h), w_up_[r], sorted, n_slots, tile_rows, s.experts_per_token, 7.0f, 1.702f, stream_);
            });
        row("moe down", n_tok, active * double(w_down_.bytes) + n_slots * (d * 4 + s.intermediate_dim * 2),
            2.0 * n_slots * d * s.intermediate_dim,
            [&](int r) { moe_down(f(down), b(act), w_down_[r], sorted, n_slots, tile_rows, stream_); });
        row("lm_head", n_rows, double(unembed_.bytes) + double(n_rows) * s.vocab_size * 4,
            2.0 * n_rows * d * s.vocab_size,
            [&](int r) { gemm_logits(f(logits), b(h), unembed_[r], n_rows, stream_); });
        row("sample", n_rows, double(n_rows) * s.vocab_size * 4, 0, [&](int) {
            sample(i(token), f(logits), reinterpret_cast<const RowSampling*>(d_greedy.data()), n_rows, s.vocab_size,
                   stream_);
        });
    }

  private:
    static const float* f_of(const DeviceMemory& m) { return reinterpret_cast<const float*>(m.data()); }

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
