// cpu_replica.cpp: one step of the model for a flat batch of tokens, as a list of operations; see reference.cpp for the
// model itself. Only attention looks at which sequence a token belongs to.
#include "cpu/cpu_replica.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "cpu/attention.h"
#include "cpu/kv_store.h"
#include "cpu/linear.h"
#include "cpu/moe.h"
#include "cpu/reference.h"
#include "cpu/threads.h"
#include "error.h"
#include "sampler.h"

namespace {

// Tokens a step: enough for each of 32 experts to get 64 of them (128 where weights are decoded once for so many), so
// that arithmetic limits a prompt's products and not reading weights; few enough that activations stay below 200 MB.
constexpr int kMaxBatchTokens = 512, kMaxPackedBatchTokens = 1024;
constexpr int kPrefillChunk = 512;
// Rows of logits computed at once, with one reading of lm_head: 64 × 201088 floats are 51 MB.
constexpr int64_t kLogitRows = 64;

enum Op {
    kEmbed,
    kNorm,
    kQkv,
    kRope,
    kAttention,
    kOut,
    kRouter,
    kMoeUp,
    kSwiglu,
    kMoeDown,
    kCombine,
    kLmHead,
    kSample,
    kOps
};
const char* const kOpName[kOps] = {"embed",  "rmsnorm", "qkv",      "rope + kv write", "attention", "o",     "router",
                                   "moe up", "swiglu",  "moe down", "combine",         "lm_head",   "sample"};

void rmsnorm(F32Rows& out, const F32Rows& x, const Vector& g, float eps) {
    out.resize(x.n());
    std::vector<float> gain(size_t(x.dim()));
    for (size_t i = 0; i < gain.size(); i++) gain[i] = g[int64_t(i)];
#pragma omp parallel for
    for (int64_t t = 0; t < x.n(); t++) {
        const float* in = x.row(t);
        float* to = out.row(t);
        constexpr int kSums = 8;  // in parallel; rows end with zeros up to a multiple of kBlock
        double squares[kSums] = {};
        for (int64_t i = 0; i < x.stride(); i += kSums)
#pragma omp simd
            for (int j = 0; j < kSums; j++) squares[j] += double(in[i + j]) * in[i + j];
        double sum = 0;
        for (const double s : squares) sum += s;
        const float scale = float(1.0 / std::sqrt(sum / double(x.dim()) + eps));
#pragma omp simd
        for (int64_t i = 0; i < x.dim(); i++) to[i] = in[i] * scale * gain[size_t(i)];
    }
}

void add(F32Rows& x, const F32Rows& y) {
#pragma omp parallel for
    for (int64_t t = 0; t < x.n(); t++) {
        float* to = x.row(t);
        const float* from = y.row(t);
#pragma omp simd
        for (int64_t i = 0; i < x.dim(); i++) to[i] += from[i];
    }
}

// The packed products, if this CPU has some and no matrix is f32 (as in legacy files) or f16, whose fractions are
// longer than bf16's.
const PackedKernels* packed_products(const Kernels& kernels, const Model& model) {
    const auto is_float = [](const Matrix& m) { return m.dtype == DType::kF32 || m.dtype == DType::kF16; };
    if (is_float(model.weights.unembed)) return nullptr;
    for (const LayerWeights& w : model.weights.layers)
        for (const Matrix* m : {&w.w_q, &w.w_k, &w.w_v, &w.w_o, &w.w_up.first, &w.w_down.first})
            if (is_float(*m)) return nullptr;
    return kernels.packed;
}

Precision default_precision(const Kernels& kernels, const Model& model) {
    return packed_products(kernels, model) ? Precision::kBF16 : Precision::kF32;
}

class CpuReplica : public Replica {
  public:
    CpuReplica(const Model& model, const EngineOptions& options, const Kernels& kernels, Precision precision)
        : model_(model),
          config_(model.config),
          kernels_(kernels),
          products_(precision == Precision::kBF16 ? packed_products(kernels, model) : nullptr),
          tiled_attention_(products_ && products_->attend),
          bf16_(precision == Precision::kBF16),
          capacity_(plan_capacity(
              config_, options, kv_memory_bytes(options, model.weight_bytes), kv_element_bytes(precision),
              std::max(products_ ? kMaxPackedBatchTokens : kMaxBatchTokens, options.max_sequences + kPrefillChunk),
              kPrefillChunk)),
          store_(config_, capacity_, precision, tiled_attention_),
          inv_freq_(rope_inv_freq(config_)),
          cos_(config_.head_dim / 2),
          sin_(config_.head_dim / 2),
          x_(config_.hidden_dim),
          h_(config_.hidden_dim),
          q_(int64_t(config_.n_attn_heads) * config_.head_dim),
          k_(int64_t(config_.n_kv_heads) * config_.head_dim),
          v_(k_.dim()),
          att_(q_.dim()),
          y_(config_.hidden_dim),
          router_(config_.n_experts),
          expert_in_(config_.hidden_dim),
          up_(2 * int64_t(config_.intermediate_dim)),
          act_(config_.intermediate_dim),
          down_(config_.hidden_dim),
          logits_(config_.vocab_size) {
        for (int i = 0; i < kOps; i++) ops_[size_t(i)].name = kOpName[i];
    }

