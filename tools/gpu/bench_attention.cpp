// bench_attention.cpp: attention at the sizes of gpt-oss, for contexts of any length: time, share of the roof.
//
//   bench_attention [CONTEXT...]      positions at the end of the step, default 512 2048 8192 32768 120000
//
// A prompt's last 2,048 tokens by small tiles and, where the device has wave groups, by theirs; then one token of each
// of 1 and 64 sequences. Keys and values are random bits. Medians of kRounds launches.
#include <cstdio>
#include <cstdlib>

#include "../gpt_oss_config.h"
#include "gpu/roofs.h"
#include "gpu/step_sizes.h"
#include "kernel_bench.h"

namespace {

class Bench {
  public:
    Bench() : stream_(gpu::make_stream()), roofs_(measure_roofs(0, stream_)), s_(gpt_oss_config(false)) {
        std::printf("%s: copy %.0f GB/s, bf16 matrix peak %.0f TFLOP/s\n", gpu::device_info(0).name.c_str(),
                    roofs_.bytes_per_s * 1e-9, roofs_.flop_per_s * 1e-12);
        std::printf("%-24s %8s %7s %10s %8s %9s %7s\n", "queries", "context", "window", "us", "GB/s", "TFLOP/s",
                    "% roof");
    }

    void run(int context) const {
        for (const int window : {0, s_.sliding_window}) {
            prompt(context, window);
            for (const int n_seq : {1, 64}) decode(n_seq, context, window);
        }
    }

  private:
    // The last n_tok tokens of each of n_seq sequences.
    struct Step {
        int n_tok, heads_dim;
        Random q, cache;
        DeviceMemory att, pos, slot, table, sinks, scratch;
        KvLayer kv;
        Tokens tokens;

        Step(const Config& s, int n_seq, int n_tok_of_seq, int context, int window, gpu::Stream stream)
            : n_tok(n_seq * n_tok_of_seq),
              heads_dim(s.n_attn_heads * s.head_dim),
              q(int64_t(n_tok) * heads_dim * 2, stream),
              cache(int64_t(n_seq) * pages(context) * page_elements(s) * 2, stream),
              att(int64_t(n_tok) * heads_dim * 2, "results"),
              pos(on_device(numbers(n_tok, [&](int t) { return context - n_tok_of_seq + t % n_tok_of_seq; }), stream)),
              slot(on_device(numbers(n_tok, [&](int t) { return t / n_tok_of_seq; }), stream)),
              table(on_device(numbers(n_seq * pages(context), [](int page) { return page; }), stream)),
              sinks(on_device(std::vector<float>(size_t(s.n_attn_heads), 0.0f), stream)),
              scratch(attention_scratch_bytes(n_tok, spans_of(context), s.n_kv_heads, s.head_dim), "scratch") {
            kv.base = as<bf16>(cache.memory);
            kv.page_stride = page_elements(s);
            kv.table = as<int>(table);
            kv.table_stride = pages(context);
            kv.window = window;
            tokens = {n_tok, nullptr, as<int>(pos), as<int>(slot), nullptr};
        }
        static int pages(int context) { return (context + kPagePositions - 1) / kPagePositions; }
        static int64_t page_elements(const Config& s) {
            return int64_t(kPagePositions) * s.n_kv_heads * s.head_dim * 2;
        }
    };

    // Tiles of at most n_tok tokens of one sequence's n.
    static std::vector<QueryTile> tiles(int n, int n_tok) {
        std::vector<QueryTile> all;
        for (int t = 0; t < n; t += n_tok) all.push_back({t, std::min(n_tok, n - t)});
        return all;
    }

    void prompt(int context, int window) const {
        const int n_tok = std::min(context, kGpuPrefillChunk);
        const int most = group_tile_tokens(s_.n_attn_heads, s_.n_kv_heads, s_.head_dim);
        const Step in(s_, 1, n_tok, context, window, stream_);
        double keys = 0;
        for (int pos = context - n_tok; pos < context; pos++) keys += window ? std::min(pos + 1, window) : pos + 1;
        const double read = window ? std::min(context, window + n_tok) : context;
        small_tiles("prompt, small tiles", in, tiles(n_tok, 2), context, window, read, keys);
        if (most == 0) return;
        const std::vector<QueryTile> large = tiles(n_tok, most);
        const DeviceMemory on_gpu = on_device(large, stream_);
        row("prompt, wave groups", context, window, read, keys, n_tok, [&](int) {
            attention_of_groups(as<bf16>(in.att), as<bf16>(in.q.memory), in.kv, as<float>(in.sinks),
                                as<QueryTile>(on_gpu), int(large.size()), in.tokens, s_.n_attn_heads, s_.n_kv_heads,
                                stream_);
        });
    }

    void decode(int n_seq, int context, int window) const {
        if (int64_t(n_seq) * context > 8 << 20) return;
        const Step in(s_, n_seq, 1, context, window, stream_);
        const double keys = double(n_seq) * (window ? std::min(context, window) : context);
        small_tiles("decode, " + std::to_string(n_seq), in, tiles(n_seq, 1), context, window, keys, keys);
    }

    void small_tiles(const std::string& name, const Step& in, const std::vector<QueryTile>& of, int context, int window,
                     double read, double keys) const {
        const DeviceMemory on_gpu = on_device(of, stream_);
        const int spans = window ? std::min(spans_of(context), 3) : spans_of(context);
        row(name, context, window, read, keys, in.n_tok, [&](int) {
            attention(as<bf16>(in.att), as<bf16>(in.q.memory), in.kv, as<float>(in.sinks), as<QueryTile>(on_gpu),
                      int(of.size()), spans, in.tokens, s_.n_attn_heads, s_.n_kv_heads, s_.head_dim, in.scratch.data(),
                      stream_);
        });
    }

    // read: keys of all sequences; keys: of all tokens together.
    void row(const std::string& name, int context, int window, double read, double keys, int n_tok,
             const std::function<void(int)>& launch) const {
        const double heads_dim = s_.n_attn_heads * s_.head_dim;
        const double bytes = read * s_.n_kv_heads * s_.head_dim * 4 + n_tok * heads_dim * 4;
        const double flop = 4 * keys * heads_dim, us = time_us(stream_, launch);
        std::printf("%-24s %8d %7d %10.1f %8.0f %9.1f %6.1f%%\n", name.c_str(), context, window, us, bytes / us * 1e-3,
                    flop / us * 1e-6, 1e8 * roofs_.seconds(bytes, flop) / us);
    }

    const gpu::Stream stream_;
    const Roofs roofs_;
    const Config s_;
};

}  // namespace

int main(int argc, char** argv) {
    if (gpu::device_count() == 0) {
        std::fputs("bench_attention: no GPU\n", stderr);
        return 2;
    }
    std::vector<int> contexts;
    for (int a = 1; a < argc; a++) contexts.push_back(std::atoi(argv[a]));
    if (contexts.empty()) contexts = {512, 2048, 8192, 32768, 120000};
    const Bench bench;
    for (const int context : contexts) bench.run(context);
}
