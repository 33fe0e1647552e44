// cpu_replica.cpp: one step of gpt-oss for a flat batch of tokens, as a list of operations; reference.cpp explains the
// model itself. Only attention needs to know which sequence a token belongs to.
#include "cpu/cpu_replica.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/cpu_step.h"
#include "cpu/gpt2_replica.h"
#include "cpu/moe.h"
#include "cpu/reference.h"

namespace {

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
        constexpr int kSums = 8;  // summed in parallel; zeros fill a row up to a multiple of kBlock
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

// The packed products; null if this CPU has none or a matrix needs more than bf16.
const PackedKernels* packed_products(const Kernels& kernels, const Model& model) {
    if (exceeds_bf16(model.gpt_oss().weights.unembed)) return nullptr;
    for (const LayerWeights& w : model.gpt_oss().weights.layers)
        for (const Matrix* m : {&w.w_q, &w.w_k, &w.w_v, &w.w_o, &w.w_up.first, &w.w_down.first})
            if (exceeds_bf16(*m)) return nullptr;
    return kernels.packed;
}

Precision default_precision(const Kernels& kernels, const Model& model) {
    return packed_products(kernels, model) ? Precision::kBF16 : Precision::kF32;
}

class CpuReplica : public CpuStep {
  public:
    CpuReplica(const Model& model, const EngineOptions& options, const Kernels& kernels, Precision precision)
        : CpuStep(model.gpt_oss().config, model.gpt_oss().config.hidden_dim, options, kernels,
                  packed_products(kernels, model), precision, model.weight_bytes, {kOpName, kOpName + kOps}),
          config_(model.gpt_oss().config),
          weights_(model.gpt_oss().weights),
          inv_freq_(rope_inv_freq(config_)),
          cos_(config_.head_dim / 2),
          sin_(config_.head_dim / 2),
          router_(config_.n_experts),
          expert_in_(config_.hidden_dim),
          up_(2 * int64_t(config_.intermediate_dim)),
          act_(config_.intermediate_dim),
          down_(config_.hidden_dim) {}

  private:
    void step(const Batch& batch) override {
        embed(batch);
        run(kRope, 0, [&] { turn(batch); });
        for (int l = 0; l < config_.n_layers; l++) {
            if (batch.unwanted && batch.unwanted()) return;
            attention_block(batch, l);
            expert_block(weights_.layers[size_t(l)]);
        }
        finish_rows(batch, weights_.unembed, {kLmHead, kSample},
                    [&](F32Rows& h, const F32Rows& x) { rmsnorm(h, x, weights_.g_final, config_.norm_eps); });
    }

    void embed(const Batch& batch) {
        const Matrix& w = weights_.embed;
        const auto n = int64_t(batch.tokens.size());
        run(kEmbed, w.bytes() / w.n_out * n, [&] {
            x_.resize(n);
            for (int64_t t = 0; t < n; t++) w.row(batch.tokens[size_t(t)].id, x_.row(t));
        });
    }

    void attention_block(const Batch& batch, int l) {
        const LayerWeights& w = weights_.layers[size_t(l)];
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
        attend(batch, l, &w.sinks, kAttention);
        run(kOut, w.w_o.bytes(), [&] {
            multiply(att_, {{y_, w.w_o, w.b_o}});
            add(x_, y_);
        });
    }

    // Computes cos and sin of every token's position, which all layers share.
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
        begin_pages(batch, l);
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
        run(kRouter, w.w_router.bytes(), [&] {  // not rounded: a last bit can decide which expert is chosen
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

    const Config& config_;
    const Weights& weights_;
    const std::vector<float> inv_freq_;    // (P/2)
    F32Rows cos_, sin_;                    // (T, P/2)
    F32Rows router_;                       // (T, E)
    F32Rows expert_in_, up_, act_, down_;  // (T·A, D), (T·A, 2F), (T·A, F), (T·A, D), in order of expert
    PackedRows packed_act_;                // act_ for the packed products, if there are any
};

}  // namespace

std::unique_ptr<Replica> make_cpu_replica(const Model& model, const EngineOptions& options) {
    if (options.reference) {
        const int context = model.common().max_context;
        const int positions = options.max_request_positions > 0 ? options.max_request_positions : context;
        return make_reference(model, options.max_sequences, positions);
    }
    const Kernels& kernels = kernels_for(options.cpu_isa);
    if (model.is_gpt2()) return make_gpt2_replica(model, options, kernels);
    return std::make_unique<CpuReplica>(model, options, kernels,
                                        options.precision.value_or(default_precision(kernels, model)));
}
