// moe.h: the mixture of experts of a flat batch: routing, tokens grouped by expert, the two products, the weighted sum.
#pragma once
#include "cpu/linear.h"

// Which experts each token goes to. A token's experts are in ascending order of id, in which their results are added.
struct Routing {
    int n_experts_per_token = 0;
    std::vector<int> expert;    // (T, A)
    std::vector<float> weight;  // (T, A)
};

// Chooses the largest A of the router's logits (T, E), ties to the smaller id, and weighs them by their softmax.
Routing route(const F32Rows& logits, int n_experts_per_token);

// Token slots (t·A + a) in order of expert: those of expert e are slot[begin[e] .. begin[e + 1]).
struct ExpertGroups {
    std::vector<int64_t> begin;  // (E + 1)
    std::vector<int64_t> slot;   // (T·A)
    int64_t n_active = 0;        // experts with at least one token
};
ExpertGroups group_by_expert(const Routing& routing, int n_experts);

// The experts' steps, in this order. Rows are in order of group, but for the first input.
// gather and swiglu arrange their output for weights of that type.
void gather(const Kernels& kernels, F32Rows& out, const F32Rows& x, const ExpertGroups& groups, int n_experts_per_token,
            DType weights);
void expert_linear(const Kernels& kernels, F32Rows& y, const F32Rows& x, const ExpertGroups& groups,
                   const ExpertMatrices& w, const Vector& b);
// (·, 2F) → (·, F): clamped SwiGLU of gate 2f and linear half 2f + 1; rounded to bf16 if asked.
void swiglu(const Kernels& kernels, F32Rows& out, const F32Rows& up, const Config& config, bool round_to_bf16,
            DType weights);
// x (T, D) += Σ_a weight · y of that expert.
void combine(F32Rows& x, const F32Rows& y, const Routing& routing, const ExpertGroups& groups);

// The same on packed activations. SwiGLU is part of the products before it, whose results never leave L2.
void gather(const PackedKernels& kernels, PackedRows& out, const F32Rows& x, const ExpertGroups& groups,
            int n_experts_per_token, DType weights);
void expert_up(const PackedKernels& kernels, PackedRows& act, const PackedRows& x, const ExpertMatrices& w,
               const Vector& b, const Config& config, DType w_down);
void expert_linear(const PackedKernels& kernels, F32Rows& y, const PackedRows& x, const ExpertMatrices& w,
                   const Vector& b);