    const Capacity& capacity() const override { return capacity_; }

    std::vector<EngineStats::Op> ops() const override { return ops_; }

    std::string describe() const override {
        return fmt::format("CPU, {} threads, {}, {}, up to {:.1f} MB of KV cache for {} sequences",
                           omp_get_max_threads(), kernels_.name, bf16_ ? "bf16" : "f32", double(store_.bytes()) * 1e-6,
                           capacity_.max_sequences);
    }

    void submit(const Batch& batch) override { batch_ = &batch; }

    void collect(StepResult& result) override {
        const int64_t bytes_before = bytes_read();
        result.sampled.assign(batch_->rows.size(), -1);
        step(*batch_, result.sampled);
        result.bytes = bytes_read() - bytes_before;
    }

  private:
    void step(const Batch& batch, std::vector<int>& sampled) {
        pin_threads();
        embed(batch);
        run(kRope, 0, [&] { turn(batch); });
        for (int l = 0; l < config_.n_layers; l++) {
            if (batch.unwanted && batch.unwanted()) return;
            attention_block(batch, l);
            expert_block(model_.weights.layers[size_t(l)]);
        }
        finish_rows(batch, sampled);
    }

    int64_t bytes_read() const {  // weights and KV cache, all steps so far
        int64_t sum = 0;
        for (const EngineStats::Op& op : ops_) sum += op.bytes;
        return sum;
    }

    // Runs and times one operation, which reads `bytes` of weights.
    template <class F>
    void run(Op op, int64_t bytes, F&& work) {
        const auto start = std::chrono::steady_clock::now();
        work();
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        ops_[op].seconds += took.count();
        ops_[op].bytes += bytes;
    }

    void round(F32Rows& x) const {
#pragma omp parallel for
        for (int64_t t = 0; t < x.n(); t++)
            for (int64_t i = 0; i < x.dim(); i++) x.row(t)[i] = to_f32(to_bf16(x.row(t)[i]));
    }

    // Makes x the input of the next products: in bf16 mode it is rounded here.
    void enter(F32Rows& x) {
        if (products_)
            pack(*products_, packed_, x, DType::kBF16);  // only experts have others
        else if (bf16_)
            round(x);
    }

    // Products of x, which entered last.
    void multiply(const F32Rows& x, Products products) {
        if (products_)
            linear(*products_, packed_, products);
        else
            linear(kernels_, x, products);
    }

    void embed(const Batch& batch) {
        const Matrix& w = model_.weights.embed;
        const auto n = int64_t(batch.tokens.size());
        run(kEmbed, w.bytes() / w.n_out * n, [&] {
            x_.resize(n);
            for (int64_t t = 0; t < n; t++) w.row(batch.tokens[size_t(t)].id, x_.row(t));
        });
    }

