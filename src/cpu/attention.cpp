// attention.cpp: attention in tasks of one token and one KV head. A task has all query heads that share the KV head, so
// it loads a key once for all. It computes the scores of all visible keys, then the softmax, then the sum of values.
// Sums run over absolute positions in ascending order, whatever the token's chunk or batch.
#include "cpu/attention.h"

#include <algorithm>
#include <cmath>

namespace {

// Turns the scores of n keys, the first at position `first`, into weights exp(score - largest). Rounds them as a GPU
// does for its matrix cores: relative to the largest score in their span of kSpanPositions. Returns the sum of the
// unrounded weights.
double rounded_weights(float* score, int first, int64_t n, float largest) {
    double sum = 0;
    for (int64_t j = 0; j < n;) {
        const int pos = first + int(j);
        const int64_t end = std::min(n, j + kSpanPositions - pos % kSpanPositions);
        const float of_span = *std::max_element(score + j, score + end);
        const float factor = std::exp(of_span - largest);
        for (; j < end; j++) {
            sum += std::exp(score[j] - largest);
            score[j] = to_f32(to_bf16(std::exp(score[j] - of_span))) * factor;
        }
    }
    return sum;
}

// The work for one token and one KV head.
struct Task {
    const PageTable& pages;
    int first, pos, kv_head;  // keys [first, pos]
    int64_t n_keys() const { return pos - first + 1; }
};

// Calls visit(memory of the page's first visible key, index of that key, visible keys) for each page. row_bytes: the
// size of a key.
template <class F>
void each_page(const KvStore& store, int layer, KvStore::Part part, const Task& task, int64_t row_bytes, F&& visit) {
    for (int p0 = task.first; p0 <= task.pos;) {
        const int p1 = std::min(task.pos + 1, (p0 / kPagePositions + 1) * kPagePositions);
        const auto* page = static_cast<const char*>(store.page(layer, part, task.pages, p0, task.kv_head));
        visit(page + p0 % kPagePositions * row_bytes, int64_t(p0 - task.first), int64_t(p1 - p0));
        p0 = p1;
    }
}

// Turns scores (keys) of one query head into weights, not yet divided by their sum, and returns the sum.
float weigh(float* score, const Task& task, float scale, float sink, bool rounded) {
    const int64_t n = task.n_keys();
    float largest = sink;
    for (int64_t j = 0; j < n; j++) {
        score[j] *= scale;
        largest = std::max(largest, score[j]);
    }
    double sum = std::exp(sink - largest);  // double, as there may be 131072 terms
    if (rounded) {
        sum += rounded_weights(score, task.first, n, largest);
    } else {
        for (int64_t j = 0; j < n; j++) sum += score[j] = std::exp(score[j] - largest);
    }
    return float(sum);
}

// out, q (n_heads, P): the query heads that share the KV head. The first one's sink is at `first_sink`.
void attend(const Kernels& kernels, float* out, const float* q, int n_heads, const KvStore& store, int64_t head_dim,
            int layer, const Task& task, const Vector* sinks, int64_t first_sink) {
    static thread_local AlignedVector<float> padded_q;  // (n_heads, padded P)
    static thread_local std::vector<float> scores;      // (n_heads, keys)
    static thread_local std::vector<float> sums;
    const int64_t n_keys = task.n_keys(), q_stride = padded(head_dim);
    const bool is_f32 = store.dtype() == DType::kF32;
    const int64_t row_bytes = head_dim * (is_f32 ? 4 : 2);
    padded_q.assign(size_t(n_heads * q_stride), 0.0f);
    scores.resize(size_t(n_heads * n_keys));
    sums.resize(size_t(n_heads));
    for (int h = 0; h < n_heads; h++) std::copy_n(q + h * head_dim, head_dim, &padded_q[size_t(h * q_stride)]);

    each_page(store, layer, KvStore::kKey, task, row_bytes, [&](const void* keys, int64_t j, int64_t n) {
        Matrix k;
        k.dtype = store.dtype();
        k.n_out = n;
        k.n_in = head_dim;
        k.data = keys;
        kernels.dot(&scores[size_t(j)], n_keys, padded_q.data(), q_stride, n_heads, k, 0, n);
    });
    const float scale = 1.0f / std::sqrt(float(head_dim));
    for (int h = 0; h < n_heads; h++) {
        const float sink = sinks ? (*sinks)[first_sink + h] : kNoSink;
        sums[size_t(h)] = weigh(&scores[size_t(h * n_keys)], task, scale, sink, !is_f32);
    }
    std::fill(out, out + n_heads * head_dim, 0.0f);
    each_page(store, layer, KvStore::kValue, task, row_bytes, [&](const void* values, int64_t j, int64_t n) {
        kernels.accumulate(out, head_dim, &scores[size_t(j)], n_keys, n_heads, store.dtype(), values, head_dim, n,
                           head_dim);
    });
    for (int h = 0; h < n_heads; h++)
        for (int64_t i = 0; i < head_dim; i++) out[h * head_dim + i] /= sums[size_t(h)];
}

}  // namespace

void attention(const Kernels& kernels, F32Rows& out, const F32Rows& q, const Batch& batch, const KvStore& store,
               const CommonConfig& config, int layer, const Vector* sinks, int64_t* bytes_read) {
    const bool sliding = config.layer_kind[size_t(layer)] == LayerKind::kSliding;
    const int64_t head_dim = config.head_dim, element_bytes = store.dtype() == DType::kF32 ? 4 : 2;
    const int n_groups = config.n_kv_heads, n_heads = config.n_attn_heads / n_groups;
    const int64_t n_tasks = q.n() * n_groups;
    int64_t bytes = 0;
    out.resize(q.n());

#pragma omp parallel for schedule(dynamic) reduction(+ : bytes)
    for (int64_t i = 0; i < n_tasks; i++) {
        const int64_t t = i / n_groups;
        const Batch::Token& token = batch.tokens[size_t(t)];
        const int first = sliding ? std::max(0, token.pos - config.sliding_window + 1) : 0;
        const Task task = {*batch.seqs[size_t(token.seq)].pages, first, token.pos, int(i % n_groups)};
        const int64_t head0 = int64_t(task.kv_head) * n_heads;
        attend(kernels, out.row(t) + head0 * head_dim, q.row(t) + head0 * head_dim, n_heads, store, head_dim, layer,
               task, sinks, head0);
        bytes += 2 * task.n_keys() * head_dim * element_bytes;
    }
    *bytes_read += bytes;
}
