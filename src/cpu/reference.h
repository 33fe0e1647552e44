// reference.h: the definition of right: a model computed one token at a time, in f32, in the order of the equations.
//
// Read reference.cpp to learn gpt-oss, gpt2_reference.cpp to learn GPT-2. Each is a Replica, so that every mode can run
// on it (--reference) and every other implementation can be compared with it.
#pragma once
#include <memory>

#include "model.h"
#include "replica.h"

class Reference : public Replica {
  public:
    const Capacity& capacity() const override { return capacity_; }
    void submit(const Batch& batch) override { batch_ = &batch; }
    void collect(StepResult& result) override;  // counts no bytes: speed means nothing here
    std::string describe() const override { return "CPU reference, f32, one token at a time"; }

  protected:
    struct Cache {                // one layer of one sequence; grows with the positions
        std::vector<float> k, v;  // (positions, G, P)
    };
    using Sequence = std::vector<Cache>;  // (L)

    Reference(const CommonConfig& config, int max_sequences, int64_t max_positions);

    virtual std::vector<float> forward(Sequence& sequence, int token, int pos) const = 0;  // logits (V)

    // y = W x + b. (n_out, n_in) · (n_in) + (n_out) → (n_out). `b` may be longer; the bias begins at `first_bias`.
    static std::vector<float> linear(const Matrix& w, const std::vector<float>& x, const Vector& b = {},
                                     int64_t first_bias = 0);

  private:
    const CommonConfig& common_;
    Capacity capacity_;
    std::vector<Sequence> sequences_;  // (max_sequences)
    const Batch* batch_ = nullptr;
};

// Keeps a pointer to `model`.
std::unique_ptr<Replica> make_reference(const Model& model, int max_sequences, int64_t max_positions);
std::unique_ptr<Replica> make_gpt2_reference(const Gpt2& model, int max_sequences, int64_t max_positions);