    void attention_block(const Batch& batch, int l) {
        const LayerWeights& w = model_.weights.layers[size_t(l)];
        run(kNorm, 0, [&] {
            rmsnorm(h_, x_, w.g_attn, config_.norm_eps);
            enter(h_);
        });
        run(kQkv, w.w_q.bytes() + w.w_k.bytes() + w.w_v.bytes(), [&] {
            multiply(h_, {{q_, w.w_q, w.b_q}, {k_, w.w_k, w.b_k}, {v_, w.w_v, w.b_v}});
        });
        run(kRope, 0, [&] {
            rotate_and_store(batch, l);
            if (bf16_ && !tiled_attention_) round(q_);
        });
        int64_t kv_bytes = 0;
        run(kAttention, 0, [&] {
            if (tiled_attention_)
                attention(*products_, att_, q_, batch, store_, config_, l, w.sinks, &kv_bytes);
            else
                attention(kernels_, att_, q_, batch, store_, config_, l, w.sinks, &kv_bytes);
            enter(att_);
        });
        ops_[kAttention].bytes += kv_bytes;
        run(kOut, w.w_o.bytes(), [&] {
            multiply(att_, {{y_, w.w_o, w.b_o}});
            add(x_, y_);
        });
    }

    // cos and sin of every token's position: the same for all layers.
    void turn(const Batch& batch) {
        const auto n = int64_t(batch.tokens.size());
        cos_.resize(n);
        sin_.resize(n);
#pragma omp parallel for
        for (int64_t t = 0; t < n; t++)
            rope_cos_sin(config_, inv_freq_, batch.tokens[size_t(t)].pos, cos_.row(t), sin_.row(t));
    }

    // Rotates q and k in place, and writes k and v into the cache.
    void rotate_and_store(const Batch& batch, int l) {
        const int64_t half = config_.head_dim / 2;
        for (const Batch::Token& token : batch.tokens)
            if (token.pos % kPagePositions == 0) store_.begin_page(l, *batch.seqs[size_t(token.seq)].pages, token.pos);
#pragma omp parallel for
        for (int64_t t = 0; t < q_.n(); t++) {
            const Batch::Token& token = batch.tokens[size_t(t)];
            const float *cos = cos_.row(t), *sin = sin_.row(t);
            const auto rotate = [&](F32Rows& x) {
                for (float* head = x.row(t); head < x.row(t) + x.dim(); head += 2 * half)
#pragma omp simd
                    for (int64_t i = 0; i < half; i++) {
                        const float a = head[i], b = head[half + i];
                        head[i] = a * cos[i] - b * sin[i];
                        head[half + i] = b * cos[i] + a * sin[i];
                    }
            };
            rotate(q_);
            rotate(k_);
            const PageTable& pages = *batch.seqs[size_t(token.seq)].pages;
            store_.write(l, KvStore::kKey, pages, token.pos, k_.row(t));
            store_.write(l, KvStore::kValue, pages, token.pos, v_.row(t));
        }
    }

    void expert_block(const LayerWeights& w) {
        run(kNorm, 0, [&] { rmsnorm(h_, x_, w.g_mlp, config_.norm_eps); });
        Routing routing;
        ExpertGroups groups;
        run(kRouter, w.w_router.bytes(), [&] {  // never rounded: near-ties decide experts
            linear(kernels_, h_, {{router_, w.w_router, w.b_router}});
            routing = route(router_, config_.experts_per_token);
            groups = group_by_expert(routing, config_.n_experts);
        });
        const DType up_type = w.w_up.first.dtype, down_type = w.w_down.first.dtype;
        run(kMoeUp, groups.n_active * w.w_up.first.bytes(), [&] {
            if (products_) {
                gather(*products_, packed_, h_, groups, config_.experts_per_token, up_type);
                expert_up(*products_, packed_act_, packed_, w.w_up, w.b_up, config_, down_type);
            } else {
                if (bf16_) round(h_);
                gather(kernels_, expert_in_, h_, groups, config_.experts_per_token, up_type);
                expert_linear(kernels_, up_, expert_in_, groups, w.w_up, w.b_up);
            }
        });
        if (!products_) run(kSwiglu, 0, [&] { swiglu(kernels_, act_, up_, config_, bf16_, down_type); });
        run(kMoeDown, groups.n_active * w.w_down.first.bytes(), [&] {
            if (products_)
                expert_linear(*products_, down_, packed_act_, w.w_down, w.b_down);
            else
                expert_linear(kernels_, down_, act_, groups, w.w_down, w.b_down);
        });
        run(kCombine, 0, [&] { combine(x_, down_, routing, groups); });
    }

