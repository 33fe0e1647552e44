// gpt2_replica.cpp: one step of GPT-2 for a flat batch of tokens; gpt2_reference.cpp explains the model itself.
#include "cpu/gpt2_replica.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/cpu_step.h"

namespace {

enum Op { kEmbed, kNorm, kQkv, kKvWrite, kAttention, kOut, kUp, kGelu, kDown, kLmHead, kSample, kOps };
const char* const kOpName[kOps] = {"embed",  "layernorm", "qkv",  "kv write", "attention", "o",
                                   "mlp up", "gelu",      "down", "lm_head",  "sample"};

std::vector<float> floats(const Vector& v) {
    std::vector<float> values(size_t(v.n));
    for (size_t i = 0; i < values.size(); i++) values[i] = v[int64_t(i)];
    return values;
}

// (x - mean) / sqrt(variance + eps) · gain + bias, row by row.
void layernorm(F32Rows& out, const F32Rows& x, const LayerNorm& norm, float eps) {
    out.resize(x.n());
    const std::vector<float> gain = floats(norm.gain), bias = floats(norm.bias);
#pragma omp parallel for
    for (int64_t t = 0; t < x.n(); t++) {
        const float* in = x.row(t);
        float* to = out.row(t);
        constexpr int kSums = 8;  // summed in parallel; zeros fill a row up to a multiple of kBlock
        double sums[kSums] = {}, squares[kSums] = {};
        for (int64_t i = 0; i < x.stride(); i += kSums)
#pragma omp simd
            for (int j = 0; j < kSums; j++) sums[j] += double(in[i + j]);
        double sum = 0;
        for (const double s : sums) sum += s;
        const double mean = sum / double(x.dim());
        for (int64_t i = 0; i < x.stride(); i += kSums)
#pragma omp simd
            for (int j = 0; j < kSums; j++) squares[j] += (double(in[i + j]) - mean) * (double(in[i + j]) - mean);
        double square_sum = 0;
        for (const double s : squares) square_sum += s;
        square_sum -= double(x.stride() - x.dim()) * mean * mean;  // what the padding's zeros have added
        const double scale = 1.0 / std::sqrt(square_sum / double(x.dim()) + double(eps));
#pragma omp simd
        for (int64_t i = 0; i < x.dim(); i++)
            to[i] = float((double(in[i]) - mean) * scale) * gain[size_t(i)] + bias[size_t(i)];
    }
}

// u (1 + tanh z) / 2 = u / (1 + exp(-2z)), z = sqrt(2 / pi) (u + 0.044715 u³).
void gelu(F32Rows& x) {
    constexpr float kTwoRootTwoOverPi = 1.5957691216057308f;
#pragma omp parallel for
    for (int64_t t = 0; t < x.n(); t++) {
        float* u = x.row(t);
        for (int64_t i = 0; i < x.dim(); i++)
            u[i] /= 1.0f + std::exp(-kTwoRootTwoOverPi * (u[i] + 0.044715f * u[i] * u[i] * u[i]));
    }
}

// A layer in the form that the products need: the rows of every matrix are contiguous; q, k and v are matrices of their
// own.
struct Layer {
    Matrix w_q, w_k, w_v, w_o, w_up, w_down;
    Vector b_q, b_k, b_v;
};

const PackedKernels* packed_products(const Kernels& kernels, const Gpt2Weights& weights) {
    if (exceeds_bf16(weights.embed)) return nullptr;
    for (const Gpt2Layer& w : weights.layers)
        for (const Matrix* m : {&w.w_qkv, &w.w_o, &w.w_up, &w.w_down})
            if (exceeds_bf16(*m)) return nullptr;
    return kernels.packed;
}

// Bytes of the matrices that the file has transposed, so that the replica holds a copy.
int64_t copied_bytes(const Gpt2Weights& weights) {
    int64_t sum = 0;
    for (const Gpt2Layer& w : weights.layers)
        for (const Matrix* m : {&w.w_qkv, &w.w_o, &w.w_up, &w.w_down})
            if (m->transposed) sum += m->bytes();
    return sum;
}

Precision precision_of(const EngineOptions& options, const Kernels& kernels, const Gpt2Weights& weights) {
    return options.precision.value_or(packed_products(kernels, weights) ? Precision::kBF16 : Precision::kF32);
}

class Gpt2Replica : public CpuStep {
  public:
    Gpt2Replica(const Model& model, const EngineOptions& options, const Kernels& kernels)
        : CpuStep(model.gpt2().config, model.gpt2().config.hidden_dim, options, kernels,
                  packed_products(kernels, model.gpt2().weights), precision_of(options, kernels, model.gpt2().weights),
                  model.weight_bytes + copied_bytes(model.gpt2().weights), {kOpName, kOpName + kOps}),
          config_(model.gpt2().config),
          weights_(model.gpt2().weights),
          up_(config_.intermediate_dim) {
        for (const Gpt2Layer& w : weights_.layers) layers_.push_back(lay_out(w));
    }

