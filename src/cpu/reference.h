// reference.h: the definition of right: gpt-oss one token at a time, f32 throughout, in the order of the equations.
//
// Read reference.cpp to learn the model. It is a Replica, so that every mode can run on it (--reference) and every
// other implementation can be compared with it.
#pragma once
#include "model.h"
#include "replica.h"

class Reference : public Replica {
  public:
    // Keeps a pointer to `model`.
    Reference(const Model& model, int max_sequences, int64_t max_positions);

    const Capacity& capacity() const override { return capacity_; }
    void submit(const Batch& batch) override { batch_ = &batch; }
    void collect(StepResult& result) override;  // counts no bytes: speed means nothing here
    std::string describe() const override { return "CPU reference, f32, one token at a time"; }

  private:
    struct Cache {                // one layer of one sequence; grows with the positions
        std::vector<float> k, v;  // (positions, G, P)
    };
    using Sequence = std::vector<Cache>;  // (L)

    std::vector<float> forward(Sequence& sequence, int token, int pos) const;  // logits (V)
    std::vector<float> attention(const LayerWeights& w, LayerKind kind, Cache& cache, const std::vector<float>& x,
                                 int pos) const;
    std::vector<float> experts(const LayerWeights& w, const std::vector<float>& x) const;

    const Model& model_;
    Capacity capacity_;
    std::vector<float> inv_freq_;      // (P/2)
    std::vector<Sequence> sequences_;  // (max_sequences)
    const Batch* batch_ = nullptr;
};
