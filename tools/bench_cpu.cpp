// bench_cpu.cpp: the time of each product of a step on this CPU at the sizes of gpt-oss 20b, beside the speed of memory
// and of the instructions that multiply, measured in the same run; or the whole model, if one is named.
//
//   bench_cpu [--cpu-isa WORD] [--precision f32|bf16] [MODEL]
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/random.h"
#include "checkpoint.h"
#include "cpu/attention.h"
#include "cpu/kv_store.h"
#include "cpu/linear.h"
#include "cpu/moe.h"
#include "cpu/threads.h"
#include "cpu_limits.h"
#include "engine.h"
#include "error.h"
#include "gpt_oss_config.h"
#include "profile.h"

namespace {

// Weights of small random numbers.
class RandomMatrix {
  public:
    RandomMatrix(DType dtype, int64_t n_out, int64_t n_in, int n) {
        matrices.first.dtype = dtype;
        matrices.first.n_out = n_out;
        matrices.first.n_in = n_in;
        matrices.n_experts = n;
        const int64_t elements = n * n_out * n_in;
        data_.resize(size_t(dtype == DType::kBF16 ? elements / 2 : elements / 8));
#pragma omp parallel for
        for (int64_t i = 0; i < int64_t(data_.size()); i++) {
            const uint64_t r = mix64(uint64_t(i));  // bf16: 2^-7 to 2^-4, either sign; subnormals would be slow
            data_[size_t(i)] = dtype == DType::kBF16 ? uint32_t(r & 0x80ff80ff) | 0x3c003c00 : uint32_t(r);
        }
        matrices.first.data = data_.data();
        if (dtype == DType::kMXFP4) {
            scales_.assign(size_t(elements / 32), 122);
            matrices.first.scales = scales_.data();
        }
    }
    ExpertMatrices matrices;

  private:
    std::vector<uint32_t> data_;
    std::vector<uint8_t> scales_;
};

class Bench {
  public:
    Bench(const Kernels& kernels, Precision precision)
        : kernels_(kernels),
          products_(precision == Precision::kBF16 ? kernels.packed : nullptr),
          bandwidth_(read_bandwidth()),
          limits_(limits_of(products_)) {
        std::printf("%s, %s, %d threads; reads %.1f GB/s", kernels.name, precision == Precision::kF32 ? "f32" : "bf16",
                    omp_get_max_threads(), bandwidth_ * 1e-9);
        if (limits_.bf16 > 0) std::printf(", products with bf16 weights %.2f TFLOP/s", limits_.bf16 * 1e-12);
        if (limits_.mxfp4 > 0) std::printf(", with MXFP4 weights %.2f TFLOP/s", limits_.mxfp4 * 1e-12);
        std::printf("\n\n%-10s %5s %10s %8s %9s %7s\n", "", "T", "ms", "GB/s", "TFLOP/s", "limit");
    }

    void run(int n_tok) {
        dense("qkv", n_tok, qkv_);
        dense("o", n_tok, o_);
        experts("moe up", n_tok, up_);
        experts("moe down", n_tok, down_);
        if (n_tok <= 64) dense("lm_head", n_tok, head_);
        if (products_ && products_->attend) attend(n_tok);
    }

  private:
    static void fill(F32Rows& x, int64_t n) {
        x.resize(n);
        for (int64_t t = 0; t < n; t++)
            for (int64_t i = 0; i < x.dim(); i++)
                x.row(t)[i] = float(int(mix64(uint64_t(t * x.dim() + i)) % 200) - 100) / 100;
    }

    // `n` matrices of one shape, one after the other, so that a cache does not hold them.
    void dense(const char* name, int n_tok, const RandomMatrix& w) {
        const Matrix& first = w.matrices.first;
        F32Rows x(first.n_in), y(first.n_out);
        fill(x, n_tok);
        const double s = time_s([&](int r) {
            const Matrix m = w.matrices[r % w.matrices.n_experts];
            if (products_) {
                pack(*products_, packed_, x, first.dtype);
                linear(*products_, packed_, {{y, m, Vector{}}});
            } else {
                linear(kernels_, x, {{y, m, Vector{}}});
            }
        });
        row(name, n_tok, s, double(first.bytes()), 2.0 * n_tok * double(first.n_in * first.n_out), limits_.bf16);
    }

