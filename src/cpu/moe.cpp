// moe.cpp: every expert's weights are read once a step, whatever the number of tokens that chose it.
#include "cpu/moe.h"

#include <algorithm>
#include <cmath>
#include <numeric>

Routing route(const Rows& logits, int n_experts_per_token) {
    Routing routing;
    routing.n_experts_per_token = n_experts_per_token;
    const size_t a = size_t(n_experts_per_token);
    routing.expert.resize(size_t(logits.n()) * a);
    routing.weight.resize(routing.expert.size());
    std::vector<int> order(size_t(logits.dim()));
    for (int64_t t = 0; t < logits.n(); t++) {
        const float* logit = logits.row(t);
        std::iota(order.begin(), order.end(), 0);
        std::partial_sort(order.begin(), order.begin() + n_experts_per_token, order.end(),
                          [&](int i, int j) { return logit[i] != logit[j] ? logit[i] > logit[j] : i < j; });
        const float largest = logit[order[0]];
        float sum = 0;
        for (size_t i = 0; i < a; i++) sum += std::exp(logit[order[i]] - largest);
        std::sort(order.begin(), order.begin() + n_experts_per_token);
        for (size_t i = 0; i < a; i++) {
            routing.expert[size_t(t) * a + i] = order[i];
            routing.weight[size_t(t) * a + i] = std::exp(logit[order[i]] - largest) / sum;
        }
    }
    return routing;
}

ExpertGroups group_by_expert(const Routing& routing, int n_experts) {
    ExpertGroups groups;
    groups.begin.assign(size_t(n_experts) + 1, 0);
    for (const int e : routing.expert) groups.begin[size_t(e) + 1]++;
    for (size_t e = 1; e < groups.begin.size(); e++) {
        groups.n_active += groups.begin[e] > 0;
        groups.begin[e] += groups.begin[e - 1];
    }
    std::vector<int64_t> next(groups.begin.begin(), groups.begin.end() - 1);
    groups.slot.resize(routing.expert.size());
    for (size_t slot = 0; slot < routing.expert.size(); slot++)
        groups.slot[size_t(next[size_t(routing.expert[slot])]++)] = int64_t(slot);
    return groups;
}

void gather(Rows& out, const Rows& x, const ExpertGroups& groups, int n_experts_per_token, bool deinterleaved) {
    const auto n = int64_t(groups.slot.size());
    out.resize(n);
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        const float* row = x.row(groups.slot[size_t(i)] / n_experts_per_token);
        if (deinterleaved)
            deinterleave(out.row(i), row, x.dim());
        else
            std::copy(row, row + x.dim(), out.row(i));
    }
}

void expert_linear(const Kernels& kernels, Rows& y, const Rows& x, const ExpertGroups& groups, const ExpertMatrices& w,
                   const Vector& b) {
    y.resize(x.n());
    const int64_t n_out = w.first.n_out, n_blocks = (n_out + kRowsPerTask - 1) / kRowsPerTask;
#pragma omp parallel for schedule(dynamic)
    for (int64_t task = 0; task < w.n_experts * n_blocks; task++) {
        const int64_t e = task / n_blocks, o = task % n_blocks * kRowsPerTask;
        const int64_t begin = groups.begin[size_t(e)], n_tok = groups.begin[size_t(e) + 1] - begin;
        if (n_tok == 0) continue;
        linear_task(kernels, y, x, begin, n_tok, w[int(e)], b, e * n_out, o, std::min(o + kRowsPerTask, n_out));
    }
}

void swiglu(Rows& out, const Rows& up, const Config& config, bool round_to_bf16, bool deinterleaved) {
    const float limit = config.swiglu_limit, alpha = config.swiglu_alpha;
    out.resize(up.n());
#pragma omp parallel for
    for (int64_t i = 0; i < up.n(); i++) {
        static thread_local std::vector<float> act;
        act.resize(size_t(out.dim()));
        const float* u = up.row(i);
        for (size_t f = 0; f < act.size(); f++) {
            const float gate = std::min(u[2 * f], limit);
            const float linear_half = std::clamp(u[2 * f + 1], -limit, limit);
            const float a = gate / (1.0f + std::exp(-alpha * gate)) * (linear_half + 1.0f);
            act[f] = round_to_bf16 ? to_f32(to_bf16(a)) : a;
        }
        if (deinterleaved)
            deinterleave(out.row(i), act.data(), out.dim());
        else
            std::copy(act.begin(), act.end(), out.row(i));
    }
}

void combine(Rows& x, const Rows& y, const Routing& routing, const ExpertGroups& groups) {
    std::vector<int64_t> row_of(groups.slot.size());  // slot → row of y
    for (size_t i = 0; i < row_of.size(); i++) row_of[size_t(groups.slot[i])] = int64_t(i);
    const int64_t a = routing.n_experts_per_token;
#pragma omp parallel for
    for (int64_t t = 0; t < x.n(); t++) {
        static thread_local std::vector<float> sum;
        sum.assign(size_t(x.dim()), 0.0f);
        for (int64_t slot = t * a; slot < (t + 1) * a; slot++) {
            const float* row = y.row(row_of[size_t(slot)]);
            for (size_t i = 0; i < sum.size(); i++) sum[i] += routing.weight[size_t(slot)] * row[i];
        }
        for (size_t i = 0; i < sum.size(); i++) x.row(t)[i] += sum[i];
    }
}
