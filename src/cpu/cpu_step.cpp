// cpu_step.cpp: the parts of a step that no architecture changes.
#include "cpu/cpu_step.h"

#include <omp.h>

#include <algorithm>

#include "cpu/threads.h"
#include "error.h"
#include "sampler.h"

namespace {

// Most tokens in a step. With so many, each of 32 experts gets about 64 tokens (128 where packed products decode
// weights once for so many), and arithmetic limits a prompt's products, not reading weights. Activations stay below 200
// MB.
constexpr int kMaxBatchTokens = 512, kMaxPackedBatchTokens = 1024;
constexpr int kPrefillChunk = 512;

}  // namespace

CpuStep::CpuStep(const CommonConfig& config, int64_t hidden_dim, const EngineOptions& options, const Kernels& kernels,
                 const PackedKernels* products, Precision precision, int64_t weight_bytes,
                 const std::vector<const char*>& op_names)
    : common_(config),
      kernels_(kernels),
      products_(precision == Precision::kBF16 ? products : nullptr),
      tiled_attention_(products_ && products_->attend),
      bf16_(precision == Precision::kBF16),
      capacity_(plan_capacity(
          config, options, kv_memory_bytes(options, weight_bytes), kv_element_bytes(precision),
          std::max(products_ ? kMaxPackedBatchTokens : kMaxBatchTokens, options.max_sequences + kPrefillChunk),
          kPrefillChunk)),
      store_(config, capacity_, precision, tiled_attention_),
      x_(hidden_dim),
      h_(hidden_dim),
      q_(int64_t(config.n_attn_heads) * config.head_dim),
      k_(int64_t(config.n_kv_heads) * config.head_dim),
      v_(k_.dim()),
      att_(q_.dim()),
      y_(hidden_dim),
      logits_(config.vocab_size),
      ops_(op_names.size()) {
    for (size_t i = 0; i < ops_.size(); i++) ops_[i].name = op_names[i];
}

std::string CpuStep::describe() const {
    return fmt::format("CPU, {} threads, {}, {}, up to {:.1f} MB of KV cache for {} sequences", omp_get_max_threads(),
                       kernels_.name, bf16_ ? "bf16" : "f32", double(store_.bytes()) * 1e-6, capacity_.max_sequences);
}

void CpuStep::collect(StepResult& result) {
    const int64_t bytes_before = bytes_read();
    begin_result(result, *batch_);
    result_ = &result;
    pin_threads();
    step(*batch_);
    result.bytes = bytes_read() - bytes_before;
}

int64_t CpuStep::bytes_read() const {
    int64_t sum = 0;
    for (const EngineStats::Op& op : ops_) sum += op.bytes;
    return sum;
}

void CpuStep::round(F32Rows& x) const {
#pragma omp parallel for
    for (int64_t t = 0; t < x.n(); t++)
        for (int64_t i = 0; i < x.dim(); i++) x.row(t)[i] = to_f32(to_bf16(x.row(t)[i]));
}

void CpuStep::enter(F32Rows& x) {
    if (products_)
        pack(*products_, packed_, x, DType::kBF16);  // only experts have weights of another type
    else if (bf16_)
        round(x);
}

void CpuStep::multiply(const F32Rows& x, Products products) {
    if (products_)
        linear(*products_, packed_, products);
    else
        linear(kernels_, x, products);
}

void CpuStep::add(F32Rows& x, const F32Rows& y) {
#pragma omp parallel for
    for (int64_t t = 0; t < x.n(); t++) {
        float* to = x.row(t);
        const float* from = y.row(t);
#pragma omp simd
        for (int64_t i = 0; i < x.dim(); i++) to[i] += from[i];
    }
}

void CpuStep::begin_pages(const Batch& batch, int layer) const {
    for (const Batch::Token& token : batch.tokens)
        if (token.pos % kPagePositions == 0) store_.begin_page(layer, *batch.seqs[size_t(token.seq)].pages, token.pos);
}

void CpuStep::attend(const Batch& batch, int layer, const Vector* sinks, int op) {
    int64_t kv_bytes = 0;
    run(op, 0, [&] {
        if (tiled_attention_)
            attention(*products_, att_, q_, batch, store_, common_, layer, sinks, &kv_bytes);
        else
            attention(kernels_, att_, q_, batch, store_, common_, layer, sinks, &kv_bytes);
        enter(att_);
    });
    ops_[size_t(op)].bytes += kv_bytes;
}

void CpuStep::take_rows(const Batch& batch, int64_t first, int64_t n) {
    y_.resize(n);
    for (int64_t i = 0; i < n; i++) {
        const float* x = x_.row(batch.rows[size_t(first + i)].token);
        std::copy(x, x + x_.dim(), y_.row(i));
    }
}

void CpuStep::sample(const Batch& batch, int64_t first, int64_t n) const {
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        if (!batch.rows[size_t(first + i)].sample) continue;
        draw_row(*result_, batch, int(first + i), logits_.row(i), common_.vocab_size);
        tell_row(*result_, batch, int(first + i), logits_.row(i), common_.vocab_size);
    }
    for (int64_t i = 0; i < n; i++)
        if (batch.rows[size_t(first + i)].want_logits) batch.on_logits(int(first + i), logits_.row(i));
}