    void experts(const char* name, int n_tok, const RandomMatrix& w) {
        const Matrix& first = w.matrices.first;
        constexpr int kChosen = 4;
        F32Rows x(first.n_in), y(first.n_out), gathered(first.n_in);
        fill(x, n_tok);
        int64_t n_active = 0;
        const double s = time_s([&](int r) {
            Routing routing;
            routing.n_experts_per_token = kChosen;
            for (int t = 0; t < n_tok; t++)
                for (int a = 0; a < kChosen; a++) routing.expert.push_back((4 * r + 7 * t + a * 8) % kExperts);
            const ExpertGroups groups = group_by_expert(routing, kExperts);
            n_active = groups.n_active;
            ExpertMatrices layer = w.matrices;
            layer.first = w.matrices[kExperts * (r % kLayers)];
            layer.n_experts = kExperts;
            if (products_) {
                gather(*products_, packed_, x, groups, kChosen, first.dtype);
                if (&w == &up_)  // SwiGLU included
                    expert_up(*products_, packed_act_, packed_, layer, {}, config_, first.dtype);
                else
                    expert_linear(*products_, y, packed_, layer, {});
            } else {
                gather(kernels_, gathered, x, groups, kChosen, first.dtype);
                expert_linear(kernels_, y, gathered, groups, layer, {});
            }
        });
        row(name, n_tok, s, double(n_active * first.bytes()), 2.0 * kChosen * n_tok * double(first.n_in * first.n_out),
            limits_.mxfp4);
    }

    // A prompt's n_tok tokens in a full layer.
    void attend(int n_tok) {
        Config config = gpt_oss_config(false);
        config.n_layers = 2;
        config.layer_kind.resize(2);
        Capacity capacity;
        capacity.n_pages = pages_for(n_tok);
        const KvStore store(config, capacity, Precision::kBF16, true);
        PageTable pages;
        for (int i = 0; i < capacity.n_pages; i++) pages.full.push_back(i);
        pages.sliding = pages.full;
        Batch batch;
        batch.seqs.push_back({0, &pages});
        F32Rows q(config.n_attn_heads * config.head_dim), out(q.dim()), k(config.n_kv_heads * config.head_dim);
        fill(q, n_tok);
        fill(k, n_tok);
        for (int t = 0; t < n_tok; t++) {
            batch.tokens.push_back({0, t, 0});
            store.write(1, KvStore::kKey, pages, t, k.row(t));
            store.write(1, KvStore::kValue, pages, t, k.row(t));
        }
        int64_t bytes = 0;
        const double s = time_s([&](int) {
            bytes = 0;
            attention(*products_, out, q, batch, store, config, 1, nullptr, &bytes);
        });
        row("attention", n_tok, s, double(n_tok) * double(k.dim()) * 4, 2.0 * n_tok * (n_tok + 1) * double(q.dim()),
            limits_.bf16);
    }

    // bytes, flop: the fewest that the work takes.
    void row(const char* name, int n_tok, double s, double bytes, double flop, double peak) const {
        const double least = std::max(bytes / bandwidth_, peak > 0 ? flop / peak : 0);
        std::printf("%-10s %5d %10.3f %8.1f %9.3f %6.1f%%\n", name, n_tok, s * 1e3, bytes / s * 1e-9, flop / s * 1e-12,
                    100 * least / s);
    }