  private:
    Layer lay_out(const Gpt2Layer& w) {
        const int64_t dim = config_.hidden_dim;
        const Matrix qkv = row_major(w.w_qkv);
        return {qkv.rows(0, dim),      qkv.rows(dim, dim),      qkv.rows(2 * dim, dim),
                row_major(w.w_o),      row_major(w.w_up),       row_major(w.w_down),
                w.b_qkv.slice(0, dim), w.b_qkv.slice(dim, dim), w.b_qkv.slice(2 * dim, dim)};
    }

    template <class T>
    static void transpose(T* out, const T* in, int64_t n_in, int64_t n_out) {
        constexpr int64_t kSide = 32;
#pragma omp parallel for
        for (int64_t o0 = 0; o0 < n_out; o0 += kSide)
            for (int64_t i0 = 0; i0 < n_in; i0 += kSide)
                for (int64_t o = o0; o < std::min(o0 + kSide, n_out); o++)
                    for (int64_t i = i0; i < std::min(i0 + kSide, n_in); i++) out[o * n_in + i] = in[i * n_out + o];
    }

    Matrix row_major(const Matrix& w) {
        if (!w.transposed) return w;
        copies_.emplace_back(size_t(w.bytes()));
        Matrix copy = w;
        copy.transposed = false;
        copy.data = copies_.back().data();
        if (w.dtype == DType::kF32)
            transpose(reinterpret_cast<uint32_t*>(copies_.back().data()), static_cast<const uint32_t*>(w.data), w.n_in,
                      w.n_out);
        else
            transpose(reinterpret_cast<uint16_t*>(copies_.back().data()), static_cast<const uint16_t*>(w.data), w.n_in,
                      w.n_out);
        return copy;
    }

    void step(const Batch& batch) override {
        embed(batch);
        for (int l = 0; l < config_.n_layers; l++) {
            if (batch.unwanted && batch.unwanted()) return;
            attention_block(batch, l);
            mlp_block(l);
        }
        finish_rows(batch, weights_.embed, {kLmHead, kSample},
                    [&](F32Rows& h, const F32Rows& x) { layernorm(h, x, weights_.norm_final, config_.norm_eps); });
    }

    void embed(const Batch& batch) {
        const auto n = int64_t(batch.tokens.size());
        const Matrix &tokens = weights_.embed, &positions = weights_.positions;
        run(kEmbed, n * (tokens.bytes() / tokens.n_out + positions.bytes() / positions.n_out), [&] {
            x_.resize(n);
            y_.resize(n);
            for (int64_t t = 0; t < n; t++) {
                tokens.row(batch.tokens[size_t(t)].id, x_.row(t));
                positions.row(batch.tokens[size_t(t)].pos, y_.row(t));
            }
            add(x_, y_);
        });
    }

    void norm(const LayerNorm& by) {
        run(kNorm, 0, [&] {
            layernorm(h_, x_, by, config_.norm_eps);
            enter(h_);
        });
    }

    void attention_block(const Batch& batch, int l) {
        const Layer& w = layers_[size_t(l)];
        norm(weights_.layers[size_t(l)].norm_attn);
        run(kQkv, w.w_q.bytes() + w.w_k.bytes() + w.w_v.bytes(), [&] {
            multiply(h_, {{q_, w.w_q, w.b_q}, {k_, w.w_k, w.b_k}, {v_, w.w_v, w.b_v}});
        });
        run(kKvWrite, 0, [&] {
            begin_pages(batch, l);
#pragma omp parallel for
            for (int64_t t = 0; t < q_.n(); t++) {
                const Batch::Token& token = batch.tokens[size_t(t)];
                const PageTable& pages = *batch.seqs[size_t(token.seq)].pages;
                store_.write(l, KvStore::kKey, pages, token.pos, k_.row(t));
                store_.write(l, KvStore::kValue, pages, token.pos, v_.row(t));
            }
            if (bf16_ && !tiled_attention_) round(q_);
        });
        attend(batch, l, /*sinks=*/nullptr, kAttention);
        run(kOut, w.w_o.bytes(), [&] {
            multiply(att_, {{y_, w.w_o, weights_.layers[size_t(l)].b_o}});
            add(x_, y_);
        });
    }

    void mlp_block(int l) {
        const Layer& w = layers_[size_t(l)];
        const Gpt2Layer& layer = weights_.layers[size_t(l)];
        norm(layer.norm_mlp);
        run(kUp, w.w_up.bytes(), [&] { multiply(h_, {{up_, w.w_up, layer.b_up}}); });
        run(kGelu, 0, [&] {
            gelu(up_);
            enter(up_);
        });
        run(kDown, w.w_down.bytes(), [&] {
            multiply(up_, {{y_, w.w_down, layer.b_down}});
            add(x_, y_);
        });
    }

    const Gpt2Config& config_;
    const Gpt2Weights& weights_;
    std::vector<AlignedVector<std::byte>> copies_;  // matrices that the file has transposed
    std::vector<Layer> layers_;                     // (L)
    F32Rows up_;                                    // (T, F)
};

}  // namespace

std::unique_ptr<Replica> make_gpt2_replica(const Model& model, const EngineOptions& options, const Kernels& kernels) {
    return std::make_unique<Gpt2Replica>(model, options, kernels);
}