    // Logits of the rows that want them, some at a time; samples, and hands logits out.
    void finish_rows(const Batch& batch, std::vector<int>& sampled) {
        const auto n_rows = int64_t(batch.rows.size());
        const Matrix& w = model_.weights.unembed;
        for (int64_t r0 = 0; r0 < n_rows; r0 += kLogitRows) {
            const int64_t n = std::min(kLogitRows, n_rows - r0);
            run(kLmHead, w.bytes(), [&] {
                y_.resize(n);
                for (int64_t i = 0; i < n; i++) {
                    const float* x = x_.row(batch.rows[size_t(r0 + i)].token);
                    std::copy(x, x + x_.dim(), y_.row(i));
                }
                rmsnorm(h_, y_, model_.weights.g_final, config_.norm_eps);
                enter(h_);
                multiply(h_, {{logits_, w, Vector{}}});
            });
            run(kSample, 0, [&] {
#pragma omp parallel for
                for (int64_t i = 0; i < n; i++) {
                    const Batch::Row& row = batch.rows[size_t(r0 + i)];
                    if (!row.sample) continue;
                    const auto pos = uint64_t(batch.tokens[size_t(row.token)].pos);
                    sampled[size_t(r0 + i)] = sample_token(logits_.row(i), config_.vocab_size, row.sampling, pos);
                }
                for (int64_t i = 0; i < n; i++)
                    if (batch.rows[size_t(r0 + i)].want_logits) batch.on_logits(int(r0 + i), logits_.row(i));
            });
        }
    }

    const Model& model_;
    const Config& config_;
    const Kernels& kernels_;
    const PackedKernels* const products_;  // null: f32 mode, or a CPU without such instructions
    const bool tiled_attention_;
    const bool bf16_;
    const Capacity capacity_;
    const KvStore store_;
    const Batch* batch_ = nullptr;
    const std::vector<float> inv_freq_;    // (P/2)
    F32Rows cos_, sin_;                    // (T, P/2)
    F32Rows x_;                            // (T, D) residual stream
    F32Rows h_;                            // (T, D) normed
    F32Rows q_, k_, v_, att_;              // (T, H·P), (T, G·P), (T, G·P), (T, H·P)
    F32Rows y_;                            // (T, D)
    F32Rows router_;                       // (T, E)
    F32Rows expert_in_, up_, act_, down_;  // (T·A, D), (T·A, 2F), (T·A, F), (T·A, D), in order of expert
    F32Rows logits_;                       // (rows, V)
    PackedRows packed_, packed_act_;       // what enters the next products, and the experts' second ones, if products_
    std::vector<EngineStats::Op> ops_{kOps};
};

}  // namespace

std::unique_ptr<Replica> make_cpu_replica(const Model& model, const EngineOptions& options) {
    if (options.reference) {
        const int positions =
            options.max_request_positions > 0 ? options.max_request_positions : model.config.max_context;
        return std::make_unique<Reference>(model, options.max_sequences, positions);
    }
    const Kernels& kernels = kernels_for(options.cpu_isa);
    return std::make_unique<CpuReplica>(model, options, kernels,
                                        options.precision.value_or(default_precision(kernels, model)));
}
