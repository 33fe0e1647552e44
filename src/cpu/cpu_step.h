// cpu_step.h: what the CPU's batched forward passes share, whatever the architecture: the KV cache, the input and
// output of a step, products in the precision of the run, the time of each operation.
#pragma once
#include <chrono>

#include "cpu/attention.h"
#include "cpu/kv_store.h"
#include "cpu/linear.h"

// Whether it is in f32 (as in legacy files) or f16, whose fractions are longer than bf16's: not for packed products.
inline bool exceeds_bf16(const Matrix& m) {
    return m.dtype == DType::kF32 || m.dtype == DType::kF16;
}

class CpuStep : public Replica {
  public:
    const Capacity& capacity() const override { return capacity_; }
    std::vector<EngineStats::Op> ops() const override { return ops_; }
    std::string describe() const override;
    void submit(const Batch& batch) override { batch_ = &batch; }
    void collect(StepResult& result) override;

  protected:
    // products: the products of bf16 mode, or null. weight_bytes: memory that the KV cache must leave to the weights.
    // op_names: the names of run()'s operations.
    CpuStep(const CommonConfig& config, int64_t hidden_dim, const EngineOptions& options, const Kernels& kernels,
            const PackedKernels* products, Precision precision, int64_t weight_bytes,
            const std::vector<const char*>& op_names);

    // The whole forward pass.
    virtual void step(const Batch& batch) = 0;

    // Runs and times one operation, which reads `bytes` of weights.
    template <class F>
    void run(int op, int64_t bytes, F&& work) {
        const auto start = std::chrono::steady_clock::now();
        work();
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        ops_[size_t(op)].seconds += took.count();
        ops_[size_t(op)].bytes += bytes;
    }

    void round(F32Rows& x) const;  // to bf16
    // Makes x the input of the next products; in bf16 mode it rounds x.
    void enter(F32Rows& x);
    // Multiplies x, for which enter() was called last.
    void multiply(const F32Rows& x, Products products);
    static void add(F32Rows& x, const F32Rows& y);

    // Zeroes the pages that begin with this step. Must come before anything is written to the store.
    void begin_pages(const Batch& batch, int layer) const;
    // Computes att_ from q_ and enters it. Times that as `op`.
    void attend(const Batch& batch, int layer, const Vector* sinks, int op);

    // Operations of finish_rows().
    struct HeadOps {
        int head, sample;
    };
    // Computes the logits of the rows that need them, some at a time, as norm(h_, y_) of the residual times w_head;
    // samples, and hands logits out.
    template <class Norm>
    void finish_rows(const Batch& batch, const Matrix& w_head, HeadOps op, Norm&& norm) {
        const auto n_rows = int64_t(batch.rows.size());
        for (int64_t r0 = 0; r0 < n_rows; r0 += kLogitRows) {
            const int64_t n = std::min(kLogitRows, n_rows - r0);
            run(op.head, w_head.bytes(), [&] {
                take_rows(batch, r0, n);
                norm(h_, y_);
                enter(h_);
                multiply(h_, {{logits_, w_head, Vector{}}});
            });
            run(op.sample, 0, [&] { sample(batch, r0, n); });
        }
    }

    const CommonConfig& common_;
    const Kernels& kernels_;
    const PackedKernels* const products_;  // null: f32 mode, or a CPU without such instructions
    const bool tiled_attention_;
    const bool bf16_;
    const Capacity capacity_;
    const KvStore store_;
    F32Rows x_;          // (T, D) residual stream
    F32Rows h_;          // (T, D) normed
    F32Rows q_, k_, v_;  // (T, H·P), (T, G·P), (T, G·P)
    F32Rows att_;        // (T, H·P)
    F32Rows y_;          // (T, D)
    F32Rows logits_;     // (rows, V)
    PackedRows packed_;  // the input of the next products, packed, if there are products_

  private:
    // Rows of logits computed at once, with one reading of lm_head: 64 × 201088 floats are 51 MB.
    static constexpr int64_t kLogitRows = 64;

    int64_t bytes_read() const;  // weights and KV cache, all steps so far
    void take_rows(const Batch& batch, int64_t first, int64_t n);
    void sample(const Batch& batch, int64_t first, int64_t n) const;

    const Batch* batch_ = nullptr;
    StepResult* result_ = nullptr;  // of the step that runs
    std::vector<EngineStats::Op> ops_;
};
