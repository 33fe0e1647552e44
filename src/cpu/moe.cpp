// moe.cpp: the experts' products. A step reads the weights of an expert once, however many tokens have chosen it.
#include "cpu/moe.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace {

// Calls work(span, output features [o0, o1)) for all features of each span. A span is some rows of one expert; all
// n_spans have n_rows.
template <class F>
void expert_tasks(size_t n_spans, int64_t n_rows, const ExpertMatrices& w, F&& work) {
    const int64_t n_out = w.first.n_out, n_blocks = (n_out + kRowsPerTask - 1) / kRowsPerTask;
    const int64_t n_tok = n_rows / std::max<int64_t>(int64_t(n_spans), 1);  // in a span, on average
    for_each_task(int64_t(n_spans) * n_blocks, n_tok, [&](int64_t task) {
        const int64_t o = task % n_blocks * kRowsPerTask;
        work(size_t(task / n_blocks), o, std::min(o + kRowsPerTask, n_out));
    });
}

}  // namespace

Routing route(const F32Rows& logits, int n_experts_per_token) {
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

void gather(const Kernels& kernels, F32Rows& out, const F32Rows& x, const ExpertGroups& groups, int n_experts_per_token,
            DType weights) {
    const auto n = int64_t(groups.slot.size());
    out.resize(n);
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        kernels.arrange(out.row(i), x.row(groups.slot[size_t(i)] / n_experts_per_token), x.dim(), weights);
    }
}

void expert_linear(const Kernels& kernels, F32Rows& y, const F32Rows& x, const ExpertGroups& groups,
                   const ExpertMatrices& w, const Vector& b) {
    y.resize(x.n());
    std::vector<int> chosen;
    for (int e = 0; e < w.n_experts; e++)
        if (groups.begin[size_t(e)] < groups.begin[size_t(e) + 1]) chosen.push_back(e);
    expert_tasks(chosen.size(), x.n(), w, [&](size_t i, int64_t o0, int64_t o1) {
        const int e = chosen[i];
        const int64_t begin = groups.begin[size_t(e)], n_tok = groups.begin[size_t(e) + 1] - begin;
        linear_task(kernels, y, x, begin, n_tok, w[e], b, e * w.first.n_out, o0, o1);
    });
}

void gather(const PackedKernels& kernels, PackedRows& out, const F32Rows& x, const ExpertGroups& groups,
            int n_experts_per_token, DType weights) {
    out.resize(x.dim(), groups.begin, kernels.block_bytes);
#pragma omp parallel for
    for (const PackedRows::Panel& panel : out.panels()) {
        const float* rows[kPanelRows];
        for (int i = 0; i < panel.n; i++) rows[i] = x.row(groups.slot[size_t(panel.begin + i)] / n_experts_per_token);
        kernels.pack(out.data(panel), rows, panel.n, panel.width, x.dim(), 0, x.dim(), weights);
    }
}

void expert_up(const PackedKernels& kernels, PackedRows& act, const PackedRows& x, const ExpertMatrices& w,
               const Vector& b, const Config& config, DType w_down) {
    static_assert(kRowsPerTask / 2 % kBlock == 0, "a task makes whole blocks of act's columns");
    const int64_t dim = config.intermediate_dim;
    act.resize(dim, x, kernels.block_bytes);
    expert_tasks(x.spans().size(), x.n(), w, [&](size_t i, int64_t o0, int64_t o1) {
        const PackedRows::Span& span = x.spans()[i];
        float act_of[kPanelRows][kRowsPerTask / 2];
        static thread_local AlignedVector<float> up(size_t(kPackedRowsAtOnce * kRowsPerTask));
        linear_task(kernels, up.data(), kRowsPerTask, x, span, w[span.group], b, span.group * w.first.n_out, o0, o1);
        for (int64_t t = 0; t < span.n; t += kPanelRows) {
            const PackedRows::Panel& panel = act.panels()[span.first_panel + size_t(t / kPanelRows)];
            const float* rows[kPanelRows];
            for (int r = 0; r < panel.n; r++) {
                rows[r] = act_of[r];
                kernels.swiglu(act_of[r], &up[size_t((t + r) * kRowsPerTask)], (o1 - o0) / 2, config.swiglu_limit,
                               config.swiglu_alpha);
            }
            kernels.pack(act.data(panel), rows, panel.n, panel.width, dim, o0 / 2, (o1 - o0) / 2, w_down);
        }
    });
}

void expert_linear(const PackedKernels& kernels, F32Rows& y, const PackedRows& x, const ExpertMatrices& w,
                   const Vector& b) {
    y.resize(x.n());
    expert_tasks(x.spans().size(), x.n(), w, [&](size_t i, int64_t o0, int64_t o1) {
        const PackedRows::Span& span = x.spans()[i];
        linear_task(kernels, y.row(span.begin) + o0, y.stride(), x, span, w[span.group], b, span.group * w.first.n_out,
                    o0, o1);
    });
}

void swiglu(const Kernels& kernels, F32Rows& out, const F32Rows& up, const Config& config, bool round_to_bf16,
            DType weights) {
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
        kernels.arrange(out.row(i), act.data(), out.dim(), weights);
    }
}

void combine(F32Rows& x, const F32Rows& y, const Routing& routing, const ExpertGroups& groups) {
    std::vector<int64_t> row_of(groups.slot.size());  // slot → row of y
    for (size_t i = 0; i < row_of.size(); i++) row_of[size_t(groups.slot[i])] = int64_t(i);
    const int64_t a = routing.n_experts_per_token;
#pragma omp parallel for
    for (int64_t t = 0; t < x.n(); t++) {
        static thread_local std::vector<float> memory;
        memory.assign(size_t(x.dim()), 0.0f);
        float *sum = memory.data(), *to = x.row(t);
        for (int64_t slot = t * a; slot < (t + 1) * a; slot++) {
            const float *row = y.row(row_of[size_t(slot)]), weight = routing.weight[size_t(slot)];
#pragma omp simd
            for (int64_t i = 0; i < x.dim(); i++) sum[i] += weight * row[i];
        }
#pragma omp simd
        for (int64_t i = 0; i < x.dim(); i++) to[i] += sum[i];
    }
}