    const Kernels& kernels_;
    const PackedKernels* const products_;
    const double bandwidth_;
    const Limits limits_;
    const Config config_ = gpt_oss_config(false);
    PackedRows packed_, packed_act_;
    // More than any cache holds: 260 MB here, which is what eight of qkv and one layer's experts are.
    static constexpr int kExperts = 32, kLayers = 3;
    const RandomMatrix qkv_{DType::kBF16, 5120, 2880, 24}, o_{DType::kBF16, 2880, 4096, 24};
    const RandomMatrix up_{DType::kMXFP4, 5760, 2880, kExperts* kLayers};
    const RandomMatrix down_{DType::kMXFP4, 2880, 2880, kExperts* kLayers};
    const RandomMatrix head_{DType::kBF16, 201088, 2880, 1};
};

class TimedJob : public Job {
  public:
    TimedJob(int seed, int n_prompt, int n_new, int vocab_size) {
        for (int i = 0; i < n_prompt; i++)
            prompt.push_back(int(mix64(uint64_t(seed) << 32 | uint64_t(i)) % uint64_t(vocab_size)));
        max_new_tokens = n_new;
    }
    void on_done(Finish) override {}
    void on_error(const std::string& why) override { fail("{}", why); }
};

constexpr int kInFlight = 64;

void bench_model(const std::string& path, const EngineOptions& options) {
    const Model model = open_model(path);
    for (const Model::Mapping& file : model.mappings)  // before the engine's threads share the cores with ours
        std::printf("%s: %.1f GB where they lie in memory, reads %.1f GB/s\n", path.c_str(),
                    double(file.n_bytes) * 1e-9, read_bandwidth(file.data, file.n_bytes) * 1e-9);
    Engine engine(model, options);
    const auto run = [&](int n, int n_prompt, int n_new) {
        const EngineStats before = engine.stats();
        int left = n;
        engine.run([&]() -> std::unique_ptr<Job> {
            if (left == 0) return nullptr;
            return std::make_unique<TimedJob>(--left, n_prompt, n_new, model.common().vocab_size);
        });
        const EngineStats after = engine.stats();
        const double prefill = after.prefill_s - before.prefill_s, decode = after.decode_s - before.decode_s;
        std::printf("%3d x %4d in, %3d out: prefill %8.2f tok/s", n, n_prompt, n_new, n * n_prompt / prefill);
        if (after.decode_steps > before.decode_steps)
            std::printf(", decode %8.2f tok/s, %5.1f GB/s", double(n * (n_new - 1)) / decode,
                        double(after.decode_bytes - before.decode_bytes) / decode * 1e-9);
        std::printf("\n");
    };
    std::printf("%s\n", engine.describe().c_str());
    run(1, 16, 2);
    for (int i = 0; i < 3; i++) run(1, 512, 1);
    print_profile(engine.stats());
    for (int i = 0; i < 3; i++) run(1, 16, 33);
    run(kInFlight, 32, 17);
}

}  // namespace

int main(int argc, char** argv) try {
    pin_threads();
    EngineOptions options;
    std::string model;
    for (int a = 1; a < argc; a++) {
        const std::string arg = argv[a], value = a + 1 < argc ? argv[a + 1] : "";
        if (arg == "--cpu-isa") {
            options.cpu_isa = value;
            a++;
        } else if (arg == "--precision") {
            if (value != "f32" && value != "bf16") fail("--precision: expected f32 or bf16, found \"{}\"", value);
            options.precision = value == "f32" ? Precision::kF32 : Precision::kBF16;
            a++;
        } else {
            model = arg;
        }
    }
    options.max_sequences = kInFlight;
    options.max_request_positions = 1024;
    if (model.empty()) {
        const Kernels& kernels = kernels_for(options.cpu_isa);
        Bench bench(kernels, options.precision.value_or(kernels.packed ? Precision::kBF16 : Precision::kF32));
        for (const int n_tok : {1, 4, 16, 64, 256, 512}) bench.run(n_tok);
    } else {
        bench_model(model, options);
    }
    return 0;
} catch (const Error& e) {
    std::fprintf(stderr, "bench_cpu: %s\n", e.what());
    return 2;
}
